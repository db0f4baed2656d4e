"""Training views laid on a generated picture: moved, recoloured, and what is left between the two."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from dogsgan.audit.copies.alignment import warp
from dogsgan.audit.result import Pair

_MID_GREY = 128
_LUMINANCE = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_SQUARED_RADIUS = np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2)
_RINGS = [(radius == _SQUARED_RADIUS).astype(np.float32) for radius in np.unique(_SQUARED_RADIUS)]
_KEPT = (0.9, 0.7, 0.6, 0.6)  # shares of the picture that colours are fitted to, one step after the other
_RIDGE = 1e-2 * np.eye(5)  # for pictures of one colour


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
        return _pair(self.picture, self.fitted, self.inside)


def lay_on(picture: np.ndarray, view: np.ndarray, *, mirrored: bool, transform: np.ndarray) -> Overlay:
    """Lay a training view, H×W×3 uint8, on a picture of its size by a 3×3 transform, and fit its colours."""
    moved, inside = _moved(view, mirrored=mirrored, transform=transform)
    generated = picture.astype(np.float32)
    return Overlay(generated, moved, _recoloured(moved, generated, inside), inside)


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
    return _pair(generated, fitted, inside), float(abs(weights[0]) / total)


def luminance_of(picture: np.ndarray) -> np.ndarray:
    """Return the luminance, H×W, of H×W×3 (ITU-R BT.601)."""
    return np.asarray(picture @ _LUMINANCE)


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


def _pair(picture: np.ndarray, fitted: np.ndarray, inside: np.ndarray) -> Pair:
    shown = np.where(inside[..., None], fitted, _MID_GREY)
    difference = np.where(inside[..., None], _MID_GREY + (picture - fitted), _MID_GREY)
    return Pair(*(np.clip(x, 0, 255).round().astype(np.uint8) for x in (picture, shown, difference)))
