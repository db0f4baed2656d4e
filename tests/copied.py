"""A training set of clouds, and copies of it."""

from collections.abc import Sequence

import numpy as np
from drawn_pictures import drawn_pictures

from dogsgan.audit.copies.views import TrainingViews


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
