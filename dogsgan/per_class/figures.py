"""Figures of each class from the features and classes of both sides, and their correlations."""

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dogsgan.metrics.frechet import frechet_distance_of_features
from dogsgan.metrics.kid import kernel_distance
from dogsgan.metrics.precision_recall import NEIGHBOURS, PrecisionRecall, precision_recall
from dogsgan.number_text import fixed, significant
from dogsgan.progress import progress_bar
from dogsgan.recognition import Recognition

_DRAWS = 4
"""How often at most equally many pictures of a class are drawn by chance; their figures are averaged."""
_ENOUGH_DRAWN = 2000
"""No more draws than give so many pictures: then chance says little, and time counts."""
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


@dataclass(frozen=True)
class ClassFigures:
    """How one class fares. A figure that cannot be had is None, and `reasons` says why in words."""

    name: str
    real: int
    """How many real pictures."""
    generated: int
    """How many generated pictures."""
    kernel_distance: float | None = None
    """Unbiased at any number of pictures; see `dogsgan.metrics.kid`."""
    standard_error: float | None = None
    """Of the kernel distance."""
    fid: float | None = None
    """Fréchet distance, where both sides have more pictures than features."""
    precision: float | None = None
    """The share of generated pictures within the class's real distribution."""
    recall: float | None = None
    """The share of real pictures within the class's generated distribution."""
    equal_precision: float | None = None
    """Precision over as many pictures as every other class has too."""
    equal_recall: float | None = None
    """Recall over as many pictures as every other class has too."""
    first: float | None = None
    """The share of generated pictures whose class is a classifier's first guess."""
    among_five: float | None = None
    """The share of generated pictures whose class is among its first five guesses."""
    real_first: float | None = None
    """`first` of real crops of the class."""
    real_among_five: float | None = None
    """`among_five` of real crops of the class."""
    reasons: dict[str, str] = field(default_factory=dict)
    """By the name of a figure that is None: why."""

    def to_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        values = dataclasses.asdict(self)
        return {"class": values.pop("name"), **values}


@dataclass(frozen=True)
class EqualCounts:
    """Over how many pictures of each class `equal_precision` and `equal_recall` are taken.

    Balls shrink as pictures are added, so precision moves with the number of real ones by itself (it mostly
    falls), and recall with that of generated ones. These figures can be set against numbers of pictures.
    """

    real: int
    generated: int


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
        p_value = "p < 0.0001" if self.p_value < 1e-4 else f"p = {significant(self.p_value, 2)}"
        return f"Spearman's ρ = {fixed(self.spearman, 2, signed=True)}, {p_value}"


@dataclass(frozen=True)
class _Pair:
    """The features of one class: generated N×D and real M×D."""

    generated: np.ndarray
    real: np.ndarray


def class_figures(
    generated: np.ndarray,
    generated_classes: Sequence[str | None],
    real: np.ndarray,
    real_classes: Sequence[str | None],
    *,
    neighbours: int = NEIGHBOURS,
) -> tuple[tuple[ClassFigures, ...], EqualCounts | None]:
    """Return the figures of every class, the worst kernel distance first, from features N×D and M×D.

    There is a class for every name on either side; rows of class None belong to none. Classes without a
    distance come last. The counts are None where no class has enough pictures for precision and recall.

    Raises:
        DogsganError: a feature is NaN or infinite.
        ValueError: rows and classes differ in number.
    """
    for features, classes in ((generated, generated_classes), (real, real_classes)):
        if len(features) != len(classes):
            raise ValueError(f"{len(features)} rows of features and {len(classes)} classes")
    named, known = (np.array(classes, dtype=object) for classes in (generated_classes, real_classes))
    names = sorted({*generated_classes, *real_classes} - {None})  # type: ignore[type-var]
    pairs = {name: _Pair(generated[named == name], real[known == name]) for name in names}
    equal = _equal_counts(pairs.values(), neighbours=neighbours)
    found = [
        _figures_of(name, pair, equal=equal, neighbours=neighbours)
        for name, pair in progress_bar(pairs.items(), description="per class", unit="classes")
    ]
    return tuple(sorted(found, key=_worst_first)), equal


