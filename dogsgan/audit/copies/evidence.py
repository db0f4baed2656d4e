"""Evidence on pictures: how near each comes to the training set in features and in pixels."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.copies.blends import with_partners
from dogsgan.audit.copies.neighbours import Neighbours, nearest_pictures
from dogsgan.audit.copies.search import find_candidates
from dogsgan.audit.copies.simplest import simplified
from dogsgan.audit.copies.verification import Verified, verify
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.audit.workspace import Workspace
from dogsgan.blockwise import blocks
from dogsgan.features.extraction import features_of
from dogsgan.features.networks import FeatureNetwork

NULL_SAMPLE = 2000
"""How many training pictures are compared with the rest of their set: the null distribution."""
_EXPLAINED = 0.9  # pixel similarity above which one training picture explains a copy
_MOST_SEARCHED_TWICE = 3000
PICTURES_AT_ONCE = 2048  # searched and verified together; what is done is kept after each such part


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


def with_mirrored(
    pixels: np.ndarray, features: np.ndarray, network: FeatureNetwork, workspace: Workspace
) -> Pictures:
    """Return generated pictures with their features and those of their mirror images."""
    mirrored = workspace.stage(
        "generated-features-mirrored",
        lambda: {"features": features_of(pixels[:, :, ::-1], network, show_progress=True)},
    )
    return Pictures(pixels, features, mirrored["features"])


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
            pictures.features,
            pictures.mirrored_features,
            originals.features,
            views=originals.view,
            k=neighbours,
            groups=group_of_picture[views.picture_index[originals.view]],
            own_group=own_group,
            description=f"{name}: nearest by features",
        )._asdict(),
    )
    parts = [
        workspace.stage(f"{name}-pixels-{rows.start:06d}", partial(searched, rows))
        for rows in blocks(len(pictures.pixels), PICTURES_AT_ONCE)
    ]
    verified = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    return Evidence(Neighbours(**found), Verified(**verified))


def refined(
    pictures: np.ndarray,
    views: TrainingViews,
    evidence: Evidence,
    *,
    flagged: np.ndarray,
    device: torch.device,
) -> Evidence:
    """Look closer at flagged pictures, of N×S×S×3: for blends, then for the simplest account."""
    verified = evidence.verified
    found = flagged & (verified.view >= 0)
    unexplained = np.flatnonzero(found & (verified.similarity < _EXPLAINED))[:_MOST_SEARCHED_TWICE]
    verified = with_partners(
        pictures,
        views,
        verified,
        rows=unexplained,
        device=device,
        description="flagged: search for a second picture",
    )
    verified = simplified(pictures, views, verified, rows=np.flatnonzero(found))
    return evidence._replace(verified=verified)
