"""The folder for downloaded weights and computed features: a convenience, without which work takes longer."""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from dogsgan.errors import CannotWriteError
from dogsgan.progress import say

VARIABLE = "DOGSGAN_CACHE"
T = TypeVar("T")


def user_cache_dir() -> Path | None:
    """Return `$DOGSGAN_CACHE`, else the user's cache folder; None for a user without a home."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "dogsgan"
    try:
        return Path.home() / ".cache" / "dogsgan"
    except RuntimeError:  # no HOME, and the system does not know the user
        return None


def default_cache_dir() -> Path:
    """Return the user's cache folder, or for a user without a home one that lasts as long as this process."""
    return user_cache_dir() or _passing()


@functools.cache
def _passing() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="dogsgan-cache-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    say(f"no home folder, so nothing is kept for the next call: {VARIABLE} can name a folder for that")
    return folder


def in_cache_or(make: Callable[[Path], T], cache: Path, instead: Path) -> T:
    """Return what `make` makes in the folder `cache`, or where nothing can be written there, `instead`."""
    try:
        return make(cache)
    except CannotWriteError as error:
        say(f"not kept for the next call: {error}, or name another cache folder with {VARIABLE}")
        return make(instead)