def with_recognition(figures: ClassFigures, recognition: Recognition, index: int | None) -> ClassFigures:
    """Return a class's figures with those of ImageNet's class `index`; None is a class that it lacks."""
    if index is None:
        return dataclasses.replace(
            figures, reasons={**figures.reasons, "first": "ImageNet has no class of this name"}
        )
    generated = recognition.generated.by_index.get(index)
    real = recognition.real.by_index.get(index) if recognition.real else None
    return dataclasses.replace(
        figures,
        first=generated[1] if generated else None,
        among_five=generated[2] if generated else None,
        real_first=real[1] if real else None,
        real_among_five=real[2] if real else None,
    )


def _worst_first(figures: ClassFigures) -> tuple[bool, float]:
    distance = figures.kernel_distance
    return distance is None, 0.0 if distance is None else -distance


def _equal_counts(pairs: Iterable[_Pair], *, neighbours: int) -> EqualCounts | None:
    """Return the smallest number of pictures on each side, of classes with enough of them for balls."""
    enough = [pair for pair in pairs if min(len(pair.generated), len(pair.real)) > neighbours]
    if not enough:
        return None
    return EqualCounts(
        real=min(len(pair.real) for pair in enough), generated=min(len(pair.generated) for pair in enough)
    )


def _figures_of(name: str, pair: _Pair, *, equal: EqualCounts | None, neighbours: int) -> ClassFigures:
    reasons = _reasons(pair, neighbours=neighbours)
    values: dict[str, float | None] = {}
    if "kernel_distance" not in reasons:
        distance = kernel_distance(pair.generated, pair.real)
        values |= {"kernel_distance": distance.value, "standard_error": distance.standard_error}
    if "fid" not in reasons:
        values["fid"] = frechet_distance_of_features(pair.generated, pair.real)
    if "precision" not in reasons:
        whole = precision_recall(pair.generated, pair.real, neighbours=neighbours)
        values |= {"precision": whole.precision, "recall": whole.recall}
        assert equal is not None
        drawn = [(each.precision, each.recall) for each in _equal_draws(pair, equal, neighbours=neighbours)]
        values |= dict(zip(("equal_precision", "equal_recall"), np.mean(drawn, axis=0).tolist(), strict=True))
    return ClassFigures(name, real=len(pair.real), generated=len(pair.generated), reasons=reasons, **values)


def _equal_draws(pair: _Pair, equal: EqualCounts, *, neighbours: int) -> Iterator[PrecisionRecall]:
    whole = (len(pair.generated), len(pair.real)) == (equal.generated, equal.real)
    draws = 1 if whole else min(_DRAWS, max(1, _ENOUGH_DRAWN // max(equal.generated, equal.real)))
    for draw in range(draws):
        random = np.random.default_rng(draw)
        yield precision_recall(
            random.permutation(pair.generated)[: equal.generated],
            random.permutation(pair.real)[: equal.real],
            neighbours=neighbours,
        )


def _reasons(pair: _Pair, *, neighbours: int) -> dict[str, str]:
    """Return why a figure cannot be had, by its name, for those that cannot."""
    dimension = pair.real.shape[1]
    ball = (neighbours + 1, f"balls to neighbour {neighbours} take {neighbours + 1}")
    needs = {
        "kernel_distance": (2, "an unbiased distance takes 2"),
        "standard_error": (3, "leaving out one in turn takes 3"),
        "fid": (dimension + 1, f"a Fréchet distance of {dimension:,} features takes more than as many"),
        **dict.fromkeys(("precision", "recall", "equal_precision", "equal_recall"), ball),
    }
    counts = {"real": len(pair.real), "generated": len(pair.generated)}
    reasons = {}
    for figure, (least, remark) in needs.items():
        if few := next((side for side, count in counts.items() if count < least), None):
            reasons[figure] = (
                f"{counts[few]:,} {few} {'picture' if counts[few] == 1 else 'pictures'}: {remark}"
            )
        if none := next((side for side, count in counts.items() if not count), None):
            reasons[figure] = f"no {none} picture is of this class"
    return reasons


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
