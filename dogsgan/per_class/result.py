"""Result of a score per class, its correlation with the number of pictures, and both as text for people."""

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dogsgan.errors import printable
from dogsgan.metrics.kernel_distance import KERNEL
from dogsgan.number_text import fixed, significant
from dogsgan.per_class.figures import ClassFigures, EqualCounts
from dogsgan.score import Score

CORRELATED = {
    "kernel_distance": "kernel distance",
    "equal_precision": "precision",
    "equal_recall": "recall",
    "first": "named first",
}
"""The figures that are set against the number of real pictures, and their names for people.

The last needs a classifier: without one it is left out."""

_CLASSES_AT_LEAST = 3
_EXACT_UP_TO = 7
"""Up to so many classes the p-value counts every order (7! = 5,040); beyond it is that of Student's t."""
_NAME_WIDTH = 48


@dataclass(frozen=True)
class Correlation:
    """Spearman's rank correlation of a figure with the number of real pictures, over classes that have it."""

    figure: str
    """A field of `ClassFigures`."""
    spearman: float | None
    """−1..1; None where there is none, and `reason` says why."""
    p_value: float | None
    """How likely at least as strong a correlation is where there is none, either way."""
    classes: int
    reason: str | None = None

    def summary(self) -> str:
        """Return it in a few words."""
        if self.spearman is None or self.p_value is None:
            return f"none ({self.reason})"
        return f"Spearman's ρ = {fixed(self.spearman, 2, signed=True)}, {_p_value(self.p_value)}"


@dataclass(frozen=True)
class PerClassScore:
    """The score of the whole, and every class's own figures."""

    score: Score
    classes: tuple[ClassFigures, ...]
    """The worst kernel distance first; those without one last."""
    correlations: tuple[Correlation, ...]
    equal_counts: EqualCounts | None
    neighbours: int
    """k of precision and recall."""
    warnings: tuple[str, ...]
    """Beyond those of the score: pictures and classes that the figures leave out."""

    def to_json(self) -> dict[str, Any]:
        """Return the score's values, and below `per_class` the classes'."""
        return {
            **self.score.to_json(),
            "per_class": {
                "network": self.score.network,
                "description": self.score.description,
                "note": self.note(),
                "kernel": KERNEL,
                "neighbours": self.neighbours,
                "equal_counts": dataclasses.asdict(self.equal_counts) if self.equal_counts else None,
                "classes": [figures.to_json() for figures in self.classes],
                "correlations_with_real": [dataclasses.asdict(each) for each in self.correlations],
                "warnings": list(self.warnings),
            },
        }

    def note(self) -> str:
        """Say whose eyes these figures come from, and that they are not the competition's."""
        return f"seen by {self.score.network}; no class's figure is a score of the competition"

    def summary(self) -> str:
        """Return the score, a table of the classes, the correlations, and warnings."""
        return "\n".join(
            [
                self.score.summary(),
                "",
                f"per class, the worst first ({self.note()})",
                *_table(self.classes),
                *self._why_missing(),
                "",
                "with more real pictures, does a class fare better?",
                *(f"  {CORRELATED[each.figure]}: {each.summary()}" for each in self.correlations),
                *self._equal_counts_line(),
                *(f"  warning: {warning}" for warning in self.warnings),
            ]
        )

    def _why_missing(self) -> list[str]:
        """Return why figures are missing, each reason once; that of the Fréchet distance is in the JSON."""
        by_reason: dict[str, list[str]] = {}
        for figures in self.classes:
            for figure, reason in figures.reasons.items():
                if figure == "fid":
                    continue
                names = by_reason.setdefault(reason, [])
                if figures.name not in names:
                    names.append(figures.name)
        return [f"  –: {reason} ({_listed(names)})" for reason, names in by_reason.items()]

    def _equal_counts_line(self) -> list[str]:
        if self.equal_counts is None:
            return []
        real, generated = self.equal_counts.real, self.equal_counts.generated
        return [
            f"  (precision and recall here over {real:,} real and {generated:,} generated pictures of each "
            "class: at unequal numbers the numbers themselves move them)"
        ]


def correlations_with_real(classes: Sequence[ClassFigures]) -> tuple[Correlation, ...]:
    """Return the rank correlation of each figure in `CORRELATED` with the number of real pictures."""
    named = any(each.first is not None for each in classes)
    return tuple(_correlation(figure, classes) for figure in CORRELATED if named or figure != "first")


def _correlation(figure: str, classes: Sequence[ClassFigures]) -> Correlation:
    pairs = [(each.real, value) for each in classes if (value := getattr(each, figure)) is not None]
    reason = None
    if len(pairs) < _CLASSES_AT_LEAST:
        reason = f"{len(pairs)} classes have it, it takes {_CLASSES_AT_LEAST}"
    elif len({real for real, _ in pairs}) == 1:
        reason = "every class has as many real pictures"
    elif len({value for _, value in pairs}) == 1:
        reason = "it is the same in every class"
    if reason:
        return Correlation(figure, None, None, len(pairs), reason)
    counts, values = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    spearman, p_value = _spearman(counts, values)
    return Correlation(figure, spearman, p_value, len(pairs))


def _spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return Spearman's ρ of two vectors, N, and its two-sided p-value."""
    from scipy import stats  # only here: its import takes most of a second

    found = stats.spearmanr(x, y)
    if len(x) > _EXACT_UP_TO:
        return float(found.statistic), float(found.pvalue)
    ranks = stats.rankdata(y)
    exact = stats.permutation_test(
        [stats.rankdata(x)],
        lambda order: float(order @ ranks),  # grows with ρ as nothing else in it changes
        permutation_type="pairings",
        n_resamples=math.factorial(_EXACT_UP_TO),
        vectorized=False,
    )
    return float(found.statistic), float(exact.pvalue)


def _table(classes: Sequence[ClassFigures]) -> list[str]:
    names = [printable(figures.name)[:_NAME_WIDTH] for figures in classes]
    columns: list[tuple[int, list[str]]] = [
        (7, ["real", *(f"{each.real:,}" for each in classes)]),
        (9, ["generated", *(f"{each.generated:,}" for each in classes)]),
        (19, ["kernel distance", *map(_distance, classes)]),
    ]
    if any(each.fid is not None for each in classes):
        columns.append((9, ["Fréchet", *(fixed(each.fid, 2) for each in classes)]))
    columns.append((9, ["precision", *(fixed(each.precision, 3) for each in classes)]))
    columns.append((7, ["recall", *(fixed(each.recall, 3) for each in classes)]))
    if any(each.first is not None for each in classes):
        columns.append((11, ["named first", *(fixed(each.first, 3) for each in classes)]))
        columns.append((7, ["of real", *(fixed(each.real_first, 3) for each in classes)]))
    width = max(len("class"), *map(len, names))
    return [
        " ".join([f"  {name:<{width}}", *(f"{cells[row]:>{places}}" for places, cells in columns)])
        for row, name in enumerate(["class", *names])
    ]


def _distance(figures: ClassFigures) -> str:
    """Return a kernel distance to the second digit of its standard error, as `0.351 ± 0.031`."""
    error = figures.standard_error
    if not error or not math.isfinite(error):
        return significant(figures.kernel_distance, 4)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{fixed(figures.kernel_distance, decimals)} ± {fixed(error, decimals)}"


def _p_value(value: float) -> str:
    return "p < 0.0001" if value < 1e-4 else f"p = {significant(value, 2)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name)[:_NAME_WIDTH] for name in names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
