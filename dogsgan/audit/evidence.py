"""Evidence on pictures: how near each comes to the training set in the network's features and in pixels."""

import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.search import find_candidates
from dogsgan.audit.verification import Verified, verify
from dogsgan.audit.views import TrainingViews
from dogsgan.blockwise import CPU, at_once, blocks, blockwise
from dogsgan.device import with_float64
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, features_of
from dogsgan.files import atomic_path
from dogsgan.metrics.distances import unit_rows
from dogsgan.progress import say

NULL_SAMPLE = 2000
"""How many training pictures are compared with the rest of their set: the null distribution."""
PICTURES_AT_ONCE = 2048  # searched and verified together; what is done is kept after each such part
_NOBODY = -1
_FAR = 2.0  # farther than any distance
_ROWS_AT_ONCE = 512
_VALUES_OF_A_PAIR = 6  # of float64, at most, while rows are compared
_STEP = 1e-12  # distances that differ by less are equal


@dataclass(frozen=True)
class Workspace:
    """A folder of finished stages, each a file of arrays."""

    folder: Path

    def stage(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return a stage's arrays: those that are kept, else those that `make` returns, which are kept."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            pass  # not there yet, or damaged: it is made anew
        arrays = make()
        try:
            with atomic_path(path) as partial, partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except DogsganError as error:  # it only saves time after an interruption
            say(f"what is found so far is not kept: {error}")
        return arrays


class Pictures(NamedTuple):
    """N pictures with their features."""

    pixels: np.ndarray
    """N×S×S×3 uint8."""
    features: np.ndarray
    """N×D float32."""
    mirrored_features: np.ndarray
    """N×D float32, of the mirror images."""
    own_group: np.ndarray | None = None
    """N: the group of training pictures that each belongs to and is not compared with; None: none."""


class Neighbours(NamedTuple):
    """The k nearest training pictures of each row, every array N×k, nearest first.

    A row has fewer than k where it may match fewer pictures, and none where its features sum to 0; what is
    missing has view −1 and distance infinity.
    """

    view: np.ndarray
    """Which training view, int64."""
    flipped: np.ndarray
    """Whether the mirrored generated picture is the nearer one, bool."""
    distance: np.ndarray
    """`1 − |cos|` in float64, 0..1."""


class Evidence(NamedTuple):
    """The evidence on N pictures."""

    neighbours: Neighbours
    """The k nearest training pictures by features."""
    verified: Verified
    """The training view that the pixels fit best."""


class Originals(NamedTuple):
    """The features of the training pictures as the score sees them: whole, or a prepared set's crops.

    Only these are compared by features. Other forms of a picture are found by its pixels, which takes no
    network, and a feature of every view would take three to four times as long as all others together.
    """

    features: np.ndarray
    """M×D float32."""
    view: np.ndarray
    """M int64: which training view shows each picture so."""

    @classmethod
    def of(cls, features: np.ndarray, names: Sequence[str], views: TrainingViews) -> "Originals":
        """Return those of M named pictures. Any may be missing among the views: they are joined by name."""
        first = np.searchsorted(views.picture_index, np.arange(len(views.names)))
        view_of = dict(zip(views.names, first.tolist(), strict=True))
        view = np.array([view_of.get(name, -1) for name in names])
        known = view >= 0
        return cls(features if known.all() else features[known], view[known])


def real_sample(
    views: TrainingViews,
    groups: np.ndarray,
    network: FeatureNetwork,
    workspace: Workspace,
    seed: int,
    *,
    count: int = NULL_SAMPLE,
) -> Pictures:
    """Return training pictures to hold against the rest, at most `count`, each in one of its forms.

    Of a group of duplicates one is taken; `groups`, P, are those of the training pictures.
    """
    random = np.random.default_rng(seed)
    _, one_of_each = np.unique(groups, return_index=True)
    chosen = np.sort(random.permutation(one_of_each)[:count])
    first = np.searchsorted(views.picture_index, chosen, side="left")
    last = np.searchsorted(views.picture_index, chosen, side="right")
    pixels = np.asarray(views.pictures[random.integers(first, last)])
    made = workspace.stage(
        "real-features",
        lambda: {
            "plain": features_of(pixels, network, show_progress=True),
            "mirrored": features_of(pixels[:, :, ::-1], network, show_progress=True),
        },
    )
    return Pictures(pixels, made["plain"], made["mirrored"], own_group=groups[chosen])


def gather(
    pictures: Pictures,
    views: TrainingViews,
    originals: Originals,
    *,
    group_of_picture: np.ndarray,
    neighbours: int,
    workspace: Workspace,
    name: str,
    device: torch.device,
) -> Evidence:
    """Compare pictures with the training set, in features (originals) and in pixels (every view).

    `name` heads bars and kept files.
    """
    own_group = pictures.own_group

    def searched(rows: slice) -> dict[str, np.ndarray]:
        pixels = np.asarray(pictures.pixels[rows])
        candidates = find_candidates(
            pixels,
            views,
            own_group=None if own_group is None else own_group[rows],
            group_of_picture=group_of_picture,
            device=device,
            description=f"{name}: search in pixels",
        )
        found = verify(pixels, views, candidates, device=device, description=f"{name}: alignment")
        return found._asdict()

    found = workspace.stage(
        f"{name}-neighbours",
        lambda: nearest_pictures(
            pictures,
            originals,
            k=neighbours,
            groups=group_of_picture[views.picture_index[originals.view]],
            description=f"{name}: nearest by features",
            device=with_float64(device),
        )._asdict(),
    )
    parts = [
        workspace.stage(f"{name}-pixels-{rows.start:06d}", partial(searched, rows))
        for rows in blocks(len(pictures.pixels), PICTURES_AT_ONCE)
    ]
    verified = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Evidence(Neighbours(**found), Verified(**verified))


def nearest_pictures(
    pictures: Pictures,
    originals: Originals,
    *,
    k: int,
    groups: np.ndarray | None = None,
    description: str | None = None,
    device: torch.device = CPU,
) -> Neighbours:
    """Find the k training pictures nearest by features to each of N pictures or to its mirror image.

    A picture never matches one of its own group, by `groups`, M: itself and its duplicates, where real
    pictures are compared with the rest. `description` heads a progress bar.

    Features that sum to 0 take no part, as in the memorization distance. At equal distance the earlier one
    comes first, and the picture before its mirror image. Memory beyond the features: all of them in float64,
    and two blocks of products.
    """
    sides = [_units(features, device) for features in (pictures.features, pictures.mirrored_features)]
    training, training_usable = _units(originals.features, device)
    own_group = pictures.own_group

    def nearest(rows: slice) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        barred = ~training_usable[None]
        if own_group is not None and groups is not None:
            barred = barred | torch.as_tensor(own_group[rows, None] == groups[None], device=device)
        plain, mirrored = (
            (1 - (units[rows] @ training.T).abs())
            .clamp_(min=0)
            .masked_fill_(barred | ~usable[rows, None], _FAR)
            for units, usable in sides
        )
        distance = torch.minimum(plain, mirrored)
        places = torch.arange(len(training), device=device)
        order = (distance / _STEP).round_().long() * len(training) + places
        index = order.topk(min(k, len(training)), dim=1, largest=False).indices
        distance, plain, mirrored = (values.gather(1, index).cpu() for values in (distance, plain, mirrored))
        found = distance < _FAR
        view = np.where(found, originals.view[index.cpu()], _NOBODY)
        flipped = (mirrored < plain - _STEP) & found
        return view, flipped.numpy(), distance.masked_fill(~found, torch.inf).numpy()

    every = list(blocks(len(pictures.features), rows_at_once(len(training), device)))
    parts = blockwise(nearest, every, description=description, device=device)
    found = [np.concatenate(part) for part in zip(*(part for _, part in parts), strict=True)]
    missing = ((0, 0), (0, max(0, k - found[0].shape[1])))
    fills = (_NOBODY, False, np.inf)
    return Neighbours(
        *(np.pad(values, missing, constant_values=fill) for values, fill in zip(found, fills, strict=True))
    )


def rows_at_once(training: int, device: torch.device) -> int:
    """Return how many pictures are compared at once by features with `training` others."""
    return at_once(_ROWS_AT_ONCE, row_bytes=8 * _VALUES_OF_A_PAIR * max(1, training), device=device)


def _units(features: np.ndarray, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return features as rows of length 1 in float64, and which of them do not sum to 0."""
    rows = torch.from_numpy(np.array(features, dtype=np.float64)).to(device)
    return unit_rows(rows), rows.sum(dim=1) != 0
