"""A training set of clouds, copies of it, and the views of any training set."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from drawn_pictures import drawn_pictures

from dogsgan.audit.views import TrainingViews, cutting_views, kept_views
from dogsgan.data.sources import Source
from dogsgan.pictures import PictureReader


def views_of(pictures: np.ndarray, picture_index: Sequence[int] | None = None) -> TrainingViews:
    """Return pictures, V×S×S×3, as training views, one a picture unless said otherwise."""
    index = np.arange(len(pictures)) if picture_index is None else np.asarray(picture_index)
    count = int(index.max()) + 1
    return TrainingViews(
        pictures=pictures,
        picture_index=index.astype(np.int32),
        form=np.zeros(len(pictures), dtype=np.int8),
        forms=("whole",),
        names=tuple(f"real-{i}.png" for i in range(count)),
        class_names=(None,) * count,
        unreadable=(),
    )


def training_clouds(count: int = 80) -> np.ndarray:
    """Return the training set, N×64×64×3."""
    return drawn_pictures(count, size_px=64, seed=1)


def unseen_clouds(count: int = 40) -> np.ndarray:
    """Return pictures that were not trained on."""
    return drawn_pictures(count, size_px=64, seed=2)


def training_views(source: Source, *, size_px: int, folder: Path) -> TrainingViews:
    """Return every view of a source's pictures, as an audit's pass over them cuts and keeps them."""
    with cutting_views(source, size_px=size_px, folder=folder) as cutters:
        if cutters:
            PictureReader(source).feed(cutters)
    views = kept_views(source, size_px=size_px, folder=folder)
    assert views is not None
    return views
