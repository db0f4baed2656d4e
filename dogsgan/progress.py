"""Progress for people: bars and lines, always on stderr, so that stdout stays data. They never fail."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dogsgan.console import STDERR
from dogsgan.errors import DogsganError


def progress_bar(
    iterable: Iterable[Any] | None = None,
    *,
    description: str,
    total: int | None = None,
    initial: int = 0,
    unit: str = "images",
) -> Any:
    """Return a `tqdm` bar on stderr; where that is no terminal it prints every ten seconds at most."""
    interactive = STDERR.isatty()
    return tqdm(
        iterable,
        desc=description,
        total=total,
        initial=initial,
        unit=f" {unit}",
        file=STDERR,
        dynamic_ncols=interactive,
        mininterval=0.2 if interactive else 10.0,
        maxinterval=10.0,
    )


def say(text: str) -> None:
    """Print a line for people to stderr without breaking a bar that is being drawn."""
    tqdm.write(text, file=STDERR)


@contextlib.contextmanager
def optional(what: str, left_out: list[str] | None = None) -> Iterator[None]:
    """Go on without `what` where making it fails: nothing that is an extra may cost the main result.

    The reason is appended to `left_out`, or said where that is None.
    """
    try:
        yield
    except Exception as error:  # no memory, damaged files, a bug: whatever it is
        reason = " ".join(str(error).split())
        if not isinstance(error, DogsganError):
            reason = f"{type(error).__name__}: {reason}".removesuffix(": ")
        line = f"{what} is left out ({reason})"
        if left_out is None:
            say(line)
        else:
            left_out.append(line)


@contextlib.contextmanager
def optional_file(path: Path, left_out: list[str] | None = None) -> Iterator[None]:
    """Go on without a file where writing it fails (see `optional`).

    A file of an earlier call that is not written anew is removed, because it shows other results.
    """
    before = _version(path)
    with optional(str(path), left_out):
        yield
    if before is not None and _version(path) == before:
        with contextlib.suppress(OSError):
            path.unlink()


def _version(path: Path) -> tuple[int, int] | None:
    """Return what changes whenever a file is replaced; None where there is no file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_mtime_ns
