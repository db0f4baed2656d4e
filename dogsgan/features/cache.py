"""The features of real pictures, kept from one call to the next.

A file is named `LISTING-CONTENTS.npz`. LISTING is a hash of what is known without reading a picture: the
names, the network, how pictures are decoded and resized. CONTENTS is a hash of the pictures' bytes. So a
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


def is_likely_cached(cache_dir: Path, source: Source, network: FeatureNetwork, *, size_px: int) -> bool:
    """Return whether features of a source with such names are kept; no picture is read for it."""
    return any((cache_dir / "features").glob(f"{_listing(source, network, size_px)}-*.npz"))


def cached_side(cache_dir: Path, source: Source, network: FeatureNetwork, *, size_px: int) -> Side | None:
    """Return the side kept for a source's contents, or None where there is none that can be read.

    Raises:
        DogsganError: a prepared set changed since it was written.
    """
    if not is_likely_cached(cache_dir, source, network, size_px=size_px):
        return None
    return load_cached(_path(cache_dir, _listing(source, network, size_px), source), network)


def keep_side(cache_dir: Path, source: Source, network: FeatureNetwork, side: Side, *, size_px: int) -> None:
    """Keep the side of a source whose pictures have been read; where that fails, say so and go on."""
    try:
        save_side(_path(cache_dir, _listing(source, network, size_px), source), side)
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


def _listing(source: Source, network: FeatureNetwork, size_px: int) -> str:
    names = (image.name for image in source.images)
    return _hash(network.identity, PIXELS, size_px, source.bordered, source.kind, *names)[:32]


def _path(cache_dir: Path, listing: str, source: Source) -> Path:
    return cache_dir / "features" / f"{listing}-{_hash(source.fingerprint())[:32]}.npz"


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()
