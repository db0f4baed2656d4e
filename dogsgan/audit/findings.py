"""Findings: for each generated picture its training picture, the kind of copy, and the pair to show."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dogsgan.audit.copies.evidence import Evidence, Pictures
from dogsgan.audit.copies.overlay import Overlay, lay_blend_on, lay_on
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.audit.duplicates import SamePicture
from dogsgan.audit.judgement import Judgement
from dogsgan.audit.kinds import LOOK_ALIKE, kind_of
from dogsgan.audit.result import Finding, Pair

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
        verified = self.evidence.verified
        return lay_on(
            np.asarray(self.pictures.pixels[index]),
            np.asarray(self.views.pictures[max(int(verified.view[index]), 0)]),
            mirrored=bool(verified.mirrored[index]),
            transform=verified.transform[index],
        )

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
