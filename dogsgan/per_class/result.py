"""What a score per class found, whether it goes with the number of pictures, and that as text for people."""

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
        equal = self.equal_counts
        return {
            **self.score.to_json(),
            "per_class": {
                "network": self.score.network,
                "description": self.score.description,
                "note": self.note(),
                "kernel": KERNEL,
                "neighbours": self.neighbours,
                "equal_counts": {"real": equal.real, "generated": equal.generated} if equal else None,
                "classes": [_class_json(figures) for figures in self.classes],
                "correlations_with_real": [
                    {
                        "figure": correlation.figure,
                        "spearman": correlation.spearman,
                        "p_value": correlation.p_value,
                        "classes": correlation.classes,
                        "reason": correlation.reason,
                    }
                    for correlation in self.correlations
                ],
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


def _class_json(figures: ClassFigures) -> dict[str, Any]:
    return {
        "class": figures.name,
        "real": figures.real,
        "generated": figures.generated,
        "kernel_distance": figures.kernel_distance,
        "standard_error": figures.standard_error,
        "fid": figures.fid,
        "precision": figures.precision,
        "recall": figures.recall,
        "equal_precision": figures.equal_precision,
        "equal_recall": figures.equal_recall,
        "first": figures.first,
        "among_five": figures.among_five,
        "real_first": figures.real_first,
        "real_among_five": figures.real_among_five,
        "reasons": figures.reasons,
    }


def _table(classes: Sequence[ClassFigures]) -> list[str]:
    names = [printable(figures.name)[:_NAME_WIDTH] for figures in classes]
    width = max(len("class"), *map(len, names))
    with_fid = any(figures.fid is not None for figures in classes)
    fid_title = f" {'Fréchet':>9}" if with_fid else ""
    recognised = any(figures.first is not None for figures in classes)
    named_title = f" {'named first':>11} {'of real':>7}" if recognised else ""
    lines = [
        f"  {'class':<{width}} {'real':>7} {'generated':>9} {'kernel distance':>19}{fid_title} "
        f"{'precision':>9} {'recall':>7}{named_title}"
    ]
    for name, figures in zip(names, classes, strict=True):
        distance = _with_error(figures.kernel_distance, figures.standard_error)
        fid = f" {fixed(figures.fid, 2):>9}" if with_fid else ""
        named = ""
        if recognised:
            named = f" {fixed(figures.first, 3):>11} {fixed(figures.real_first, 3):>7}"
        lines.append(
            f"  {name:<{width}} {figures.real:>7,} {figures.generated:>9,} {distance:>19}{fid} "
            f"{fixed(figures.precision, 3):>9} {fixed(figures.recall, 3):>7}{named}"
        )
    return lines


def _with_error(value: float | None, error: float | None) -> str:
    """Return a value to the second digit of its standard error, as `0.351 ± 0.031`."""
    if not error or not math.isfinite(error):
        return significant(value, 4)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{fixed(value, decimals)} ± {fixed(error, decimals)}"


def _p_value(value: float) -> str:
    return "p < 0.0001" if value < 1e-4 else f"p = {significant(value, 2)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name)[:_NAME_WIDTH] for name in names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )
