"""Findings: for each generated picture its training picture, the kind of copy, and the pair to show."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from dogsgan.audit.duplicates import SamePicture
from dogsgan.audit.evidence import Evidence, Pictures
from dogsgan.audit.judgement import Judgement
from dogsgan.audit.overlay import Overlay, filtered, lay_best, lay_blend_on, luminance_of, means, without_edge
from dogsgan.audit.result import Finding, Pair
from dogsgan.audit.views import TrainingViews

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
_SHOWS_A_MATCH = 1e-3  # a pixel p-value below which the aligned view is what people want to see
_BLEND_SHARE = 0.88  # more of one picture is that picture
_BLEND_GAIN = 0.6  # of the unexplained variance a second picture leaves at most this


class _Match(NamedTuple):
    """The view that a picture is compared with, and the verdict."""

    view: int
    flipped: bool
    flagged: bool
    kind: str
    second: str | None = None


@dataclass(frozen=True, eq=False)
class Case:
    """Evidence and judgement on the generated pictures, from which the finding on each is made."""

    names: tuple[str, ...]
    pictures: Pictures
    views: TrainingViews
    features_of_views: Callable[[np.ndarray], np.ndarray]
    """The network's features of some training views, by their indices: only few are looked at."""
    evidence: Evidence
    judgement: Judgement
    same: dict[int, SamePicture]
    """Generated pictures, by index, that are a training picture by their bytes or pixels."""

    def findings(self) -> tuple[Finding, ...]:
        """Return one finding for each generated picture."""
        matches = [self._match(index) for index in range(len(self.names))]
        neighbours = self.evidence.neighbours
        distances = neighbours.distance[:, 0].copy()
        other = [
            index
            for index, match in enumerate(matches)
            if (match.view, match.flipped) != (neighbours.view[index, 0], neighbours.flipped[index, 0])
        ]
        if other:
            views, place = np.unique([matches[index].view for index in other], return_inverse=True)
            features = self.features_of_views(views)
            for index, row in zip(other, place, strict=True):
                distances[index] = self._feature_distance(index, features[row], matches[index].flipped)
        return tuple(
            self._finding(index, match, float(distances[index])) for index, match in enumerate(matches)
        )

    def pair_of(self, finding: Finding) -> Pair:
        """Return the generated picture, the training picture, laid on it if it fits, and the difference."""
        index = finding.index
        view, mirrored = (values[index, 0] for values in self.evidence.neighbours[:2])
        if index in self.same:
            _, view, mirrored = self.same[index]
        elif self._matched(index) and finding.second is not None:
            return self._blend(index)[0]
        elif self._matched(index) or view < 0:  # below 0 the network sees nothing in it
            return self._laid(index).pair()
        training = np.asarray(self.views.pictures[view])
        if mirrored:
            training = training[:, ::-1]
        picture = np.asarray(self.pictures.pixels[index])
        difference = np.clip(128.0 + picture.astype(np.float32) - training, 0, 255).astype(np.uint8)
        return Pair(picture, np.ascontiguousarray(training), difference)

    def _match(self, index: int) -> _Match:
        """Return the view to compare a generated picture with: the one that was copied, else the nearest."""
        if index in self.same:
            _, view, mirrored = self.same[index]
            return _Match(view, mirrored, flagged=True, kind="flip" if mirrored else "exact")
        flagged = bool(self.judgement.flagged[index])
        neighbours, verified = self.evidence
        kind, second = self._kind(index) if flagged else ("", None)
        view, flipped = neighbours.view[index, 0], neighbours.flipped[index, 0]
        if second is not None:
            view, flipped = verified.blend_view[index, 0], verified.blend_mirrored[index, 0]
        elif view < 0 or (flagged and self._matched(index)):
            view, flipped = verified.view[index], verified.mirrored[index]
        return _Match(int(view), bool(flipped), flagged, kind, second)

    def _finding(self, index: int, match: _Match, distance: float) -> Finding:
        neighbours, verified = self.evidence.neighbours, self.evidence.verified
        picture = int(self.views.picture_index[match.view])
        return Finding(
            index=index,
            name=self.names[index],
            nearest=self.views.names[picture],
            form=self._form(match.view),
            distance=distance,
            p_value=float(self.judgement.p_value[index]),
            flagged=match.flagged,
            kind=match.kind,
            class_name=self.views.class_names[picture],
            flipped=match.flipped,
            similarity=float(verified.similarity[index]),
            second=match.second,
            neighbours=tuple(
                (self.views.names[self.views.picture_index[view]], self._form(view), float(value))
                for view, value in zip(neighbours.view[index], neighbours.distance[index], strict=True)
                if view >= 0
            ),
        )

    def _matched(self, index: int) -> bool:
        """Return whether a training view, or two, lie on the picture better than by chance."""
        return self._matched_by_one(index) or self._is_blend(index)

    def _matched_by_one(self, index: int) -> bool:
        return bool(self.judgement.by_pixels[index] < _SHOWS_A_MATCH)

    def _kind(self, index: int) -> tuple[str, str | None]:
        """Return the kind of copy, and the second picture of a blend."""
        verified = self.evidence.verified
        if self._is_blend(index):
            pictures = self.views.picture_index[verified.blend_view[index]]
            first, second = (self.views.names[picture] for picture in pictures)
            return f"blend of {first} and {second}", second
        if not self._matched_by_one(index):
            return LOOK_ALIKE, None
        mirrored, transform = bool(verified.mirrored[index]), verified.transform[index]
        return kind_of(self._laid(index), mirrored=mirrored, transform=transform), None

    def _is_blend(self, index: int) -> bool:
        """Return whether two pictures explain much more than one, and the second has a share worth naming."""
        verified = self.evidence.verified
        few = self.judgement.by_blends[index] >= _SHOWS_A_MATCH and not self._matched_by_one(index)
        if verified.blend_view[index, 0] < 0 or few:
            return False
        unexplained = 1 - float(verified.similarity[index]) ** 2
        if 1 - float(verified.blend_similarity[index]) ** 2 > _BLEND_GAIN * unexplained:
            return False
        return self._blend(index)[1] <= _BLEND_SHARE

    def _laid(self, index: int) -> Overlay:
        picture = np.asarray(self.pictures.pixels[index])
        return lay_best(picture, self.views, self.evidence.verified, index)

    def _blend(self, index: int) -> tuple[Pair, float]:
        verified = self.evidence.verified
        return lay_blend_on(
            np.asarray(self.pictures.pixels[index]),
            np.asarray(self.views.pictures[verified.blend_view[index]]),
            mirrored=verified.blend_mirrored[index],
            transform=verified.blend_transform[index],
        )

    def _form(self, view: int) -> str:
        return self.views.forms[self.views.form[view]]

    def _feature_distance(self, index: int, of_view: np.ndarray, flipped: bool) -> float:
        """Return the cosine distance of the network's features to those of one view."""
        side = self.pictures.mirrored_features if flipped else self.pictures.features
        a, b = side[index].astype(np.float64), of_view.astype(np.float64)
        size = float(np.linalg.norm(a) * np.linalg.norm(b))
        return float(np.clip(1 - abs(a @ b) / size, 0, 1)) if size else 1.0


