"""What can be held against a picture: how near it comes to the training set in features, and in pixels."""

from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import numpy as np
import torch

from dogsgan.audit.forms import TrainingViews
from dogsgan.audit.neighbours import Neighbours, nearest_views
from dogsgan.audit.search import find_candidates
from dogsgan.audit.verification import Verified, verify
from dogsgan.audit.workspace import GrowingArray, Workspace, blocks
from dogsgan.progress import progress_bar
from dogsgan.scoring.features import features_of
from dogsgan.scoring.networks import FeatureNetwork

NULL_SAMPLE = 2000
"""How many training pictures are held against the rest to measure how near honest pictures come."""
_PICTURES_AT_ONCE = 2048  # searched and verified together; what is done is kept after each such part
_FEATURES_AT_ONCE = 1024


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


def features_of_views(views: TrainingViews, network: FeatureNetwork, folder: Path) -> np.ndarray:
    """Return the features of every training view, V×D float32, mapped from `folder`; found again there."""
    path = Path(folder) / f"features-{views.identity[:16]}-{network.identity[:16]}.npy"
    features = GrowingArray(path, rows=len(views), shape=(network.dimension,), dtype="float32")
    if not features.complete:
        with progress_bar(
            description="features: training views", total=len(views), initial=features.done, unit="views"
        ) as bar:
            while not features.complete:
                rows = slice(features.done, features.done + _FEATURES_AT_ONCE)
                made = features_of(views.pictures[rows], network)
                features.append(made)
                features.keep()
                bar.update(len(made))
    return features.array


def real_sample(
    views: TrainingViews,
    view_features: np.ndarray,
    groups: np.ndarray,
    network: FeatureNetwork,
    workspace: Workspace,
    seed: int,
) -> Pictures:
    """Return training pictures to hold against the rest, at most `NULL_SAMPLE`, each in one of its forms.

    Of a group of duplicates one is taken; `groups`, P, are those of the training pictures.
    """
    random = np.random.default_rng(seed)
    _, one_of_each = np.unique(groups, return_index=True)
    chosen = np.sort(random.permutation(one_of_each)[:NULL_SAMPLE])
    first = np.searchsorted(views.picture_index, chosen, side="left")
    last = np.searchsorted(views.picture_index, chosen, side="right")
    rows = random.integers(first, last)
    pixels = np.asarray(views.pictures[rows])
    mirrored = workspace.stage(
        "real-features-mirrored",
        lambda: {"features": features_of(pixels[:, :, ::-1], network, show_progress=True)},
    )
    return Pictures(pixels, view_features[rows], mirrored["features"], own_group=groups[chosen])


def gather(
    pictures: Pictures,
    views: TrainingViews,
    view_features: np.ndarray,
    *,
    group_of_picture: np.ndarray,
    neighbours: int,
    workspace: Workspace,
    name: str,
    device: torch.device,
) -> Evidence:
    """Compare pictures with every training view, in features and pixels; `name` heads bars and kept files."""
    found = workspace.stage(
        f"{name}-neighbours",
        lambda: _arrays(
            nearest_views(
                pictures.features,
                pictures.mirrored_features,
                view_features,
                picture_of_view=views.picture_index,
                k=neighbours,
                group_of_picture=None if pictures.own_group is None else group_of_picture,
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
