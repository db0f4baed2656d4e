"""Progress for people: bars and lines, always on stderr, so that stdout stays data. They never fail."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

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
    """Return a `tqdm` bar on stderr; where that is no terminal it prints every ten seconds at most.

    Within `overall_bar` it is no bar of its own, and advances that one.
    """
    if _overall:
        return _Stage(_overall[-1], iterable, description)
    return tqdm(iterable, desc=description, total=total, initial=initial, unit=f" {unit}", **_on_stderr())


def _on_stderr() -> dict[str, Any]:
    interactive = STDERR.isatty()
    interval_s = 0.2 if interactive else 10.0
    return {"file": STDERR, "dynamic_ncols": interactive, "mininterval": interval_s, "maxinterval": 10.0}


@contextlib.contextmanager
def overall_bar(description: str, seconds: float, rates: Mapping[str, float]) -> Iterator[None]:
    """Draw one bar over several stages: the bars that are opened meanwhile advance it instead.

    All of them are expected to take `seconds`. `rates` are the seconds for one item of a stage, by the
    description of its bar; other stages do not advance it.
    """
    bar_format = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=seconds, desc=description, bar_format=bar_format, **_on_stderr()) as bar:
        _overall.append(_Overall(bar, description, rates))
        try:
            yield
            bar.update(max(0.0, _ALMOST * seconds - bar.n))
        finally:
            _overall.pop()


class _Overall(NamedTuple):
    bar: Any
    description: str
    rates: Mapping[str, float]


_overall: list[_Overall] = []
_ALMOST = 1 - 1e-9  # of an overall bar; rounding may not take it beyond its end


class _Stage:
    """A bar as its callers use it, which advances an overall bar."""

    def __init__(self, overall: _Overall, iterable: Iterable[Any] | None, description: str) -> None:
        self._iterable, self._bar = iterable, overall.bar
        self._rate = overall.rates.get(description, 0.0)
        self._bar.set_description_str(f"{overall.description}: {description}")

    def update(self, count: int = 1) -> None:
        left = _ALMOST * self._bar.total - self._bar.n
        self._bar.update(max(0.0, min(count * self._rate, left)))

    def __iter__(self) -> Iterator[Any]:
        for item in self._iterable or ():
            yield item
            self.update()

    def __enter__(self) -> "_Stage":
        return self

    def __exit__(self, *exception: object) -> None:
        pass


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
