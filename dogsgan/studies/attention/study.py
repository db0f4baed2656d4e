"""Where self-attention helps, with and without spectral norm: the same budget, data and seeds for each."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.features.choice import chosen_network
from dogsgan.features.networks import open_network
from dogsgan.files import holds
from dogsgan.models import outline_networks, parameter_count
from dogsgan.progress import say
from dogsgan.stages import recipe_of_set
from dogsgan.studies.all_runs import StudyReport, finish_all
from dogsgan.studies.attention.table import NAME, Plan, write_study
from dogsgan.studies.attention.variants import Variant, choose_variants
from dogsgan.studies.judge import Judge
from dogsgan.studies.runs import finish_run, kept_result
from dogsgan.studies.settings import crops_for, keep_settings, seeds_of

SIZES: tuple[int | None, ...] = (None, 8, 16, 32, 64)


@holds("out")
def study_attention(
    source: Path,
    out: Path,
    *,
    recipe: Recipe,
    images: int,
    seeds: int = 3,
    attention: Sequence[int | None] = SIZES,
    spectral_norm: Sequence[bool] = (True, False),
    count: int = 2000,
    real_count: int = 10_000,
    network: str = "stand-in",
    weights: Path | None = None,
    device: str = "auto",
) -> StudyReport:
    """Train and judge every variant of a recipe, and write table, plot and sample grids into `out`.

    All variants of a seed come before those of the next, and the table is written anew after every run, so
    that a study that was stopped shows a balanced part. The same call goes on where it stopped; with more
    `seeds` or `images` it goes further.

    Args:
        source: what `prepare` takes, or a prepared set.
        images: real images that each run sees.
        attention: map sizes in px, None for no attention; one that neither network has is left out.
        count: generated pictures to judge each run by, against `real_count` crops.
        network: as for `score`; its distances are those of crops and not the competition's.

    Raises:
        DogsganError: no variant is left, or the folder was begun with other settings, or something cannot be
            used.
        KeyboardInterrupt: a signal asked to stop.
    """
    base = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, keep_checkpoints=1))
    seed_list = seeds_of(base, seeds)
    variants, left_out = choose_variants(base, attention, spectral_norm)
    for line in left_out:
        say(line)
    chosen = chosen_network(network, size_px=base.data.size_px, weights=weights)
    opened = open_network(chosen.name, weights=weights, device=device)
    growing = {"images": images}
    crop_set, fixed = crops_for(source, out, study=NAME, recipe=base, growing=growing)
    asked, base = base, recipe_of_set(base, crop_set)
    judge = Judge(
        crop_set,
        opened,
        channels=base.data.channels,
        count=count,
        real_count=real_count,
        cache_dir=out / "real",
    )
    plan = Plan(
        variants=variants,
        parameters={variant: _parameters(variant, base, crop_set) for variant in variants},
        seeds=seed_list,
        images=images,
        preset=base.name,
        judge=judge,
        left_out=left_out,
    )
    keep_settings(out, study=NAME, recipe=asked, fixed=fixed, growing=growing)
    return _all_runs(out, plan, base, crop_set, device=device)


def _parameters(variant: Variant, base: Recipe, crop_set: CropSet) -> tuple[int, int]:
    """Count the trained values of both networks, which refuses what cannot be built."""
    networks = outline_networks(variant.recipe(base, seed=0), class_count=len(crop_set.class_names))
    return parameter_count(networks.generator), parameter_count(networks.discriminator)


def _all_runs(out: Path, plan: Plan, base: Recipe, crop_set: CropSet, *, device: str) -> StudyReport:
    """Finish every run that is not finished, seed by seed."""
    (text, content), complete = finish_all(
        [(variant, seed) for seed in plan.seeds for variant in plan.variants],
        kept=lambda variant, seed: kept_result(
            _folder(out, variant, seed), images=plan.images, judge=plan.judge
        ),
        finish=lambda variant, seed: finish_run(
            _folder(out, variant, seed),
            variant.recipe(base, seed=seed),
            crop_set,
            images=plan.images,
            judge=plan.judge,
            device=device,
            grid=out / "samples" / f"{variant.name}-seed-{seed}.png",
        ),
        write=lambda results: write_study(out, plan, results),
    )
    return StudyReport(out, text, content, tuple(plan.left_out), complete)


def _folder(out: Path, variant: Variant, seed: int) -> Path:
    return out / variant.name / f"seed-{seed}"
