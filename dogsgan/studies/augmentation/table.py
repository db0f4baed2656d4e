"""What the augmentation study shows: accuracies by number of real pictures, the state of the GANs, a plot."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from dogsgan.files import write_json, write_text
from dogsgan.number_text import fixed
from dogsgan.progress import optional
from dogsgan.studies.augmentation.gan import Signs
from dogsgan.studies.augmentation.regimes import REGIMES, Outcome
from dogsgan.studies.plot import Line, save_lines
from dogsgan.studies.runs import Trained
from dogsgan.studies.table import CONFIDENCE, Row, Spread, as_csv, as_json, as_text, spread_of

NAME = "augmentation"
ACCURACY_HEADINGS = {"real_pictures": "real pictures", **REGIMES, "seeds_done": "seeds"}
GAN_HEADINGS = {
    "real_pictures": "GAN of",
    "gan_images_seen": "images seen",
    "gan_seconds": "s",
    "agreement": "labels confirmed",
    "variety": "variety",
    "gan_ended": "ended by",
}


class Cell(NamedTuple):
    """One subset of the training pictures: how large, drawn with which seed."""

    size: int
    seed: int


@dataclass
class CellResults:
    """What is finished of a cell."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    gan: Trained | None = None
    signs: Signs | None = None

    @property
    def is_complete(self) -> bool:
        """Whether every regime was tried, with a GAN that will not change any more."""
        return (
            self.gan is not None and self.gan.is_final and all(regime in self.outcomes for regime in REGIMES)
        )


@dataclass(frozen=True)
class Plan:
    """What is compared, with what effort."""

    preset: str
    class_count: int
    train_pictures: int
    test_pictures: int
    shared_pictures: int
    """Test pictures with a twin among the training pictures."""
    sizes: Sequence[int]
    seeds: Sequence[int]
    gan_images: int
    classifier_images: int
    generated: int
    reference_accuracy: float | None
    """Of the classifier that confirms labels, on the test pictures."""

    def caption(self) -> str:
        """Return what the numbers are."""
        lines = [
            f"accuracy in % on {self.test_pictures:,} test pictures that nothing was trained or chosen by; "
            f"± is half of the mean's {CONFIDENCE:.0%} interval over seeds",
            f"each classifier saw {self.classifier_images:,} pictures, each GAN ({self.preset}) "
            f"{self.gan_images:,}; {self.generated:,} pictures of each GAN; "
            "in a mixture half of every batch is generated",
        ]
        if self.shared_pictures:
            lines.append(f"{self.shared_pictures:,} test pictures are also training pictures")
        return "\n".join(lines)

    def gan_caption(self) -> str:
        """Return what tells collapse."""
        accuracy = "–" if self.reference_accuracy is None else f"{self.reference_accuracy:.2%}"
        return (
            f"labels confirmed: share of generated pictures that a classifier of all {self.train_pictures:,} "
            f"real ones ({accuracy} on the test pictures) gives their label; "
            "variety: variance within a class, that of real pictures is 1"
        )


class Accuracy(Spread):
    """A spread of accuracies, shown in percent with its interval."""

    def text(self, digits: int = 4) -> str:
        """Return `97.31 ± 0.24`."""
        mean = fixed(100 * self.mean, 2)
        return (
            f"{mean} (1 seed)" if self.half_width is None else f"{mean} ± {fixed(100 * self.half_width, 2)}"
        )


Results = Mapping[Cell, CellResults]


def write_study(out: Path, plan: Plan, results: Results) -> tuple[str, dict[str, Any]]:
    """Write table and plot of what is finished into `out`; return the table's text and JSON."""
    rows = [_row(plan, size, results) for size in plan.sizes]
    content = as_json(rows, _about(plan, results))
    text = "\n".join(
        [
            plan.caption(),
            as_text(rows, ACCURACY_HEADINGS),
            "",
            plan.gan_caption(),
            as_text(rows, GAN_HEADINGS),
            *_problems(plan, results),
        ]
    )
    write_text(out / f"{NAME}.txt", text + "\n")
    known = [{key: value for key, value in row.items() if value is not None} for row in rows]
    write_text(out / f"{NAME}.csv", as_csv(known))
    write_json(out / f"{NAME}.json", content)
    with optional(f"the plot {out / f'{NAME}.png'}"):
        _plot(out / f"{NAME}.png", plan, results)
    return text, content


