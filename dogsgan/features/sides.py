"""The two sides of a comparison: generated pictures as they are, real ones whole, by one or more networks."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dogsgan.cache import default_cache_dir
from dogsgan.competition import SIZE_PX
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.cache import feature_file, keep_side, load_cached
from dogsgan.features.extraction import Side, features_by_networks, features_of_stream
from dogsgan.features.networks import AUTO, FeatureNetwork, open_network
from dogsgan.metrics.statistics import statistics_of
from dogsgan.pictures import Consumer, PictureReader, read_generated, whole_at
from dogsgan.progress import say


def opened_for(
    generated: PictureReader,
    network: str,
    *,
    weights: Path | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
) -> FeatureNetwork:
    """Return the network for generated pictures, opened; `auto` goes by the first one's size.

    Raises:
        DogsganError: as `PictureReader.side_px` and `open_network`.
    """
    size_px = generated.side_px() if network == AUTO and len(generated) else SIZE_PX
    return open_network(network, weights=weights, device=device, cache_dir=cache_dir, size_px=size_px)


def generated_size(generated: PictureReader, network: FeatureNetwork) -> int:
    """Return the side in px of generated pictures.

    Raises:
        DogsganError: there are fewer than two, they are not square, or the network takes another size.
    """
    path = generated.source.path
    if len(generated) < 2:
        raise DogsganError(f"{path} holds {len(generated)} picture(s): a score needs at least 2")
    size_px = generated.side_px()
    if network.required_px not in (None, size_px):
        raise DogsganError(
            f"the pictures in {path} are {size_px}×{size_px} px: the network {network.name} scores "
            f"{network.required_px}×{network.required_px} px, and the competition refuses other sizes; "
            f"generate at {network.required_px} px, or choose another --network"
        )
    return size_px


def generated_side_of(
    generated: PictureReader, network: FeatureNetwork, *, batch_size: int | None = None
) -> tuple[Side, list[str]]:
    """Return the features of generated pictures, which are read unless they have been, and warnings.

    Raises:
        DogsganError: as `generated_size` and `read_generated`; or a feature is NaN or infinite.
    """
    if generated.pixels is None:
        read_generated(generated, generated_size(generated, network))
    assert generated.pixels is not None
    pictures = zip(generated.names, generated.pixels, strict=True)
    features = features_of_stream(
        pictures, network, total=len(generated), batch_size=batch_size, description="generated"
    )
    warnings = []
    if generated.not_png:
        warnings.append(
            f"{generated.not_png:,} generated pictures are not PNG: the competition refuses such a file"
        )
    return _side(features, generated), warnings


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
    files = [feature_file(cache_dir, source, network, size_px=size) for network, size in pairs]
    if consumers and all(file.is_likely() for file in files):
        _extracted(source, [], batch_size, consumers)  # hashes the pictures, too
        consumers = ()
    sides = [
        load_cached(file.path(), network) if file.is_likely() else None
        for file, network in zip(files, networks, strict=True)
    ]
    missing = [index for index, side in enumerate(sides) if side is None]
    if missing or consumers:
        found = _extracted(source, [pairs[index] for index in missing], batch_size, consumers)
        for index, side in zip(missing, found, strict=True):
            keep_side(files[index], side)
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
    if not wanted:
        reader.feed(consumers)
        return []
    sizes = sorted({size for _, size in wanted})
    views = [whole_at(source, size) for size in sizes]
    stream = reader.stream(lambda image, picture: [view(image, picture) for view in views], consumers)

    def pictures() -> Iterator[tuple[str, list[np.ndarray]]]:
        for row, seen in stream:
            yield source.images[row].name, [seen[sizes.index(size)] for _, size in wanted]

    networks = [network for network, _ in wanted]
    features = features_by_networks(
        pictures(), networks, total=len(reader), batch_size=batch_size, description="real"
    )
    for line in reader.unreadable[:3]:
        say(f"left out: {line}")
    if len(reader.rows) < 2:
        raise DogsganError(
            f"{source.path} has {len(reader.rows)} readable picture(s): a score needs at least 2"
        )
    return [_side(rows, reader) for rows in features]


def _side(features: np.ndarray, read: PictureReader) -> Side:
    return Side(
        statistics=statistics_of(features),
        features=features,
        rows=np.array(read.rows, dtype=np.int64),
        jpegs_by_pillow=read.jpegs_by_pillow,
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
