"""Statistics files: the organisers' `.npz`, pytorch-fid's, and one that both can read."""

import zipfile
from pathlib import Path

import numpy as np

from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side
from dogsgan.files import atomic_path
from dogsgan.metrics.statistics import Statistics

_MAX_FILE_BYTES = 4 * 2**30


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


def save_side(path: Path, side: Side) -> None:
    """Write a side with all that `load_statistics` gives back."""
    rows = {} if side.rows is None else {"rows": side.rows}
    _write(path, side, jpegs_by_pillow=np.array(side.jpegs_by_pillow), **rows)


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
    for names in (("m", "s"), ("mu", "sigma")):
        if all(name in arrays for name in names):
            break
    else:
        found = ", ".join(sorted(arrays)) or "nothing"
        raise DogsganError(
            f"{path} is no statistics file: it needs m and s, or mu and sigma; it holds {found}"
        )
    mean, covariance, features = arrays[names[0]], arrays[names[1]], arrays.get("features")
    _check(path, mean, covariance, features, dimension=dimension, network=network)
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


def _check(
    path: Path,
    mean: np.ndarray,
    covariance: np.ndarray,
    features: np.ndarray | None,
    *,
    dimension: int,
    network: str,
) -> None:
    arrays = {"mean": mean, "covariance": covariance}
    if features is not None:
        arrays["features"] = features
    if any(not np.issubdtype(array.dtype, np.floating) for array in arrays.values()):
        raise DogsganError(f"{path} holds arrays that are not floating-point numbers: make it anew")
    fit = mean.shape == (dimension,) and covariance.shape == (dimension, dimension)
    if not fit or (features is not None and features.shape[1:] != (dimension,)):
        raise DogsganError(
            f"{path} is of another network: mean of shape {mean.shape}, covariance {covariance.shape}, "
            f"while {network} makes {dimension} features"
        )
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise DogsganError(f"{path} has NaN or infinite values in its {name}: make it anew")
