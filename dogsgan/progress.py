"""Progress for people: bars and lines, always on stderr, so that stdout stays data. They never fail."""

import contextlib
from collections.abc import Iterable, Iterator
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
        kind = "" if isinstance(error, DogsganError) else f"{type(error).__name__}: "
        line = f"{what} is left out ({kind}{error})"
        if left_out is None:
            say(line)
        else:
            left_out.append(line)