def _about(plan: Plan, results: Results) -> dict[str, Any]:
    return {
        "study": NAME,
        **dataclasses.asdict(plan),
        "sizes": list(plan.sizes),
        "seeds": list(plan.seeds),
        "confidence": CONFIDENCE,
        "regimes": REGIMES,
        "runs": list(_runs(plan, results)),
    }


def _runs(plan: Plan, results: Results) -> Iterable[dict[str, Any]]:
    """Yield every finished classifier and GAN."""
    for cell, found in _finished(plan, results):
        yield {
            "real_pictures": cell.size,
            "seed": cell.seed,
            "classifiers": {name: dataclasses.asdict(outcome) for name, outcome in found.outcomes.items()},
            "gan": dataclasses.asdict(found.gan) if found.gan else None,
            "signs": dataclasses.asdict(found.signs) if found.signs else None,
        }


def _finished(plan: Plan, results: Results) -> Iterable[tuple[Cell, CellResults]]:
    for size in plan.sizes:
        for seed in plan.seeds:
            if found := results.get(Cell(size, seed)):
                yield Cell(size, seed), found


def _row(plan: Plan, size: int, results: Results) -> Row:
    done = [found for cell, found in _finished(plan, results) if cell.size == size]
    gans = [found.gan for found in done if found.gan]
    signs = [found.signs for found in done if found.signs]
    return {
        "real_pictures": size,
        **{regime: _accuracy(regime, done) for regime in REGIMES},
        "seeds_done": f"{sum(found.is_complete for found in done)} of {len(plan.seeds)}",
        "gan_images_seen": [gan.images_seen for gan in gans],
        "gan_seconds": spread_of(gan.seconds for gan in gans if gan.seconds is not None),
        "agreement": spread_of(sign.agreement for sign in signs if sign.agreement is not None),
        "variety": spread_of(sign.variety for sign in signs if sign.variety is not None),
        "gan_ended": _ended(gans, signs),
    }


def _accuracy(regime: str, done: Sequence[CellResults]) -> Accuracy | None:
    outcomes = [found.outcomes[regime] for found in done if regime in found.outcomes]
    spread = spread_of(outcome.accuracy for outcome in outcomes if outcome.accuracy is not None)
    return Accuracy(**vars(spread)) if spread else None


def _ended(gans: Sequence[Trained], signs: Sequence[Signs]) -> str | None:
    """Return why the GANs ended, how often each where not all did alike, and how many make no pictures."""
    counts = Counter(gan.stopped_by for gan in gans)
    reasons = [reason if len(counts) == 1 else f"{times}× {reason}" for reason, times in counts.items()]
    if failed := sum(sign.problem is not None for sign in signs):
        reasons.append(f"{failed}× no pictures")
    return ", ".join(reasons) or None


def _problems(plan: Plan, results: Results) -> Iterable[str]:
    """Yield a line for each figure that a mean had to do without."""
    for cell, found in _finished(plan, results):
        for regime, outcome in found.outcomes.items():
            if outcome.problem:
                where = f"{cell.size:,} real pictures, seed {cell.seed}, {REGIMES[regime]}"
                yield f"not in the means: {where}: {outcome.problem}"


def _plot(path: Path, plan: Plan, results: Results) -> None:
    """Draw errors rather than accuracies: on a logarithmic axis those near 1% can be told apart."""
    lines = []
    for regime, label in REGIMES.items():
        values: dict[float | str, list[float]] = {}
        for cell, found in _finished(plan, results):
            outcome = found.outcomes.get(regime)
            if outcome and outcome.accuracy is not None:
                values.setdefault(cell.size, []).append(100 * (1 - outcome.accuracy))
        if values:
            lines.append(Line(label, values))
    if lines:
        save_lines(
            path,
            lines,
            title=f"one classifier, {plan.classifier_images:,} pictures seen, GAN {plan.preset}",
            x_label="real training pictures",
            y_label="wrong of the test pictures (%)",
            places=plan.sizes,
            bars="half_width",
            log_x=True,
            log_y_floor=100 * 0.5 / plan.test_pictures,  # half a picture: below what any error but 0 can be
        )
