"""The two sides of a comparison: generated pictures as they are, real ones whole, by one or more networks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dogsgan.cache import default_cache_dir
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.cache import cached_side, is_likely_cached, keep_side
from dogsgan.features.extraction import Side, features_of_stream
from dogsgan.features.networks import FeatureNetwork
from dogsgan.metrics.statistics import statistics_of
from dogsgan.pictures import Consumer, PictureReader, PictureTable, whole_at
from dogsgan.progress import say


def generated_side_of(
    table: PictureTable, network: FeatureNetwork, *, batch_size: int | None = None
) -> tuple[Side, list[str]]:
    """Return the features of generated pictures, and warnings.

    Raises:
        DogsganError: a feature is NaN or infinite.
    """
    assert table.pixels is not None
    pictures = ((name, [picture]) for name, picture in zip(table.names, table.pixels, strict=True))
    [features] = features_of_stream(
        pictures, [network], total=len(table), batch_size=batch_size, description="generated"
    )
    warnings = []
    if table.not_png:
        warnings.append(
            f"{table.not_png:,} generated pictures are not PNG: the competition refuses such a file"
        )
    return _side(features, table), warnings


def real_side_of(
    source: Source,
    network: FeatureNetwork,
    *,
    size_px: int,
    batch_size: int | None = None,
    cache_dir: Path | None = None,
    consumers: Sequence[Consumer] = (),
) -> tuple[Side, list[str]]:
    """Return the features of real pictures, whole, against generated ones of `size_px`, and warnings.

    Raises:
        DogsganError: as `real_sides_of`.
    """
    [side], warnings = real_sides_of(
        source, [network], size_px=size_px, batch_size=batch_size, cache_dir=cache_dir, consumers=consumers
    )
    return side, warnings


def real_sides_of(
    source: Source,
    networks: Sequence[FeatureNetwork],
    *,
    size_px: int,
    batch_size: int | None = None,
    cache_dir: Path | None = None,
    consumers: Sequence[Consumer] = (),
) -> tuple[list[Side], list[str]]:
    """Return the features of real pictures by each network, and warnings.

    Those that are not in the cache are made in one pass, which `consumers` share: each picture is read and
    decoded once. Without consumers nothing is decoded where all of them are in the cache.

    Raises:
        DogsganError: fewer than two pictures can be read, or a feature is NaN or infinite.
    """
    cache_dir = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    sizes = [network.real_px or size_px for network in networks]
    pairs = list(zip(networks, sizes, strict=True))
    if consumers and all(is_likely_cached(cache_dir, source, each, size_px=size) for each, size in pairs):
        _extracted(source, [], batch_size, consumers)  # hashes the pictures, too
        consumers = ()
    sides = [cached_side(cache_dir, source, network, size_px=size) for network, size in pairs]
    missing = [index for index, side in enumerate(sides) if side is None]
    if missing or consumers:
        found = _extracted(
            source, [(networks[index], sizes[index]) for index in missing], batch_size, consumers
        )
        for index, side in zip(missing, found, strict=True):
            keep_side(cache_dir, source, networks[index], side, size_px=sizes[index])
            sides[index] = side
    complete = [side for side in sides if side is not None]
    return complete, _warnings(source, networks, complete)


def _extracted(
    source: Source,
    wanted: Sequence[tuple[FeatureNetwork, int]],
    batch_size: int | None,
    consumers: Sequence[Consumer],
) -> list[Side]:
    """Return the sides by networks and the sizes that they take, in one pass."""
    if source.crop_set is not None:
        source.fingerprint()  # a set that changed since it was written is refused before the network's work
    reader = PictureReader(source)
    sizes = sorted({size for _, size in wanted})
    views = [whole_at(source, size) for size in sizes]
    stream = reader.stream(lambda image, picture: [view(image, picture) for view in views], consumers)

    def pictures() -> Iterator[tuple[str, list[np.ndarray]]]:
        for row, seen in stream:
            yield source.images[row].name, [seen[sizes.index(size)] for _, size in wanted]

    if not wanted:
        for _ in stream:
            pass
        return []
    networks = [network for network, _ in wanted]
    features = features_of_stream(
        pictures(), networks, total=len(reader), batch_size=batch_size, description="real"
    )
    for line in reader.unreadable[:3]:
        say(f"left out: {line}")
    if len(reader.rows) < 2:
        raise DogsganError(
            f"{source.path} has {len(reader.rows)} readable picture(s): a score needs at least 2"
        )
    return [_side(rows, reader.table()) for rows in features]


def _side(features: np.ndarray, table: PictureTable) -> Side:
    return Side(
        statistics=statistics_of(features),
        features=features,
        description=table.source.description,
        rows=table.rows,
        jpegs_by_pillow=table.jpegs_by_pillow,
    )


def _warnings(source: Source, networks: Sequence[FeatureNetwork], sides: Sequence[Side]) -> list[str]:
    warnings = []
    if any(network.competition for network in networks) and source.crop_set is not None:
        warnings.append(
            "the competition compares with whole pictures, and these real ones are crops of a prepared set"
        )
    if sides and (left_out := len(source.images) - (sides[0].count or 0)):
        warnings.append(f"{left_out:,} real picture(s) cannot be read and were left out")
    return warnings
