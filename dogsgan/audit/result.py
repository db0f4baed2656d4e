"""The result of an audit: one typed value that the page, the tables and the exit status are made from."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dogsgan.errors import printable
from dogsgan.number_text import distance, significant
from dogsgan.score import Score

_IN_JSON = ("name", "nearest", "second", "form", "flipped", "distance", "p_value", "similarity", "kind")
"""What audit.json says of a finding."""


@dataclass(frozen=True)
class Finding:
    """The finding on one generated picture."""

    index: int
    """Its place among the generated pictures, in the source's order."""
    name: str
    nearest: str
    """File name of the training picture that it copies or, where it copies none, that is nearest to it."""
    form: str
    """The form of the training picture that is nearest: whole, square, context, center, or crop."""
    distance: float
    """Cosine distance of the network's features to that form, 0..1."""
    p_value: float
    """How often a real picture comes as near to the rest of the training set, 0..1."""
    flagged: bool
    kind: str
    """What kind of copy it is (`exact`, `flip`, `crop`, `blend of A and B`, …); empty where not flagged."""
    allowed: bool = False
    """Named in the list of accepted pictures: shown, but no reason for exit status 1."""
    class_name: str | None = None
    """The nearest training picture's class (breed), where known."""
    flipped: bool = False
    """Whether the nearest view is the training picture's mirror image."""
    similarity: float | None = None
    """Correlation of the pixels with the aligned training picture, −1..1; None where none was compared."""
    second: str | None = None
    """The other training picture of a blend."""
    neighbours: tuple[tuple[str, str, float], ...] = ()
    """The k nearest training pictures: name, form, cosine distance; nearest first."""

    @property
    def family(self) -> str:
        """The kind without the names in it: a `blend of A and B` is a `blend`."""
        return self.kind.partition(" of ")[0]


