"""The folder for downloaded weights and computed features: a convenience, without which work takes longer."""

import atexit
import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple, TypeVar

from dogsgan.errors import CannotWriteError, cannot_write
from dogsgan.progress import say

VARIABLE = "DOGSGAN_CACHE"
PARTS = {
    "weights": "networks to score with, as fetched",
    "features": "features of real pictures, for score and audit",
    "guesses": "a classifier's guesses of real crops, for recognition",
    "audit": "reduced training pictures, for the audit's search",
}
"""The folders in the cache, and what each is for."""
T = TypeVar("T")


def user_cache_dir(cache_dir: str | Path | None = None) -> Path | None:
    """Return `cache_dir`, else `$DOGSGAN_CACHE`, else the user's cache folder; None without a home folder."""
    if cache_dir is not None:
        return Path(cache_dir)
    if named := os.environ.get(VARIABLE):
        return Path(named)
    if named := os.environ.get("XDG_CACHE_HOME"):
        return Path(named) / "dogsgan"
    try:
        return Path.home() / ".cache" / "dogsgan"
    except RuntimeError:  # no HOME, and the system does not know the user
        return None


def default_cache_dir(cache_dir: str | Path | None = None) -> Path:
    """Return `user_cache_dir`, or for a user without a home a folder that lasts as long as this process."""
    return user_cache_dir(cache_dir) or _passing()


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


class CachePart(NamedTuple):
    """What one folder of the cache holds: see `PARTS`."""

    name: str
    folder: Path
    files: int
    bytes: int


def cache_parts(cache: Path, names: Iterable[str] = PARTS) -> list[CachePart]:
    """Return what is in the folders `names` of a cache; a folder that is not there is empty."""
    found = []
    for name in names:
        files = [path for path in (cache / name).rglob("*") if path.is_file() and not path.is_symlink()]
        found.append(CachePart(name, cache / name, len(files), sum(path.stat().st_size for path in files)))
    return found


def clear_cache(cache: Path, names: Iterable[str] = PARTS) -> list[CachePart]:
    """Remove the folders `names` of a cache and nothing else in it, and return what they held.

    Raises:
        CannotWriteError: a file cannot be removed.
    """
    held = cache_parts(cache, names)
    for part in held:
        try:
            if part.folder.is_symlink():
                part.folder.unlink()
            elif part.folder.exists():
                shutil.rmtree(part.folder)
        except OSError as error:
            raise cannot_write(error, part.folder) from error
    return held
