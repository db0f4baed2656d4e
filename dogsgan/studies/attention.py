"""Where self-attention helps, with and without spectral norm: the same budget, data and seeds for each."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.sources import open_source
from dogsgan.files import holds
from dogsgan.models import outline_networks, parameter_count
from dogsgan.progress import say
from dogsgan.scoring.choice import chosen_network
from dogsgan.scoring.networks import open_network
from dogsgan.stages import crops_of, recipe_of_set
from dogsgan.studies.attention_table import NAME, Plan, write_study
from dogsgan.studies.attention_variants import Variant, choose_variants
from dogsgan.studies.judge import Judge
from dogsgan.studies.runs import Result, finish_run, kept_result
from dogsgan.studies.settings import check_settings, keep_settings, seeds_of

SIZES: tuple[int | None, ...] = (None, 8, 16, 32, 64)


@dataclass(frozen=True)
class AttentionReport:
    """What the study found."""

    out: Path
    table: str
    """The table as text."""
    content: dict[str, Any]
    """The table as JSON: what was compared, one row per variant, every run."""
    left_out: tuple[str, ...]
    complete: bool
    """Whether every run got as far as it could: none ran out of memory."""

    def to_json(self) -> dict[str, Any]:
        """Return the study's JSON, and where it lies."""
        return {**self.content, "out": str(self.out)}

    def summary(self) -> str:
        """Return the table, and what is not in it."""
        return "\n".join(
            [self.table, *self.left_out, f"table, plot, samples and every run are in {self.out}"]
        )


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
) -> AttentionReport:
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
    crop_set, fixed = _crops(source, out, base, images=images)
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
    keep_settings(out, study=NAME, recipe=asked, fixed=fixed, growing={"images": images})
    return _all_runs(out, plan, base, crop_set, device=device)


def _crops(source: Path, out: Path, base: Recipe, *, images: int) -> tuple[CropSet, dict[str, str]]:
    """Return the crops, and what tells them from others.

    Nothing is written that binds a later call: whether networks can be built of the recipe is not known yet.

    Raises:
        DogsganError: the folder was begun with others or with other settings, or their size is not the
            recipe's.
    """
    opened = open_source(source)
    fixed = {}
    if opened.crop_set is None:
        # Under `source` earlier versions kept names, sizes and times of change.
        fixed["contents_of_source"] = opened.fingerprint()
    # Before another source's crops replace those that are there, and again when the crops are known.
    check_settings(out, study=NAME, recipe=base, fixed=fixed, growing={"images": images})
    crop_set, _ = crops_of(opened, out / "crops", base.data)
    fixed["crops"] = crop_set.fingerprint
    check_settings(out, study=NAME, recipe=base, fixed=fixed, growing={"images": images})
    return crop_set, fixed


def _parameters(variant: Variant, base: Recipe, crop_set: CropSet) -> tuple[int, int]:
    """Count the trained values of both networks, which refuses what cannot be built."""
    networks = outline_networks(variant.recipe(base, seed=0), class_count=len(crop_set.class_names))
    return parameter_count(networks.generator), parameter_count(networks.discriminator)


def _all_runs(out: Path, plan: Plan, base: Recipe, crop_set: CropSet, *, device: str) -> AttentionReport:
    """Finish every run that is not finished, seed by seed."""
    runs = [(variant, seed) for seed in plan.seeds for variant in plan.variants]
    results: dict[tuple[Variant, int], Result] = {}
    for variant, seed in runs:
        if kept := kept_result(_folder(out, variant, seed), images=plan.images, judge=plan.judge):
            results[variant, seed] = kept
    text, content = write_study(out, plan, results)
    for number, (variant, seed) in enumerate(runs, start=1):
        if (variant, seed) in results:
            continue
        say(f"run {number} of {len(runs)}: {variant.name}, seed {seed}")
        results[variant, seed] = finish_run(
            _folder(out, variant, seed),
            variant.recipe(base, seed=seed),
            crop_set,
            images=plan.images,
            judge=plan.judge,
            device=device,
            grid=out / "samples" / f"{variant.name}-seed-{seed}.png",
        )
        text, content = write_study(out, plan, results)
    complete = all(result.trained.is_final for result in results.values())
    return AttentionReport(out, text, content, tuple(plan.left_out), complete)


def _folder(out: Path, variant: Variant, seed: int) -> Path:
    return out / variant.name / f"seed-{seed}"
