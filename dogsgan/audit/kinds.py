"""Kinds of copies: what was done to a training view to get the picture that it is laid on, in words."""

import math
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dogsgan.audit.copies.overlay import Overlay, filtered, luminance_of, means, without_edge

LOOK_ALIKE = "look-alike"
"""Flagged for its features alone: no training picture could be laid on it."""
MEANINGS = {
    "exact": "The training picture itself, pixel by pixel or byte by byte.",
    "near-exact": "The training picture with tiny differences, as another way of scaling leaves them.",
    "flip": "Mirrored left to right.",
    "crop": "A part of it, enlarged.",
    "shrunk": "Scaled down, with a margin around it.",
    "shift": "Moved to one side.",
    "turned": "Turned, by a few degrees or by 90 or 180.",
    "stretched": "Wider or taller than it was.",
    "recoloured": "Other brightness, contrast, tones or hues, or no colour.",
    "blurred": "Fine detail is gone, as after scaling down and up again.",
    "noise": "Noise was added.",
    "JPEG": "Compressed: the 8×8 blocks of JPEG show.",
    "covered": "Something lies over a part of it.",
    "blend": "A mixture of two training pictures.",
    LOOK_ALIKE: "The network's features are as near as a copy's, but no training picture fits its pixels.",
}
"""Each kind, or part of one, and what it means."""

_CELL_PX = 8
_COVERED = 12.0  # grey levels that a covered cell differs by, after smoothing
_MOST_COVERED = 0.45  # of the picture; beyond that the fit itself is bad
_RECOLOURED, _RECOLOURED_CHROMA = 4.0, 2.5  # grey levels
_RECOLOURED_ROUGH, _RECOLOURED_CHROMA_ROUGH = 6.0, 4.0  # where blur or JPEG change colours a little, too
_BLOCKS, _BLOCKS_RESAMPLED = 1.35, 1.7  # steps at the borders of JPEG's blocks, relative to those inside
_LEAST_ADDED = 8.0  # squared grey levels of fine detail that the view does not have
_BLURRED, _BLURRED_RESAMPLED, _BLURRED_JPEG = 0.6, 0.35, 0.25  # of the fine detail's power is left


class _Texture(NamedTuple):
    """How the fine detail of a picture differs from that of the view, luminance squared."""

    kept: float
    """The share of the view's fine detail that is left."""
    in_calm: float
    """What was added where the view has little detail."""
    in_busy: float
    """What was added where it has much."""
    blocks: float
    """Steps of what was added across the borders of 8×8 blocks, relative to those in the blocks' middle."""


def kind_of(laid: Overlay, *, mirrored: bool, transform: np.ndarray) -> str:
    """Return what was done to the view, such as `exact`, `flip`, or `crop + recoloured + covered`."""
    geometry = _geometry(transform, laid.picture.shape[0])
    steps = (["flip"] if mirrored else []) + geometry
    if np.array_equal(laid.picture, laid.moved):
        return " + ".join(steps) or "exact"
    covered = covered_part(laid)
    where = without_edge(laid.inside & ~covered)
    if where.sum() >= 64:
        texture = _texture_steps(_texture(laid, where), resampled=bool(geometry))
        if _is_recoloured(laid, where, rough=bool({"blurred", "JPEG"} & set(texture))):
            steps.append("recoloured")
        steps += texture
    if covered.any():
        steps.append("covered")
    if not steps or steps == ["flip"]:
        steps.append("near-exact")
    return " + ".join(steps)


def covered_part(laid: Overlay) -> np.ndarray:
    """Return where something was laid over the copy, H×W bool: cells that fit far worse than the rest."""
    error = np.abs(means(laid.residual)).mean(axis=2)
    height, width = error.shape
    cells = error[: height // _CELL_PX * _CELL_PX, : width // _CELL_PX * _CELL_PX]
    cells = cells.reshape(height // _CELL_PX, _CELL_PX, width // _CELL_PX, _CELL_PX).mean(axis=(1, 3))
    bad = cells > max(_COVERED, 4 * float(np.median(cells)))
    covered = np.zeros(error.shape, dtype=bool)
    if 0.015 < bad.mean() < _MOST_COVERED:
        spread = np.kron(bad, np.ones((_CELL_PX, _CELL_PX), dtype=bool))
        covered[: spread.shape[0], : spread.shape[1]] = spread
    return covered


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


def _is_recoloured(laid: Overlay, where: np.ndarray, *, rough: bool) -> bool:
    """Return whether the colours had to be changed by more than rounding, noise, blur and JPEG do."""
    change = means(laid.fitted - laid.moved)[where]
    chroma = change - luminance_of(change)[:, None]
    most, most_chroma = (
        (_RECOLOURED_ROUGH, _RECOLOURED_CHROMA_ROUGH) if rough else (_RECOLOURED, _RECOLOURED_CHROMA)
    )
    return bool(np.abs(change).mean() > most or np.abs(chroma).mean() > most_chroma)


def _texture(laid: Overlay, where: np.ndarray) -> _Texture:
    """Compare the fine detail at some places with that of the view, filtered as the picture may have been."""
    picture, view = luminance_of(laid.picture), luminance_of(laid.fitted)
    like_picture = filtered(view, picture, where)
    added = picture - like_picture
    detail, left, new = (_finest(x)[where] ** 2 for x in (view, like_picture, added))
    calm, busy = detail <= np.quantile(detail, 0.3), detail >= np.quantile(detail, 0.7)
    return _Texture(
        kept=float(left.mean() / max(detail.mean(), 1e-6)),
        in_calm=float(new[calm].mean()),
        in_busy=float(new[busy].mean()),
        blocks=_blocks(added, where),
    )


def _blocks(added: np.ndarray, where: np.ndarray) -> float:
    """Compare steps at borders of 8×8 blocks with those four pixels on: patterns of 2 or 4 px cancel."""
    power, count = np.zeros(8), np.zeros(8)
    for values, mask in ((added, where), (added.T, where.T)):
        steps, valid = np.diff(values, axis=1) ** 2, mask[:, 1:] & mask[:, :-1]
        for place in (3, 7):
            power[place] += steps[:, place::8][valid[:, place::8]].sum()
            count[place] += valid[:, place::8].sum()
    border, middle = (power[place] / max(count[place], 1) for place in (7, 3))
    return float(border / max(middle, 1e-6))


def _texture_steps(texture: _Texture, *, resampled: bool) -> list[str]:
    """Return whether it was blurred, and whether noise or JPEG's traces were added."""
    jpeg = texture.in_busy >= _LEAST_ADDED and texture.blocks > (_BLOCKS_RESAMPLED if resampled else _BLOCKS)
    # Noise is everywhere alike; the error of resampling is where the detail is.
    noise = texture.in_calm >= max(_LEAST_ADDED, (0.5 if resampled else 0.4) * texture.in_busy)
    least_kept = _BLURRED_JPEG if jpeg else _BLURRED_RESAMPLED if resampled else _BLURRED
    steps = ["blurred"] if texture.kept < least_kept else []
    return steps + (["JPEG"] if jpeg else ["noise"] if noise else [])


def _finest(light: np.ndarray) -> np.ndarray:
    """Return luminance less its 3×3 mean."""
    return np.asarray(light - ndimage.uniform_filter(light, 3))
