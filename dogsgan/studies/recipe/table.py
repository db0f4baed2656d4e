"""What the recipe study shows: one row per variant with its verdict, and every run's figures in the JSON."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.number_text import percent
from dogsgan.studies.all_runs import endings, runs_as_json
from dogsgan.studies.recipe.judge import Panel, RecipeFigures
from dogsgan.studies.recipe.variants import BASELINE, Variant
from dogsgan.studies.runs import Result
from dogsgan.studies.table import Row, Spread, as_json, spread_of, write_table

NAME = "recipe"
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"

Results = Mapping[tuple[Variant, int], Result[RecipeFigures]]
"""What is finished, by variant and seed."""


@dataclass(frozen=True)
class Plan:
    """What is compared, and by whom."""

    runs: Sequence[tuple[Variant, int]]
    """Each variant with each of its seeds, in the order in which they run."""
    budget_s: float
    """Processor seconds of each run."""
    preset: str
    panel: Panel
    left_out: Sequence[str]
    """A line for each variant that changes nothing."""

    @property
    def variants(self) -> list[Variant]:
        """The variants, the baseline first."""
        return list(dict.fromkeys(variant for variant, _ in self.runs))

    def seeds(self, variant: Variant) -> list[int]:
        """Return the seeds of a variant."""
        return [seed for other, seed in self.runs if other == variant]

    def headings(self) -> dict[str, str]:
        """Return the columns of the text's table."""
        networks = {
            f"{figure}_{network.name}": f"{title} {network.name.removeprefix('timm:')}"
            for network in self.panel.networks
            for figure, title in (("frechet_distance", "distance"), ("recall", "recall"))
        }
        return {
            "variant": "variant",
            "images_seen": "images seen",
            "processor_minutes": "processor min",
            "images_per_processor_second": "images/s",
            **networks,
            "dogs_percent": "dogs %",
            "class_percent": "class %",
            "verdict": "verdict",
            "ended": "ended by",
            "seeds_done": "seeds",
        }

    def caption(self) -> str:
        """Return what the table is about, and what its numbers are not."""
        panel = self.panel
        lines = [
            f"{self.preset} on {len(panel.crop_set):,} crops of {panel.crop_set.size_px} px, "
            f"{self.budget_s / 60:g} processor minutes a run; ± is the standard deviation over seeds",
            f"Fréchet distance and recall of {panel.count:,} generated pictures to {panel.real_count:,} "
            "crops of one half: NOT Kaggle's FID",
            "verdict: by the distances to the other half; better or worse only where every seed lies further "
            "from the baseline's mean than the baseline's seeds from each other, by every network",
        ]
        if panel.recognising is not None:
            lines.append(
                f"dogs, class: first guesses of {panel.recognising.name}; of the real crops "
                f"{percent(panel.real_dogs)} are dogs to it"
            )
        return "\n".join(lines)

    def about(self) -> dict[str, Any]:
        """Return the same as plain values."""
        panel = self.panel
        return {
            "study": NAME,
            "preset": self.preset,
            "processor_minutes": self.budget_s / 60,
            "variants": {variant.name: list(variant.settings) for variant in self.variants},
            "networks": {network.name: network.description for network in panel.networks},
            "recognising": panel.recognising.name if panel.recognising else None,
            "real_dogs": panel.real_dogs,
            "note": "not Kaggle's FID: compare it only with distances by the same network, crops and count",
            "count": panel.count,
            "real_count_of_each_half": panel.real_count,
            "crops": len(panel.crop_set),
            "size_px": panel.crop_set.size_px,
            "left_out": list(self.left_out),
        }


def write_study(out: Path, plan: Plan, results: Results) -> tuple[str, dict[str, Any]]:
    """Write the table of what is finished into `out`; return its text and JSON."""
    rows = [_row(plan, variant, results) for variant in plan.variants]
    about = {**plan.about(), "runs": runs_as_json(plan.runs, results)}
    text = write_table(out, NAME, rows, headings=plan.headings(), about=about, caption=plan.caption())
    return text, as_json(rows, about)


def verdict(
    seeds: Sequence[Mapping[str, float] | None], baseline: Sequence[Mapping[str, float] | None]
) -> str:
    """Compare a variant's distances with the baseline's, one mapping by network for each seed.

    A gain counts where every seed gains more on the baseline's mean than the baseline's seeds differ, and by
    every network; a loss likewise. With fewer than two seeds of the baseline nothing is decided. None stands
    for a run that makes no pictures: one such run of a variant is worse than any distance.
    """
    known = [distances for distances in baseline if distances is not None]
    if len(known) < max(2, len(baseline)):
        return UNDECIDED
    gains = [distances for distances in seeds if distances is not None]
    if len(gains) < len(seeds):
        return WORSE
    found = {
        _verdict([of_one[network] for of_one in gains], [of_one[network] for of_one in known])
        for network in known[0]
    }
    return found.pop() if len(found) == 1 else UNDECIDED


def _verdict(distances: Sequence[float], baseline: Sequence[float]) -> str:
    mean, spread = sum(baseline) / len(baseline), max(baseline) - min(baseline)
    if all(mean - distance > spread for distance in distances):
        return BETTER
    return WORSE if all(distance - mean > spread for distance in distances) else UNDECIDED


def _row(plan: Plan, variant: Variant, results: Results) -> Row:
    done = _done(plan, variant, results)
    figures = [result.figures for result in done if result.figures]
    of_networks: dict[str, Spread | None] = {}
    for network in plan.panel.networks:
        for figure in ("frechet_distance", "precision", "recall"):
            values = [getattr(of_run.reporting[network.name], figure) for of_run in figures]
            of_networks[f"{figure}_{network.name}"] = spread_of(values)
    seconds = [result.trained.processor_s or 0.0 for result in done]
    images = [result.trained.images_seen for result in done]
    return {
        "variant": variant.name,
        "settings": " ".join(variant.settings),
        "images_seen": images,
        "processor_minutes": spread_of(of_run / 60 for of_run in seconds),
        "images_per_processor_second": spread_of(
            seen / of_run for seen, of_run in zip(images, seconds, strict=True) if of_run
        ),
        **of_networks,
        "dogs_percent": _percent(of_run.dogs for of_run in figures),
        "class_percent": _percent(of_run.first for of_run in figures),
        "verdict": _row_verdict(plan, variant, results),
        "ended": endings(done),
        "seeds_done": f"{len(done)} of {len(plan.seeds(variant))}",
    }


def _row_verdict(plan: Plan, variant: Variant, results: Results) -> str | None:
    """Return None for the baseline, and for a variant none of whose runs is finished."""
    baseline, done = plan.variants[0], _done(plan, variant, results)
    if variant.name == BASELINE or not done:
        return None
    return verdict(_choosing(done), _choosing(_done(plan, baseline, results)))


def _done(plan: Plan, variant: Variant, results: Results) -> list[Result[RecipeFigures]]:
    return [results[variant, seed] for seed in plan.seeds(variant) if (variant, seed) in results]


def _choosing(done: Iterable[Result[RecipeFigures]]) -> list[dict[str, float] | None]:
    return [
        {name: found.frechet_distance for name, found in result.figures.choosing.items()}
        if result.figures
        else None
        for result in done
    ]


def _percent(shares: Iterable[float | None]) -> Spread | None:
    return spread_of(100 * share for share in shares if share is not None)
