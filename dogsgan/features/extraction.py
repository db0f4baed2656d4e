"""Pictures in, features out: one side of the comparison, with its statistics."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch

from dogsgan.blockwise import blockwise
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork
from dogsgan.metrics.frechet import Statistics
from dogsgan.progress import progress_bar

_Batch: TypeAlias = tuple[int, np.ndarray, list[str]]
"""The index of a network, pictures N×H×W×3 for it, and their names."""

_MOST_BATCHES = 8
"""Batches that are worked on at once."""


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
    named = ((str(index), picture) for index, picture in enumerate(pictures))
    description = "pictures" if show_progress else None
    return features_of_stream(
        named, network, total=len(pictures), batch_size=batch_size, description=description
    )


def features_of_stream(
    pictures: Iterable[tuple[str, np.ndarray]],
    network: FeatureNetwork,
    *,
    total: int,
    batch_size: int | None = None,
    description: str | None,
) -> np.ndarray:
    """Return the features, N×D float32, of pictures that come one by one, at most `total`: name and H×W×3.

    `description` heads a progress bar; None shows none.

    Raises:
        DogsganError: the network returned NaN or an infinity for a picture, which is named.
    """
    views = ((name, [picture]) for name, picture in pictures)
    [features] = features_by_networks(
        views, [network], total=total, batch_size=batch_size, description=description
    )
    return features


def features_by_networks(
    pictures: Iterable[tuple[str, Sequence[np.ndarray]]],
    networks: Sequence[FeatureNetwork],
    *,
    total: int,
    batch_size: int | None = None,
    description: str | None,
) -> list[np.ndarray]:
    """Return features by several networks, as `features_of_stream`, of a view of each picture for each.

    On the CPU several batches are worked on at once, one core each: cores that share a batch wait for each
    other after every layer.
    """

    def batches() -> Iterator[_Batch]:
        waiting: list[tuple[list[np.ndarray], list[str]]] = [([], []) for _ in networks]
        for name, views in pictures:
            for index, (network, view) in enumerate(zip(networks, views, strict=True)):
                waiting[index][0].append(view)
                waiting[index][1].append(name)
                if len(waiting[index][1]) == (batch_size or network.batch_size):
                    yield index, np.stack(waiting[index][0]), waiting[index][1]
                    waiting[index] = [], []
        for index, (some, names) in enumerate(waiting):
            if some:
                yield index, np.stack(some), names

    def forward(batch: _Batch) -> torch.Tensor:
        return networks[batch[0]].features(batch[1])

    features = [np.empty((total, network.dimension), dtype=np.float32) for network in networks]
    counts = [0] * len(networks)
    done: Iterator[tuple[_Batch, torch.Tensor]]
    if networks[0].device.type == "cpu" and torch.get_num_threads() > 1:
        done = blockwise(forward, batches(), most=_MOST_BATCHES)
    else:
        done = ((batch, forward(batch)) for batch in batches())
    with contextlib.ExitStack() as stack:
        bar = None
        if description is not None:
            whole = total * len(networks)
            bar = stack.enter_context(progress_bar(description=f"features: {description}", total=whole))
        for (index, _, names), found in done:
            _refuse_nan(found, names, networks[index])
            features[index][counts[index] : counts[index] + len(names)] = found.numpy()
            counts[index] += len(names)
            if bar is not None:
                bar.update(len(names))
    return [rows[:count] for rows, count in zip(features, counts, strict=True)]


def _refuse_nan(batch: torch.Tensor, names: list[str], network: FeatureNetwork) -> None:
    finite = torch.isfinite(batch).all(dim=1)
    if not finite.all():
        name = names[int((~finite).nonzero()[0])]
        raise DogsganError(
            f"the network {network.name} returns NaN or infinite features for picture {name}: "
            "its weights are damaged or of another network"
        )
