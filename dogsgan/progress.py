"""Progress for people: bars and lines, always on stderr, so that stdout stays data. They never fail."""

from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from dogsgan.console import STDERR


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
