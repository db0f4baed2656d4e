"""What the attention study shows: one row per variant, a plot, and every run's figures in the JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.progress import optional
from dogsgan.studies.all_runs import endings, runs_as_json
from dogsgan.studies.attention.variants import Variant
from dogsgan.studies.judge import Figures, Judge
from dogsgan.studies.plot import Line, save_lines
from dogsgan.studies.runs import Result
from dogsgan.studies.table import Row, Spread, as_json, spread_of, write_table

NAME = "attention"
HEADINGS = {
    "attention": "attention",
    "attention_in": "in",
    "spectral_norm": "spectral norm",
    "frechet_distance": "Fréchet distance",
    "precision": "precision",
    "recall": "recall",
    "generator_parameters": "G parameters",
    "discriminator_parameters": "D parameters",
    "seconds_per_thousand_images": "s/1,000 images",
    "images_seen": "images seen",
    "ended": "ended by",
    "seeds_done": "seeds",
}
_OF_FIGURES = ("frechet_distance", "precision", "recall")


@dataclass(frozen=True)
class Plan:
    """What is compared, and by whom."""

    variants: Sequence[Variant]
    parameters: Mapping[Variant, tuple[int, int]]
    """Trained values of generator and discriminator."""
    seeds: Sequence[int]
    images: int
    preset: str
    judge: Judge
    left_out: Sequence[str]
    """A line for each size that the networks cannot have."""

    def caption(self) -> str:
        """Return what the table is about, and what its numbers are not."""
        judge = self.judge
        crops, size_px, network = len(judge.crop_set), judge.crop_set.size_px, judge.network
        lines = [
            f"{self.preset} on {crops:,} crops of {size_px}×{size_px} px, {self.images:,} images a run; "
            "± is the standard deviation over seeds",
            f"Fréchet distance by the network {network.name} ({network.description}) of {judge.count:,} "
            f"generated pictures to {judge.real_count:,} crops: NOT Kaggle's FID",
            f"precision and recall: against {min(judge.count, judge.real_count):,} crops",
        ]
        if judge.count < network.dimension:
            lines.append(
                f"{judge.count:,} pictures are fewer than the network's {network.dimension:,} features: "
                "every distance is too high"
            )
        return "\n".join(lines)

    def about(self) -> dict[str, Any]:
        """Return the same as plain values."""
        judge = self.judge
        return {
            "study": NAME,
            "preset": self.preset,
            "images": self.images,
            "seeds": list(self.seeds),
            "network": judge.network.name,
            "network_description": judge.network.description,
            "note": "not Kaggle's FID: compare it only with distances by the same network, crops and count",
            "count": judge.count,
            "real_count": judge.real_count,
            "crops": len(judge.crop_set),
            "size_px": judge.crop_set.size_px,
            "left_out": list(self.left_out),
        }


Results = Mapping[tuple[Variant, int], Result[Figures]]
"""What is finished, by variant and seed."""


def write_study(out: Path, plan: Plan, results: Results) -> tuple[str, dict[str, Any]]:
    """Write table and plot of what is finished into `out`; return the table's text and JSON."""
    rows = [_row(plan, variant, results) for variant in plan.variants]
    about = {**plan.about(), "runs": runs_as_json(_places(plan), results)}
    text = write_table(out, NAME, rows, headings=HEADINGS, about=about, caption=plan.caption())
    with optional(f"the plot {out / f'{NAME}.png'}"):
        _plot(out / f"{NAME}.png", plan, results)
    return text, as_json(rows, about)


def _row(plan: Plan, variant: Variant, results: Results) -> Row:
    done = [results[variant, seed] for seed in plan.seeds if (variant, seed) in results]
    generator, discriminator = plan.parameters[variant]
    return {
        "attention": variant.size,
        "attention_in": variant.attention_in,
        "spectral_norm": "on" if variant.spectral_norm else "off",
        **{name: _spread_of_figure(name, done) for name in _OF_FIGURES},
        "generator_parameters": generator,
        "discriminator_parameters": discriminator,
        "seconds_per_thousand_images": spread_of(
            seconds for result in done if (seconds := result.trained.seconds_per_thousand_images)
        ),
        "images_seen": [result.trained.images_seen for result in done],
        "ended": endings(done),
        "seeds_done": f"{len(done)} of {len(plan.seeds)}",
        "network": plan.judge.network.name,
    }


def _spread_of_figure(name: str, done: Iterable[Result[Figures]]) -> Spread | None:
    return spread_of(getattr(result.figures, name) for result in done if result.figures)


def _places(plan: Plan) -> list[tuple[Variant, int]]:
    return [(variant, seed) for variant in plan.variants for seed in plan.seeds]


def _plot(path: Path, plan: Plan, results: Results) -> None:
    lines = []
    for norm, label in ((True, "with spectral norm"), (False, "without")):
        values: dict[float | str, list[float]] = {}
        for variant in plan.variants:
            found = [results.get((variant, seed)) for seed in plan.seeds]
            distances = [r.figures.frechet_distance for r in found if r and r.figures]
            if variant.spectral_norm == norm and distances:
                values[variant.size] = distances
        if values:
            lines.append(Line(label, values))
    if lines:
        save_lines(
            path,
            lines,
            title=f"{plan.preset}, {plan.images:,} images a run",
            x_label="side of the map with self-attention (px)",
            y_label=f"Fréchet distance\n(by {plan.judge.network.name}: not Kaggle's FID)",
            places=list(dict.fromkeys(variant.size for variant in plan.variants)),
        )
