"""The simplest account of a copy: the view and the transform that explain it as well as the alignment does.

An alignment follows blur, noise and covers by a fraction of a pixel, and may have found another form of the
right training picture. So simpler transforms and that picture's other forms are tried; the first that leaves
hardly more unexplained is taken.
"""

import math
from collections.abc import Iterator

import numpy as np

from dogsgan.audit.copies.overlay import Overlay, filtered, lay_on, luminance_of, without_edge
from dogsgan.audit.copies.verification import Verified
from dogsgan.audit.copies.views import TrainingViews

_FACTOR, _GREY_LEVELS = 1.1, 0.35  # what a simpler account may leave unexplained, beyond the alignment
_COUNTED = 0.8  # of the pixels, those that fit best: a cover belongs to neither account
_COVERS = 0.9  # of the pixels that the alignment covers
_FEWEST_PX = 200


def simplified(
    pictures: np.ndarray, views: TrainingViews, verified: Verified, *, rows: np.ndarray
) -> Verified:
    """Return the same with the simplest view and transform for some `rows` of the N×S×S×3 pictures."""
    view, transform = verified.view.copy(), verified.transform.copy()
    for row in rows.tolist():
        view[row], transform[row] = simplest(
            np.asarray(pictures[row]),
            views,
            view=int(view[row]),
            mirrored=bool(verified.mirrored[row]),
            transform=transform[row],
        )
    return verified._replace(view=view, transform=transform)


def simplest(
    picture: np.ndarray, views: TrainingViews, *, view: int, mirrored: bool, transform: np.ndarray
) -> tuple[int, np.ndarray]:
    """Return the view, of the same training picture, and the 3×3 transform of the simplest account."""

    def laid(some: int, moved: np.ndarray) -> Overlay:
        return lay_on(picture, np.asarray(views.pictures[some]), mirrored=mirrored, transform=moved)

    aligned = laid(view, transform)
    unmoved, *others = _simpler(transform)
    forms = np.flatnonzero(views.picture_index == views.picture_index[view]).tolist()
    accounts = [(view, unmoved), *((form, unmoved) for form in forms if form != view)]
    for form, moved in (*accounts, *((view, moved) for moved in others)):
        tried = laid(form, moved)
        where = without_edge(tried.inside & aligned.inside)
        if tried.inside.sum() < _COVERS * aligned.inside.sum() or where.sum() < _FEWEST_PX:
            continue
        if _unexplained(tried, where) <= _FACTOR * _unexplained(aligned, where) + _GREY_LEVELS:
            return form, moved
    return view, transform


def _unexplained(overlay: Overlay, where: np.ndarray) -> float:
    """Return the mean difference of luminance, in grey levels, where the two fit best."""
    picture, view = luminance_of(overlay.picture), luminance_of(overlay.fitted)
    error = np.sort(np.abs(picture - filtered(view, picture, where))[where])
    return float(error[: int(_COUNTED * len(error))].mean())


def _simpler(transform: np.ndarray) -> Iterator[np.ndarray]:
    """Yield transforms with fewer changes, the fewest first; the first is none, or a quarter-turn."""
    linear, shift, none = transform[:2, :2], transform[:2, 2], np.zeros(2)
    turn = math.atan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
    quarters = np.round(_turned(round(turn / (math.pi / 2)) * math.pi / 2))
    scale = math.sqrt(abs(float(np.linalg.det(linear))))
    yield _matrix(quarters, none)
    yield _matrix(quarters, shift)
    yield _matrix(scale * quarters, shift)
    yield _matrix(_turned(turn), none)
    yield _matrix(_turned(turn), shift)
    yield _matrix(scale * _turned(turn), shift)
    yield _matrix(np.diag(np.diag(linear @ quarters.T)) @ quarters, shift)


def _turned(radians: float) -> np.ndarray:
    cosine, sine = math.cos(radians), math.sin(radians)
    return np.array([[cosine, -sine], [sine, cosine]])


def _matrix(linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    matrix = np.eye(3, dtype=np.float32)
    matrix[:2, :2], matrix[:2, 2] = linear, shift
    return matrix
