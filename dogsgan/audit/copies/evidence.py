"""What can be held against a picture: how near it comes to the training set in features, and in pixels."""

from dataclasses import dataclass, fields
from functools import partial

import numpy as np
import torch

from dogsgan.audit.copies.neighbours import Neighbours, nearest_pictures
from dogsgan.audit.copies.search import find_candidates
from dogsgan.audit.copies.verification import Verified, verify
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.audit.workspace import Workspace, blocks
from dogsgan.data.sources import Source
from dogsgan.features.extraction import Side, features_of
from dogsgan.features.networks import FeatureNetwork

NULL_SAMPLE = 2000
"""How many training pictures are held against the rest to measure how near honest pictures come."""
_PICTURES_AT_ONCE = 2048  # searched and verified together; what is done is kept after each such part


@dataclass(frozen=True, eq=False)
class Pictures:
    """N pictures with their features."""

    pixels: np.ndarray
    """N×S×S×3 uint8."""
    features: np.ndarray
    """N×D float32."""
    mirrored_features: np.ndarray
    """N×D float32, of the mirror images."""
    own_group: np.ndarray | None = None
    """N: the group of training pictures that each belongs to and is not compared with; None: none."""

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was found about N pictures."""

    neighbours: Neighbours
    """The k nearest training pictures by features."""
    verified: Verified
    """The training view that the pixels fit best."""


@dataclass(frozen=True, eq=False)
class Originals:
    """The features of the training pictures as the score sees them: whole, or a prepared set's crops.

    Only these are compared by features. Other forms of a picture are found by its pixels, which takes no
    network, and a feature of every view would take three to four times as long as all others together.
    """

    features: np.ndarray
    """M×D float32."""
    view: np.ndarray
    """M int64: which training view shows each picture so."""

    @classmethod
    def of(cls, side: Side, source: Source, views: TrainingViews) -> "Originals":
        """Return those of a real side. A picture may be missing there or among the views: joined by name."""
        assert side.features is not None
        assert side.rows is not None
        first = np.searchsorted(views.picture_index, np.arange(len(views.names)))
        view_of = dict(zip(views.names, first.tolist(), strict=True))
        view = np.array([view_of.get(source.images[row].name, -1) for row in side.rows])
        known = view >= 0
        return cls(side.features if known.all() else side.features[known], view[known])


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
    found = workspace.stage(
        f"{name}-neighbours",
        lambda: _arrays(
            nearest_pictures(
                pictures.features,
                pictures.mirrored_features,
                originals.features,
                views=originals.view,
                k=neighbours,
                groups=group_of_picture[views.picture_index[originals.view]],
                own_group=pictures.own_group,
                description=f"{name}: nearest by features",
            )
        ),
    )
    parts = [
        workspace.stage(
            f"{name}-pixels-{rows.start:06d}",
            partial(_verified, pictures, rows, views, group_of_picture, name, device),
        )
        for rows in blocks(len(pictures), _PICTURES_AT_ONCE)
    ]
    verified = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Evidence(Neighbours(**found), Verified(**verified))


def _verified(
    pictures: Pictures,
    rows: slice,
    views: TrainingViews,
    group_of_picture: np.ndarray,
    name: str,
    device: torch.device,
) -> dict[str, np.ndarray]:
    pixels = np.asarray(pictures.pixels[rows])
    part = f"{name} {rows.start + 1:,}–{rows.start + len(pixels):,} of {len(pictures):,}"
    candidates = find_candidates(
        pixels,
        views,
        own_group=None if pictures.own_group is None else pictures.own_group[rows],
        group_of_picture=group_of_picture,
        device=device,
        description=f"{part}: search in pixels",
    )
    return _arrays(verify(pixels, views, candidates, device=device, description=f"{part}: alignment"))


def _arrays(value: Neighbours | Verified) -> dict[str, np.ndarray]:
    return {field.name: getattr(value, field.name) for field in fields(value)}
