"""Overlays: training views laid on a generated picture, moved and recoloured, and what they leave of it.

A closer look at a copy uses them twice. A faint second picture of a blend is not among the candidates of the
whole: so the first is subtracted, what remains is searched for like a picture, and both are fitted together.
And an alignment follows blur, noise and covers by a fraction of a pixel, and may have found another form of
the right training picture: so simpler transforms and that picture's other forms are tried, and the first that
leaves hardly more unexplained is taken.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from dogsgan.audit.result import Pair
from dogsgan.audit.search import LUMINANCE, Candidates, Window, find_candidates
from dogsgan.audit.verification import Verified, verify, warp
from dogsgan.audit.views import TrainingViews

_MID_GREY = 128
_SQUARED_RADIUS = np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2)
_RINGS = [(radius == _SQUARED_RADIUS).astype(np.float32) for radius in np.unique(_SQUARED_RADIUS)]
_KEPT = (0.9, 0.7, 0.6, 0.6)  # shares of the picture that colours are fitted to, one step after the other
_RIDGE = 1e-2 * np.eye(5)  # for pictures of one colour
_EXPLAINED = 0.9  # pixel similarity above which one training picture explains a copy
_MOST_SEARCHED_TWICE = 3000
_PARTNERS = 12
_REMAINDER_STD = 50.0  # grey levels that the remainder is stretched to, so that it is searched like a picture
_FACTOR, _GREY_LEVELS = 1.1, 0.35  # what a simpler account may leave unexplained, beyond the alignment
_COUNTED = 0.8  # of the pixels, those that fit best: a cover belongs to neither account
_COVERS = 0.9  # of the pixels that the alignment covers
_FEWEST_PX = 200


@dataclass(frozen=True, eq=False)
class Overlay:
    """A training view laid on a generated picture and recoloured to match it."""

    picture: np.ndarray
    """The generated picture, H×W×3 float32."""
    moved: np.ndarray
    """The view moved onto it, H×W×3 float32, in its own colours."""
    fitted: np.ndarray
    """The same in the picture's colours."""
    inside: np.ndarray
    """H×W bool: where the view covers the picture."""

    @property
    def residual(self) -> np.ndarray:
        """The difference of picture and fitted view, H×W×3; 0 where the view does not reach."""
        return np.where(self.inside[..., None], self.picture - self.fitted, 0.0)

    def pair(self) -> Pair:
        """Return what is shown of it."""
        where = self.inside[..., None]
        shown = np.where(where, self.fitted, _MID_GREY)
        difference = np.where(where, _MID_GREY + (self.picture - self.fitted), _MID_GREY)
        return Pair(*(np.clip(x, 0, 255).round().astype(np.uint8) for x in (self.picture, shown, difference)))


def lay_on(picture: np.ndarray, view: np.ndarray, *, mirrored: bool, transform: np.ndarray) -> Overlay:
    """Lay a training view, H×W×3 uint8, on a picture of its size by a 3×3 transform, and fit its colours."""
    moved, inside = _moved(view, mirrored=mirrored, transform=transform)
    generated = picture.astype(np.float32)
    return Overlay(generated, moved, _recoloured(moved, generated, inside), inside)


def lay_best(picture: np.ndarray, views: TrainingViews, verified: Verified, row: int) -> Overlay:
    """Lay the view that fits a picture best on it; `row` is the picture's place in `verified`."""
    return lay_on(
        picture,
        np.asarray(views.pictures[max(int(verified.view[row]), 0)]),
        mirrored=bool(verified.mirrored[row]),
        transform=verified.transform[row],
    )


