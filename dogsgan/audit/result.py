"""What the audit found: one typed value that the page, the tables and the exit status are made from."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogsgan.scoring.scorer import Score


@dataclass(frozen=True)
class Finding:
    """What is known of one generated picture."""

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
    """How often an honest picture comes as near to the training set, 0..1."""
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
    network: str
    network_description: str
    competition: bool
    """Whether network and weights are the competition's own."""
    false_discovery_rate: float
    findings: tuple[Finding, ...]
    """One for each generated picture, in the source's order."""
    duplicates: tuple[DuplicateGroup, ...]
    statistics: tuple[Statistic, ...]
    """C_T, AuthPct, precision, recall, density, coverage, in this order."""
    scores: tuple[Score, ...]
    """The chosen network's score first, then the competition's other side where its weights are at hand."""
    distance: float
    """The memorization distance by the chosen network."""
    p_value: float | None
    """One-sided p-value of the data-copying test C_T: small where the set as a whole copies."""
    null_distances: np.ndarray = field(repr=False)
    """Feature distances of real pictures to the rest of the real set, their duplicates removed."""
    null_similarities: np.ndarray = field(repr=False)
    """Pixel similarities of the same pictures to the rest of the real set."""
    warnings: tuple[str, ...] = ()

    @property
    def flagged(self) -> tuple[Finding, ...]:
        """What is flagged and not allowed, nearest first."""
        kept = [finding for finding in self.findings if finding.flagged and not finding.allowed]
        return tuple(sorted(kept, key=lambda finding: (finding.p_value, finding.distance, finding.name)))
