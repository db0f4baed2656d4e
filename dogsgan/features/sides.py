"""The two sides of a comparison: features of generated pictures and of real ones, and their files.

A cached file is named `LISTING-CONTENTS.npz`. LISTING is a hash of what is known without reading a picture:
the names, and what decides the result beside the pictures. CONTENTS is a hash of the pictures' bytes. So a
source that no file is kept for is hashed while it is decoded, and one that has a file is only hashed.
Statistics files are the organisers' `.npz`, pytorch-fid's, and one that both can read.
"""

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogsgan.cache import VARIABLE, default_cache_dir
from dogsgan.competition import SIZE_PX
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import (
    AUTO,
    FeatureNetwork,
    features_by_networks,
    features_of_stream,
    open_network,
)
from dogsgan.files import atomic_path
from dogsgan.metrics.frechet import Statistics, statistics_of
from dogsgan.pictures import PIXELS, Consumer, PictureReader, read_generated, whole_at
from dogsgan.progress import say

_MAX_FILE_BYTES = 4 * 2**30


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison: the statistics of its features and, where known, the features."""

    statistics: Statistics
    features: np.ndarray | None
    """N×D float32; None where only statistics are known."""
    rows: np.ndarray | None = None
    """N int64: which pictures of the source have features, by their place in it; None where not known."""
    jpegs_by_pillow: int = 0
    """How many JPEGs among them were decoded by Pillow; see `dogsgan.pictures`."""

    @property
    def count(self) -> int | None:
        """How many pictures; None where a statistics file does not say."""
        return self.statistics.count


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
    cache_dir = default_cache_dir(cache_dir)
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
            _keep(files[index], side)
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


def _keep(file: CacheFile, side: Side) -> None:
    """Keep a side with all that `load_statistics` gives back; where that fails, say so and go on."""
    rows = {} if side.rows is None else {"rows": side.rows}
    try:
        _write(file.path(), side, jpegs_by_pillow=np.array(side.jpegs_by_pillow), **rows)
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


def is_statistics_file(path: Path) -> bool:
    """Return whether `path` names a statistics file."""
    return path.suffix.lower() == ".npz"


def check_statistics_name(path: Path | None) -> None:
    """Refuse to write statistics to a file that is not called `.npz`, before anything is computed.

    Raises:
        DogsganError: it has another ending.
    """
    if path is not None and not is_statistics_file(Path(path)):
        raise DogsganError(f"the statistics file {path} should end in .npz")


def save_statistics(path: Path, side: Side) -> None:
    """Write an `.npz` with `m`, `s`, `features` (the organisers' names), `mu`, `sigma` (pytorch-fid's)."""
    if side.features is None:
        raise DogsganError(
            f"cannot write {path}: the real side has no features, so there is nothing new to save"
        )
    _write(path, side, mu=side.statistics.mean, sigma=side.statistics.covariance)


def _write(path: Path, side: Side, **more: np.ndarray) -> None:
    arrays = {"m": side.statistics.mean, "s": side.statistics.covariance, "features": side.features, **more}
    with atomic_path(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def load_statistics(path: Path, *, dimension: int, network: str) -> Side:
    """Read a statistics file that must be of features of length `dimension`, as `network` makes them.

    Raises:
        DogsganError: missing, not such a file, of another network, or with NaN in it.
    """
    arrays = _read_arrays(path)
    pair = ("m", "s") if {"m", "s"} <= arrays.keys() else ("mu", "sigma")
    if not arrays.keys() >= set(pair):
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DogsganError(
            f"{path} is no statistics file: it needs m and s, or mu and sigma; it holds {found}"
        )
    mean, covariance, features = arrays[pair[0]], arrays[pair[1]], arrays.get("features")
    numbers = {"mean": mean, "covariance": covariance}
    if features is not None:
        numbers["features"] = features
    if any(not np.issubdtype(array.dtype, np.floating) for array in numbers.values()):
        raise DogsganError(f"{path} holds arrays that are not floating-point numbers: make it anew")
    fit = mean.shape == (dimension,) and covariance.shape == (dimension, dimension)
    if not fit or (features is not None and features.shape[1:] != (dimension,)):
        raise DogsganError(
            f"{path} is of another network: mean of shape {mean.shape}, covariance {covariance.shape}, "
            f"while {network} makes {dimension} features"
        )
    for name, array in numbers.items():
        if not np.isfinite(array).all():
            raise DogsganError(f"{path} has NaN or infinite values in its {name}: make it anew")
    count = None if features is None else len(features)
    return Side(
        Statistics(mean.astype(np.float64), covariance.astype(np.float64), count),
        features,
        rows=arrays.get("rows"),
        jpegs_by_pillow=int(arrays.get("jpegs_by_pillow", 0)),
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    wanted = ("m", "s", "mu", "sigma", "features", "rows", "jpegs_by_pillow")
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > _MAX_FILE_BYTES:
                raise DogsganError(f"{path} unpacks to more than 4 GiB: that is no statistics file")
        with np.load(path, allow_pickle=False) as stored:
            present = [name for name in wanted if name in stored]
            if "m" in present and "s" in present:  # then the other pair says the same
                present = [name for name in present if name not in ("mu", "sigma")]
            return {name: stored[name] for name in present}
    except FileNotFoundError as error:
        raise DogsganError(f"no statistics file at {path}") from error
    except DogsganError:
        raise
    except Exception as error:  # damaged archives and arrays raise anything
        raise DogsganError(f"{path} cannot be read as a statistics file ({error}): make it anew") from error