def lay_blend_on(
    picture: np.ndarray, views: np.ndarray, *, mirrored: np.ndarray, transform: np.ndarray
) -> tuple[Pair, float]:
    """Lay two views on a picture as the blend that fits best; return it and the first one's share, 0..1."""
    layers, masks = zip(
        *(_moved(views[i], mirrored=bool(mirrored[i]), transform=transform[i]) for i in range(2)), strict=True
    )
    inside = masks[0] & masks[1]
    generated = picture.astype(np.float32)
    columns = [layer[inside].reshape(-1) for layer in layers]
    design = np.stack([*columns, np.ones_like(columns[0])], axis=1)
    weights, *_ = np.linalg.lstsq(design, generated[inside].reshape(-1), rcond=None)
    fitted = weights[0] * layers[0] + weights[1] * layers[1] + weights[2]
    total = max(abs(weights[0]) + abs(weights[1]), 1e-6)
    return Overlay(generated, fitted, fitted, inside).pair(), float(abs(weights[0]) / total)


def luminance_of(picture: np.ndarray) -> np.ndarray:
    """Return the luminance, H×W, of H×W×3 (ITU-R BT.601)."""
    return np.asarray(picture @ np.array(LUMINANCE, dtype=np.float32))


def filtered(view: np.ndarray, picture: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Return `view`, H×W, through the round 5×5 filter that brings it nearest to `picture` at some places.

    Such a filter blurs or sharpens as another way of scaling does. It moves nothing.
    """
    rings = [ndimage.convolve(view, ring, mode="nearest") for ring in _RINGS]
    design = np.stack([*rings, np.ones_like(view)], axis=2).astype(np.float64)
    some = design[where]
    ridge = 1e-3 * np.eye(some.shape[1])
    return np.asarray(design @ np.linalg.solve(some.T @ some + ridge, some.T @ picture[where]))


def means(picture: np.ndarray) -> np.ndarray:
    """Return the mean of each 5×5 px of H×W×3."""
    return ndimage.uniform_filter(picture, size=(5, 5, 1))


def without_edge(where: np.ndarray) -> np.ndarray:
    """Return the part of a mask whose 5×5 surroundings are in it, as far as they are in the picture."""
    return np.asarray(ndimage.binary_erosion(where, iterations=2, border_value=1))


def _moved(view: np.ndarray, *, mirrored: bool, transform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a view moved by a transform, H×W×3 float32, and where it covers the picture."""
    rgb = np.ascontiguousarray(view[:, ::-1] if mirrored else view).astype(np.float32)
    if np.array_equal(transform, np.eye(3)):
        return rgb, np.ones(rgb.shape[:2], dtype=bool)
    stack = torch.from_numpy(np.concatenate([rgb, np.ones_like(rgb[..., :1])], axis=2)).permute(2, 0, 1)[None]
    laid = warp(stack, torch.from_numpy(np.ascontiguousarray(transform))[None], rgb.shape[0])[0]
    values = laid.permute(1, 2, 0).numpy()
    return values[..., :3], values[..., 3] > 0.999


def _recoloured(moved: np.ndarray, picture: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Fit the view's colours to the picture's by a 3×5 matrix, again and again without what fits worst.

    It is fitted to their 5×5 means, so that blur and noise do not pass for less contrast.
    """
    design, smooth_design = (_colour_terms(x) for x in (moved, means(moved)))
    smooth_picture = means(picture)
    reached = without_edge(inside)
    where = reached
    fitted = moved
    for kept in _KEPT:
        if where.sum() < 16:
            return moved
        some = smooth_design[where]
        matrix = np.linalg.solve(some.T @ some + _RIDGE, some.T @ smooth_picture[where])
        fitted = design @ matrix
        error = np.abs(smooth_picture - smooth_design @ matrix).sum(axis=2)
        where = reached & (error <= np.quantile(error[reached], kept))
    return np.clip(fitted, 0, 255).astype(np.float32)


def _colour_terms(picture: np.ndarray) -> np.ndarray:
    """Return H×W×5 float64: colours, the square of their mean for bent tones, and a constant."""
    squared = picture.mean(axis=2, keepdims=True) ** 2 / 255
    return np.concatenate([picture, squared, np.ones_like(squared)], axis=2).astype(np.float64)


def refined(
    pictures: np.ndarray,
    views: TrainingViews,
    verified: Verified,
    *,
    flagged: np.ndarray,
    device: torch.device,
) -> Verified:
    """Look closer at flagged pictures, of N×S×S×3: for blends, then for the simplest account."""
    found = flagged & (verified.view >= 0)
    rows = np.flatnonzero(found & (verified.similarity < _EXPLAINED))[:_MOST_SEARCHED_TWICE]
    verified = with_partners(pictures, views, verified, rows=rows, device=device)
    return simplified(pictures, views, verified, rows=np.flatnonzero(found))


def with_partners(
    pictures: np.ndarray, views: TrainingViews, verified: Verified, *, rows: np.ndarray, device: torch.device
) -> Verified:
    """Return the same, with better blends for some `rows` of the N×S×S×3 pictures where there are any."""
    if len(rows) == 0:
        return verified
    some = np.asarray(pictures[rows])
    laid = (lay_best(picture, views, verified, row) for picture, row in zip(some, rows, strict=True))
    remainders = np.stack([_stretched(overlay.residual) for overlay in laid])
    found = find_candidates(
        remainders,
        views,
        coarse=_PARTNERS,
        fine=_PARTNERS,
        device=device,
        description="flagged: search for a second picture",
    )
    first = verified.view, verified.mirrored, verified.transform
    both = (np.concatenate([one[rows, None], other], axis=1) for one, other in zip(first, found, strict=True))
    again = verify(some, views, Candidates(*both), device=device)
    better = again.blend_similarity > verified.blend_similarity[rows]
    changed = {}
    for name in ("blend_similarity", "blend_view", "blend_mirrored", "blend_transform"):
        changed[name] = getattr(verified, name).copy()
        changed[name][rows[better]] = getattr(again, name)[better]
    return verified._replace(**changed)


def _stretched(residual: np.ndarray) -> np.ndarray:
    """Return what a view leaves of a picture as a picture."""
    stretched = 128.0 + residual * (_REMAINDER_STD / max(float(residual.std()), 1.0))
    return np.clip(stretched, 0, 255).astype(np.uint8)


def simplified(
    pictures: np.ndarray, views: TrainingViews, verified: Verified, *, rows: np.ndarray
) -> Verified:
    """Return the same with the simplest view and transform for some `rows` of the N×S×S×3 pictures."""
    view, transform = verified.view.copy(), verified.transform.copy()
    for row in rows.tolist():
        view[row], transform[row] = _simplest(np.asarray(pictures[row]), views, verified, row)
    return verified._replace(view=view, transform=transform)


def _simplest(
    picture: np.ndarray, views: TrainingViews, verified: Verified, row: int
) -> tuple[int, np.ndarray]:
    """Return the view, of the same training picture, and the 3×3 transform of the simplest account."""
    view, transform = int(verified.view[row]), verified.transform[row]
    aligned = lay_best(picture, views, verified, row)
    unmoved, *others = _simpler(transform)
    forms = np.flatnonzero(views.picture_index == views.picture_index[view]).tolist()
    accounts = [(view, unmoved), *((form, unmoved) for form in forms if form != view)]
    for form, moved in (*accounts, *((view, moved) for moved in others)):
        mirrored = bool(verified.mirrored[row])
        tried = lay_on(picture, np.asarray(views.pictures[form]), mirrored=mirrored, transform=moved)
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

    def rotation(radians: float) -> np.ndarray:
        return Window(turn=radians).matrix()[:2, :2]

    linear, shift, none = transform[:2, :2], transform[:2, 2], np.zeros(2)
    turn = math.atan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
    quarters = np.round(rotation(round(turn / (math.pi / 2)) * math.pi / 2))
    scale = math.sqrt(abs(float(np.linalg.det(linear))))
    yield _matrix(quarters, none)
    yield _matrix(quarters, shift)
    yield _matrix(scale * quarters, shift)
    yield _matrix(rotation(turn), none)
    yield _matrix(rotation(turn), shift)
    yield _matrix(scale * rotation(turn), shift)
    yield _matrix(np.diag(np.diag(linear @ quarters.T)) @ quarters, shift)


def _matrix(linear: np.ndarray, shift: np.ndarray) -> np.ndarray:
    matrix = np.eye(3, dtype=np.float32)
    matrix[:2, :2], matrix[:2, 2] = linear, shift
    return matrix
