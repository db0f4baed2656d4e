"""Attention study: where self-attention helps, at the same budget, data and seeds for each variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.features.networks import open_network
from dogsgan.files import holds
from dogsgan.models import outline_networks, parameter_count
from dogsgan.progress import say
from dogsgan.stages import recipe_of_set
from dogsgan.studies.attention.variants import Variant, choose_variants
from dogsgan.studies.grid import JudgedStudy, StudyReport
from dogsgan.studies.judge import Figures, Judge
from dogsgan.studies.plot import Line, save_lines
from dogsgan.studies.runs import Result
from dogsgan.studies.settings import Settings, crops_for, keeping_one_checkpoint, seeds_of
from dogsgan.studies.table import Row, spread_of

NAME = "attention"
SIZES: tuple[int | None, ...] = (None, 8, 16, 32, 64)
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
    recipe = keeping_one_checkpoint(recipe)
    seed_list = seeds_of(recipe, seeds)
    variants, left_out = choose_variants(recipe, attention, spectral_norm)
    for line in left_out:
        say(line)
    opened = open_network(network, weights=weights, device=device, size_px=recipe.data.size_px)
    crop_set, settings = crops_for(source, out, Settings(NAME, recipe, growing={"images": images}))
    base = recipe_of_set(recipe, crop_set)
    study = AttentionStudy(
        out=out,
        settings=settings,
        base=base,
        runs=[(variant, seed) for seed in seed_list for variant in variants],
        left_out=left_out,
        crop_set=crop_set,
        judge=Judge(
            crop_set,
            opened,
            channels=base.data.channels,
            count=count,
            real_count=real_count,
            cache_dir=out / "real",
        ),
        images=images,
        device=device,
        parameters={
            variant: _parameters(variant.recipe(base, seed=0), len(crop_set.class_names))
            for variant in variants
        },
    )
    return study.finish()


def _parameters(recipe: Recipe, class_count: int) -> tuple[int, int]:
    """Count the trained values of both networks, which refuses what cannot be built."""
    networks = outline_networks(recipe, class_count=class_count)
    return parameter_count(networks.generator), parameter_count(networks.discriminator)


@dataclass(frozen=True, kw_only=True)
class AttentionStudy(JudgedStudy[Variant, Figures]):
    """Variants with and without attention, and what the table says of each."""

    name = NAME
    files = "table, plot, samples"
    headings = HEADINGS

    judge: Judge
    images: int
    parameters: Mapping[Variant, tuple[int, int]]  # trained values of generator and discriminator

    def caption(self) -> str:
        """Return what the table is about, and what its numbers are not."""
        judge = self.judge
        crops, size_px, network = len(judge.crop_set), judge.crop_set.size_px, judge.network
        lines = [
            f"{self.base.name} on {crops:,} crops of {size_px}×{size_px} px, {self.images:,} images a "
            "run; ± is the standard deviation over seeds",
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
        return {
            **super().about(),
            "images": self.images,
            "seeds": self.seeds(self.variants[0]),
            "network": self.judge.network.name,
            "network_description": self.judge.network.description,
            "real_count": self.judge.real_count,
        }

    def row(
        self,
        variant: Variant,
        done: Sequence[Result[Figures]],
        results: Mapping[tuple[Variant, int], Result[Figures]],
    ) -> Row:
        """Return a variant's figures, and the network that made them."""
        generator, discriminator = self.parameters[variant]
        figures = [result.figures for result in done if result.figures]
        return {
            "attention": variant.size,
            "attention_in": variant.attention_in,
            "spectral_norm": "on" if variant.spectral_norm else "off",
            **{
                name: spread_of(getattr(of_run, name) for of_run in figures)
                for name in ("frechet_distance", "precision", "recall")
            },
            "generator_parameters": generator,
            "discriminator_parameters": discriminator,
            "seconds_per_thousand_images": spread_of(
                seconds for result in done if (seconds := result.trained.seconds_per_thousand_images)
            ),
            "images_seen": [result.trained.images_seen for result in done],
            **self.ended(variant, done),
            "network": self.judge.network.name,
        }

    def draw(self, path: Path, results: Mapping[tuple[Variant, int], Result[Figures]]) -> None:
        """Draw the distances over the size of the maps with attention."""
        lines = []
        for norm, label in ((True, "with spectral norm"), (False, "without")):
            values: dict[float | str, list[float]] = {
                variant.size: [
                    result.figures.frechet_distance
                    for result in self.done(variant, results)
                    if result.figures
                ]
                for variant in self.variants
                if variant.spectral_norm == norm
            }
            if any(values.values()):
                lines.append(Line(label, values))
        if lines:
            save_lines(
                path,
                lines,
                title=f"{self.base.name}, {self.images:,} images a run",
                x_label="side of the map with self-attention (px)",
                y_label=f"Fréchet distance\n(by {self.judge.network.name}: not Kaggle's FID)",
                places=list(dict.fromkeys(variant.size for variant in self.variants)),
            )