def kind_of(laid: Overlay, *, mirrored: bool, transform: np.ndarray) -> str:
    """Return what was done to the view, such as `exact`, `flip`, or `crop + recoloured + covered`."""
    geometry = _geometry(transform, laid.picture.shape[0])
    steps = (["flip"] if mirrored else []) + geometry
    if np.array_equal(laid.picture, laid.moved):
        return " + ".join(steps) or "exact"
    covered = covered_part(laid)
    where = without_edge(laid.inside & ~covered)
    if where.sum() >= 64:
        texture = _texture_steps(laid, where, resampled=bool(geometry))
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


def _texture_steps(laid: Overlay, where: np.ndarray, *, resampled: bool) -> list[str]:
    """Return whether it was blurred, and whether noise or JPEG's traces were added, as seen at some places.

    The fine detail, squared, is compared with that of the view, filtered as the picture may have been.
    """
    picture, view = luminance_of(laid.picture), luminance_of(laid.fitted)
    like_picture = filtered(view, picture, where)
    added = picture - like_picture
    detail, left, new = (_finest(x)[where] ** 2 for x in (view, like_picture, added))
    in_calm = new[detail <= np.quantile(detail, 0.3)].mean()
    in_busy = new[detail >= np.quantile(detail, 0.7)].mean()
    jpeg = in_busy >= _LEAST_ADDED and _blocks(added, where) > (_BLOCKS_RESAMPLED if resampled else _BLOCKS)
    # Noise is everywhere alike; the error of resampling is where the detail is.
    noise = in_calm >= max(_LEAST_ADDED, (0.5 if resampled else 0.4) * in_busy)
    least_kept = _BLURRED_JPEG if jpeg else _BLURRED_RESAMPLED if resampled else _BLURRED
    steps = ["blurred"] if left.mean() / max(detail.mean(), 1e-6) < least_kept else []
    return steps + (["JPEG"] if jpeg else ["noise"] if noise else [])


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


def _finest(light: np.ndarray) -> np.ndarray:
    """Return luminance less its 3×3 mean."""
    return np.asarray(light - ndimage.uniform_filter(light, 3))
