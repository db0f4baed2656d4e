"""Pictures in, features out: one side of the comparison, with its statistics."""

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork
from dogsgan.features.parallel import in_parallel
from dogsgan.metrics.statistics import Statistics
from dogsgan.progress import progress_bar


@dataclass(frozen=True, eq=False)
class Side:
    """One side of a comparison: the statistics of its features and, where known, the features."""

    statistics: Statistics
    features: np.ndarray | None
    """N×D float32; None where only statistics are known."""
    description: str
    rows: np.ndarray | None = None
    """N int64: which pictures of the source have features, by their place in it; None where not known."""
    jpegs_by_pillow: int = 0
    """How many JPEGs among them were decoded by Pillow; see `dogsgan.decoding`."""

    @property
    def count(self) -> int | None:
        """How many pictures; None where a statistics file does not say."""
        return self.statistics.count


def features_of(
    pictures: np.ndarray,
    network: FeatureNetwork,
    *,
    batch_size: int | None = None,
    show_progress: bool = False,
) -> np.ndarray:
    """Return the features, N×D float32, of pictures in memory, N×H×W×3 with values 0..255.

    Raises:
        DogsganError: the network returned NaN or an infinity; the picture is named by its index.
    """
    if pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ValueError(f"pictures of shape {pictures.shape}, expected N×H×W×3")
    step = batch_size or network.batch_size
    batches = (
        (
            pictures[start : start + step],
            [str(index) for index in range(start, min(start + step, len(pictures)))],
        )
        for start in range(0, len(pictures), step)
    )
    return features_of_batches(
        batches, network, total=len(pictures), description="pictures" if show_progress else None
    )


def features_of_batches(
    batches: Iterable[tuple[np.ndarray, list[str]]],
    network: FeatureNetwork,
    *,
    total: int,
    description: str | None,
) -> np.ndarray:
    """Return the features, N×D float32, of picture batches (N×H×W×3, names), at most `total` in all.

    `description` heads a progress bar; None shows none.

    Raises:
        DogsganError: the network returned NaN or an infinity for a picture, which is named.
    """
    features = np.empty((total, network.dimension), dtype=np.float32)
    count = 0
    with contextlib.ExitStack() as stack:
        bar = None
        if description is not None:
            bar = stack.enter_context(progress_bar(description=f"features: {description}", total=total))
        for batch, names in in_parallel(batches, network):
            _refuse_nan(batch, names, network)
            features[count : count + len(names)] = batch.numpy()
            count += len(names)
            if bar is not None:
                bar.update(len(names))
    return features[:count]


def _refuse_nan(batch: torch.Tensor, names: list[str], network: FeatureNetwork) -> None:
    finite = torch.isfinite(batch).all(dim=1)
    if not finite.all():
        name = names[int((~finite).nonzero()[0])]
        raise DogsganError(
            f"the network {network.name} returns NaN or infinite features for picture {name}: "
            "its weights are damaged or of another network"
        )