def nearest_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return findings by p-value, equals by distance and name: the order that people read them in."""
    return sorted(findings, key=lambda finding: (finding.p_value, finding.distance, finding.name))


@dataclass(frozen=True)
class DuplicateGroup:
    """Pictures that are the same picture: at least one generated, and at least two in all."""

    how: str
    """The strictest sense in which all of them are the same: bytes, pixels or perceptual hash."""
    generated: tuple[str, ...]
    training: tuple[str, ...]
    flipped: bool
    """Whether some are mirror images of the others."""


@dataclass(frozen=True)
class Statistic:
    """A number about the whole submission, and what it means for it."""

    key: str
    title: str
    value: float | None
    """None where it cannot be computed; `meaning` then says why."""
    low: float | None
    """Lower end of the 95% bootstrap interval."""
    high: float | None
    meaning: str
    """One sentence for people."""


class Pair(NamedTuple):
    """What is shown of a finding, each H×W×3 uint8 of one size."""

    generated: np.ndarray
    training: np.ndarray
    """The training picture, or the blend of two, moved and recoloured to lie on the generated one."""
    difference: np.ndarray
    """Their difference around mid-grey."""


@dataclass(frozen=True, eq=False)
class Audit:
    """The audit of one set of generated pictures against one training set."""

    generated_path: Path
    real_path: Path
    real_description: str
    real: int
    """How many training pictures."""
    forms: tuple[str, ...]
    false_discovery_rate: float
    findings: tuple[Finding, ...]
    """One for each generated picture, in the source's order."""
    duplicates: tuple[DuplicateGroup, ...]
    statistics: tuple[Statistic, ...]
    """C_T, AuthPct, precision, recall, density, coverage, in this order."""
    scores: tuple[Score, ...]
    """The chosen network's score first, then the competition's other side where its weights are at hand."""
    p_value: float | None
    """One-sided p-value of the data-copying test C_T: small where the set as a whole copies."""
    null_distances: np.ndarray = field(repr=False)
    """Feature distances of real pictures to the rest of the real set, their duplicates removed."""
    null_similarities: np.ndarray = field(repr=False)
    """Pixel similarities of the same pictures to the rest of the real set."""
    distance_threshold: float
    """Below this feature distance a picture is flagged for it alone."""
    similarity_threshold: float
    """Above this pixel similarity a picture is flagged for it alone."""
    warnings: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    """A line for each thing that was asked for beside the findings and could not be made."""
    submitted: int | None = None
    """How many generated pictures there are, where only a sample of them was looked at."""

    @property
    def score(self) -> Score:
        """The score by the chosen network."""
        return self.scores[0]

    @property
    def flagged(self) -> tuple[Finding, ...]:
        """What is flagged and not allowed, nearest first."""
        return tuple(nearest_first(f for f in self.findings if f.flagged and not f.allowed))

    @property
    def accepted(self) -> tuple[Finding, ...]:
        """What would be flagged if it were not allowed, nearest first."""
        return tuple(nearest_first(f for f in self.findings if f.flagged and f.allowed))

    @property
    def duplicated(self) -> int:
        """How many generated pictures are the same picture as another, generated or for training."""
        return len({name for group in self.duplicates for name in group.generated})

    def kind_counts(self) -> dict[str, int]:
        """Return how many flagged pictures show each kind of copying, the most frequent first.

        A picture that was cropped and mirrored counts as a `crop` and as a `flip`.
        """
        counts = Counter(
            step for finding in self.flagged for step in (finding.family or "unnamed").split(" + ")
        )
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def headline(self) -> str:
        """Return the verdict in one sentence."""
        count, total = len(self.flagged), f"{len(self.findings):,} pictures"
        if self.submitted is not None:
            total += f" looked at, of {self.submitted:,},"
        if not count:
            return f"None of {total} is found to copy training data"
        return f"{count:,} of {total} {'copies' if count == 1 else 'copy'} training data"

    def note(self) -> str:
        """Return in a sentence whose network measured the distances."""
        network = self.score.network
        if self.score.competition:
            return f"the distances are by the competition's own {network} network"
        return (
            f"the distances are NOT by the competition's network: {network} made them, and they compare only "
            "with one another"
        )

    def summary(self) -> str:
        """Return the verdict and what it rests on in a few lines for people."""
        lines = [self.headline()]
        if self.flagged:
            lines.append("  " + ", ".join(f"{count:,} {kind}" for kind, count in self.kind_counts().items()))
        if self.accepted:
            lines.append(
                f"  {len(self.accepted):,} more would be flagged, and are in the list of accepted ones"
            )
        if self.duplicated:
            lines.append(
                f"  {self.duplicated:,} are the same picture as another, in {len(self.duplicates):,} group(s)"
            )
        lines.append(
            f"  compared with {self.real:,} training pictures ({self.real_description}) as "
            f"{', '.join(self.forms)}, by {self.score.description}"
        )
        lines.append(f"  memorization distance {distance(self.score.distance)}; {self.note()}")
        for statistic in self.statistics:
            lines.append(f"  {statistic.title}: {significant(statistic.value, 3)}. {statistic.meaning}")
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(printable(line) for line in lines)

    def to_json(self, *, report: Path | None = None) -> dict[str, Any]:
        """Return the audit as plain values, without the pictures that are not flagged; `report` is the page.

        A number that is not finite becomes None.
        """
        values = {
            "flagged": len(self.flagged),
            "accepted": len(self.accepted),
            "duplicates": self.duplicated,
            "distance": self.score.distance,
            "p_value": self.p_value,
            "report": None if report is None else str(report),
            "verdict": self.headline(),
            "generated": {
                "path": str(self.generated_path),
                "count": self.submitted or len(self.findings),
                "looked_at": len(self.findings),
            },
            "real": {
                "path": str(self.real_path),
                "description": self.real_description,
                "count": self.real,
                "forms": list(self.forms),
            },
            "network": self.score.network,
            "network_description": self.score.description,
            "competition": self.score.competition,
            "note": self.note(),
            "false_discovery_rate": self.false_discovery_rate,
            "distance_threshold": self.distance_threshold,
            "similarity_threshold": self.similarity_threshold,
            "kinds": self.kind_counts(),
            "statistics": {statistic.key: asdict(statistic) for statistic in self.statistics},
            "scores": [score.to_json() for score in self.scores],
            "flagged_pictures": [_chosen(finding) for finding in self.flagged],
            "accepted_pictures": [_chosen(finding) for finding in self.accepted],
            "duplicate_groups": [asdict(group) for group in self.duplicates],
            "warnings": [*self.warnings, *self.failed],
        }
        plain: dict[str, Any] = _plain(values)
        return plain


def _chosen(finding: Finding) -> dict[str, Any]:
    return {name: getattr(finding, name) for name in _IN_JSON}


def _plain(value: Any) -> Any:
    """Return `value` with tuples as lists, and None for what is not finite."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
