"""Which training recipe is better: named variants of a base recipe at equal processor time."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.features.networks import LITE0, FeatureNetwork, open_network
from dogsgan.files import holds
from dogsgan.models import outline_networks
from dogsgan.progress import say
from dogsgan.stages import recipe_of_set
from dogsgan.studies.all_runs import StudyReport, finish_all
from dogsgan.studies.recipe.judge import Panel
from dogsgan.studies.recipe.table import NAME, Plan, write_study
from dogsgan.studies.recipe.variants import Variant, changing, parse_variants
from dogsgan.studies.runs import finish_run, kept_result
from dogsgan.studies.settings import crops_for, keep_settings, seeds_of

DEVICE = "cpu"
"""Where runs train: a processor's time says nothing about a GPU's."""
_WEIGHTS_BUILT_IN = (LITE0, "stand-in")


@holds("out")
def study_recipe(
    source: Path,
    out: Path,
    *,
    recipe: Recipe,
    budget_s: float = 55 * 60.0,
    variants: Sequence[Variant] | None = None,
    seeds: int = 2,
    variant_seeds: int = 1,
    count: int = 5000,
    real_count: int = 10_000,
    networks: Sequence[str] = (LITE0,),
    weights: Sequence[Path] = (),
) -> StudyReport:
    """Train and judge variants of a recipe for the same processor time, and write table and grids into `out`.

    The baseline's seeds come first, then the variants, and the table is written anew after every run. The
    same call goes on where it stopped; with more seeds or variants it goes further.

    Args:
        source: what `prepare` takes, or a prepared set.
        budget_s: processor seconds of each run's training, those of all threads together.
        variants: the baseline and others, as `parse_variants` returns them; all for None.
        seeds: runs of the baseline, whose differences decide what counts as a gain.
        variant_seeds: runs of each other variant.
        count: generated pictures to judge each run by, against `real_count` crops of each half.
        networks: by name; `weights` are those of the ones that need a file, in their order.

    Raises:
        DogsganError: the folder was begun with other settings, or something cannot be used.
        KeyboardInterrupt: a signal asked to stop.
    """
    base = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, keep_checkpoints=1))
    chosen, left_out = changing(parse_variants(None) if variants is None else variants, base)
    for line in left_out:
        say(line)
    runs = [(chosen[0], seed) for seed in seeds_of(base, seeds)]
    runs += [(variant, seed) for seed in seeds_of(base, variant_seeds) for variant in chosen[1:]]
    opened = _open_networks(networks, weights)
    fixed: dict[str, str | int] = {"processor_seconds": f"{budget_s:g}"}
    crop_set, fixed = crops_for(source, out, study=NAME, recipe=base, fixed=fixed)
    asked, base = base, recipe_of_set(base, crop_set)
    for variant in chosen:  # what cannot be built is refused before the first run
        outline_networks(variant.recipe(base, seed=0), class_count=len(crop_set.class_names))
    panel = Panel(
        opened,
        crop_set,
        channels=base.data.channels,
        conditional=base.model.conditional,
        count=count,
        real_count=real_count,
        cache_dir=out / "real",
    )
    keep_settings(out, study=NAME, recipe=asked, fixed=fixed)
    return _all_runs(out, Plan(runs, budget_s, base.name, panel, left_out), base, crop_set)


def _open_networks(names: Sequence[str], weights: Sequence[Path]) -> list[FeatureNetwork]:
    """Open networks, the weights given in the order of those that need a file."""
    files = list(weights)
    opened = [
        open_network(
            name, weights=files.pop(0) if files and name not in _WEIGHTS_BUILT_IN else None, device=DEVICE
        )
        for name in names
    ]
    if files:
        raise DogsganError(f"--weights {files[0]}: no --network is left that needs a file")
    return opened


def _all_runs(out: Path, plan: Plan, base: Recipe, crop_set: CropSet) -> StudyReport:
    """Finish every run that is not finished, in the plan's order."""
    (text, content), complete = finish_all(
        plan.runs,
        kept=lambda variant, seed: kept_result(
            _folder(out, variant, seed), budget_s=plan.budget_s, judge=plan.panel
        ),
        finish=lambda variant, seed: finish_run(
            _folder(out, variant, seed),
            variant.recipe(base, seed=seed),
            crop_set,
            budget_s=plan.budget_s,
            judge=plan.panel,
            device=DEVICE,
            grid=out / "samples" / f"{variant.name}-seed-{seed}.png",
        ),
        write=lambda results: write_study(out, plan, results),
    )
    return StudyReport(out, text, content, tuple(plan.left_out), complete, files="table, samples")


def _folder(out: Path, variant: Variant, seed: int) -> Path:
    return out / variant.name / f"seed-{seed}"
