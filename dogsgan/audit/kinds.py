"""What kind of copy it is: what was done to a training view to get the picture that it lies on, in words."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage

from dogsgan.audit.copies.alignment import warp
from dogsgan.audit.result import Pair

_CELL_PX = 8
_LEAST_ADDED = 8.0  # squared grey levels of fine detail that the view does not have
_MID_GREY = 128


@dataclass(frozen=True, eq=False)
class Laid:
    """A training view laid on a generated picture and recoloured to match it."""

    picture: np.ndarray
    """The generated picture, H×W×3 float32."""
    moved: np.ndarray
    """The view moved onto it, H×W×3 float32, in its own colours."""
    fitted: np.ndarray
    """The same in the picture's colours; the picture itself where the view does not reach."""
    inside: np.ndarray
    """H×W bool: where the view covers the picture."""

    @property
    def residual(self) -> np.ndarray:
        """What the fit leaves, H×W×3; 0 where the view does not reach."""
        return np.where(self.inside[..., None], self.picture - self.fitted, 0.0)

    def pair(self) -> Pair:
        """Return what is shown of it."""
        return _pair(self.picture, self.fitted, self.inside)


def lay_on(picture: np.ndarray, view: np.ndarray, *, mirrored: bool, transform: np.ndarray) -> Laid:
    """Lay a training view, H×W×3 uint8, on a picture of its size by a 3×3 transform, and fit its colours."""
    moved, inside = _moved(view, mirrored=mirrored, transform=transform)
    generated = picture.astype(np.float32)
    return Laid(generated, moved, _recoloured(moved, generated, inside), inside)


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


def kind_of(laid: Laid, *, mirrored: bool, transform: np.ndarray) -> str:
    """Return what was done to the view, such as `exact`, `flip`, or `crop + recoloured + covered`."""
    geometry = _geometry(transform, laid.picture.shape[0])
    steps = (["flip"] if mirrored else []) + geometry
    if np.array_equal(laid.picture, laid.moved):
        return " + ".join(steps) or "exact"
    covered = covered_part(laid)
    if _is_recoloured(laid, covered):
        steps.append("recoloured")
    steps += _texture(laid, covered, resampled=bool(geometry))
    if covered.any():
        steps.append("covered")
    if not steps or steps == ["flip"]:
        steps.append("near-exact")
    return " + ".join(steps)


def covered_part(laid: Laid) -> np.ndarray:
    """Return where something was laid over the copy, H×W bool: cells that fit far worse than the rest.

    Nothing counts as covered that is more than a third of the picture: then the fit itself is bad.
    """
    error = np.abs(laid.residual).mean(axis=2)
    height, width = error.shape
    cells = error[: height // _CELL_PX * _CELL_PX, : width // _CELL_PX * _CELL_PX]
    cells = cells.reshape(height // _CELL_PX, _CELL_PX, width // _CELL_PX, _CELL_PX).mean(axis=(1, 3))
    bad = cells > max(20.0, 4 * float(np.median(cells)))
    covered = np.zeros(error.shape, dtype=bool)
    if 0.015 < bad.mean() < 0.34:
        spread = np.kron(bad, np.ones((_CELL_PX, _CELL_PX), dtype=bool))
        covered[: spread.shape[0], : spread.shape[1]] = spread
    return covered


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
    """Fit the view's colours to the picture's by a 3×4 matrix, the second time without the worst tenth.

    It is fitted to their 5×5 means, so that blur and noise do not pass for less contrast.
    """
    design, smooth_design = (_with_ones(x) for x in (moved, _means(moved)))
    smooth_picture = _means(picture)
    reached = _without_edge(inside)
    where = reached
    fitted = moved
    for _ in range(2):
        if where.sum() < 16:
            return moved
        matrix, *_ = np.linalg.lstsq(smooth_design[where], smooth_picture[where], rcond=None)
        fitted = design @ matrix
        error = np.abs(picture - fitted).sum(axis=2)
        where = reached & (error <= np.quantile(error[reached], 0.9))
    return np.clip(fitted, 0, 255).astype(np.float32)


def _geometry(transform: np.ndarray, size_px: int) -> list[str]:
    """Return how the view was moved, in words."""
    a, b, c, d = transform[0, 0], transform[0, 1], transform[1, 0], transform[1, 1]
    turn = math.degrees(math.atan2(c - b, a + d))
    large, small = np.linalg.svd(transform[:2, :2], compute_uv=False)
    scale = math.sqrt(large * small)
    shift_px = float(np.abs(transform[:2, 2]).max()) * size_px / 2
    steps = []
    if abs(turn) >= 3:
        quarter = round(turn / 90) * 90
        steps.append(f"turned {abs(quarter)}°" if quarter and abs(turn - quarter) < 3 else "turned")
    if scale < 0.965:
        steps.append("crop")
    elif scale > 1.035:
        steps.append("shrunk")
    elif shift_px > 1.2:
        steps.append("shift")
    if large / small > 1.08:
        steps.append("stretched")
    return steps


def _is_recoloured(laid: Laid, covered: np.ndarray) -> bool:
    """Whether the colours had to be changed by more than rounding, noise and JPEG do."""
    where = _without_edge(laid.inside & ~covered)
    if not where.any():
        return False
    return bool(np.abs(_means(laid.fitted - laid.moved)[where]).mean() > 4.0)


def _without_edge(where: np.ndarray) -> np.ndarray:
    """Return the part of a mask whose 5×5 surroundings are in it, as far as they are in the picture."""
    return np.asarray(ndimage.binary_erosion(where, iterations=2, border_value=1))


def _means(picture: np.ndarray) -> np.ndarray:
    """Return the mean of each 5×5 px of H×W×3."""
    return ndimage.uniform_filter(picture, size=(5, 5, 1))


def _with_ones(picture: np.ndarray) -> np.ndarray:
    """Return H×W×4: a picture and a constant."""
    return np.concatenate([picture, np.ones_like(picture[..., :1])], axis=2)


def _texture(laid: Laid, covered: np.ndarray, *, resampled: bool) -> list[str]:
    """Return whether it was blurred, or whether noise or JPEG's traces were added."""
    where = _without_edge(laid.inside & ~covered)
    if where.sum() < 64:
        return []
    fine_picture, fine_view = (_finest(x)[where] for x in (laid.picture, laid.fitted))
    if float((fine_picture**2).mean()) < (0.35 if resampled else 0.6) * float((fine_view**2).mean()):
        return ["blurred"]
    added, detail = (fine_picture - fine_view) ** 2, fine_view**2
    calm, busy = (detail <= np.quantile(detail, 0.3)), (detail >= np.quantile(detail, 0.7))
    in_calm, in_busy = float(added[calm].mean()), float(added[busy].mean())
    if in_busy < _LEAST_ADDED:
        return []
    # Noise is everywhere alike; JPEG's error, like that of resampling, is where the detail is.
    if in_calm > 0.4 * in_busy:
        return ["noise"]
    return [] if resampled else ["JPEG"]


def _finest(picture: np.ndarray) -> np.ndarray:
    """Return the luminance less its 3×3 mean."""
    light = picture @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return light - ndimage.uniform_filter(light, 3)


def _pair(picture: np.ndarray, fitted: np.ndarray, inside: np.ndarray) -> Pair:
    shown = np.where(inside[..., None], fitted, _MID_GREY)
    difference = np.where(inside[..., None], _MID_GREY + (picture - fitted), _MID_GREY)
    return Pair(*(np.clip(x, 0, 255).round().astype(np.uint8) for x in (picture, shown, difference)))
