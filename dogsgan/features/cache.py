"""Cached results for a source's pictures: features, and a classifier's guesses of real crops.

A file is named `LISTING-CONTENTS.npz`. LISTING is a hash of what is known without reading a picture: the
names, and what decides the result beside the pictures. CONTENTS is a hash of the pictures' bytes. So a
source that no file is kept for is hashed while it is decoded, and one that has a file is only hashed.
"""

import hashlib
from pathlib import Path

from dogsgan.cache import VARIABLE
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side
from dogsgan.features.networks import FeatureNetwork
from dogsgan.features.statistics_file import load_statistics, save_side
from dogsgan.pictures import PIXELS
from dogsgan.progress import say


class CacheFile:
    """The file of a source in a folder; `decisive` is what decides its contents beside the pictures."""

    def __init__(self, folder: Path, source: Source, *decisive: object) -> None:
        self._folder, self._source = folder, source
        self._listing = _hash(*decisive, source.kind, *(image.name for image in source.images))

    def is_likely(self) -> bool:
        """Return whether there is a file of a source with such names; no picture is read for it."""
        return any(self._folder.glob(f"{self._listing}-*.npz"))

    def path(self) -> Path:
        """Return the path for the source's contents.

        Raises:
            DogsganError: a prepared set changed since it was written.
        """
        return self._folder / f"{self._listing}-{_hash(self._source.fingerprint())}.npz"


def feature_file(cache_dir: Path, source: Source, network: FeatureNetwork, *, size_px: int) -> CacheFile:
    """Return the file of a real side's features."""
    return CacheFile(cache_dir / "features", source, network.identity, PIXELS, size_px, source.bordered)


def keep_side(file: CacheFile, side: Side) -> None:
    """Keep the side of a source whose pictures have been read; where that fails, say so and go on."""
    try:
        save_side(file.path(), side)
    except (DogsganError, OSError) as error:
        say(f"features of the real side are not cached: {error}, or name another folder with {VARIABLE}")


def load_cached(path: Path, network: FeatureNetwork) -> Side | None:
    """Return a cached side, or None where there is none that can be read."""
    if not path.is_file():
        return None
    try:
        return load_statistics(path, dimension=network.dimension, network=network.name)
    except DogsganError as error:
        say(f"cached features are damaged, computing them again ({error})")
        return None


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()[:32]
