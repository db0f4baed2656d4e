"""Attention study: where self-attention helps, at the same budget, data and seeds for each variant."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import open_network
from dogsgan.files import holds
from dogsgan.models import attention_maps, outline_networks, parameter_count
from dogsgan.models.layers import LEAST_CHANNELS
from dogsgan.progress import say
from dogsgan.stages import recipe_of_set
from dogsgan.studies.grid import JudgedStudy, Result, StudyReport
from dogsgan.studies.judge import Figures, Judge
from dogsgan.studies.runs import Settings, crops_for, keeping_one_checkpoint, seeds_of, with_seed
from dogsgan.studies.table import Line, Row, save_lines, spread_of

NAME = "attention"
NONE = "none"
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


@dataclass(frozen=True)
class Variant:
    """One way to build both networks."""

    attention_px: int | None  # the side of the maps with self-attention; None for a variant without
    spectral_norm: bool  # of every layer of both networks
    in_generator: bool  # whether the generator has such a map
    in_discriminator: bool  # whether the discriminator has such a map

    @property
    def size(self) -> str:
        """The map size in words."""
        return NONE if self.attention_px is None else str(self.attention_px)

    @property
    def name(self) -> str:
        """The name of the variant's folder."""
        return f"attention-{self.size}" + "-sn" * self.spectral_norm

    @property
    def attention_in(self) -> str | None:
        """Which networks have attention: `G+D`, `G` or `D`; None where none has."""
        return "+".join("G" * self.in_generator + "D" * self.in_discriminator) or None

    def recipe(self, base: Recipe, *, seed: int) -> Recipe:
        """Return the base recipe with this variant's networks and a seed; nothing else differs."""
        sizes = () if self.attention_px is None else (self.attention_px,)
        model = dataclasses.replace(
            base.model,
            generator_attention_px=sizes if self.in_generator else (),
            discriminator_attention_px=sizes if self.in_discriminator else (),
            generator_spectral_norm=self.spectral_norm,
            discriminator_spectral_norm=self.spectral_norm,
        )
        return with_seed(dataclasses.replace(base, model=model), seed)


def parse_sizes(text: str) -> tuple[int | None, ...]:
    """Return the map sizes in px that `none,8,16` names, each once; None for no attention.

    Raises:
        DogsganError: a part is neither `none` nor a whole number above 0.
    """
    parts = _parts(text)
    for part in parts:
        if part != NONE and not (part.isascii() and part.isdigit() and int(part) > 0):
            raise DogsganError(f"--attention {text!r}: {part!r} is no map size; write none,8,16,32")
    return tuple(dict.fromkeys(None if part == NONE else int(part) for part in parts))


def parse_norms(text: str) -> tuple[bool, ...]:
    """Return whether there is spectral norm, for each part of `on,off`.

    Raises:
        DogsganError: a part is neither.
    """
    parts = _parts(text)
    if not set(parts) <= {"on", "off"}:
        raise DogsganError(f"--spectral-norm {text!r}: write on, off or on,off")
    return tuple(dict.fromkeys(part == "on" for part in parts))


def _parts(text: str) -> list[str]:
    return [part.strip().lower() for part in text.split(",")]


def choose_variants(
    recipe: Recipe, sizes: Iterable[int | None], norms: Iterable[bool]
) -> tuple[list[Variant], list[str]]:
    """Return the variants that the recipe's networks can have, and a line for each size that they cannot.

    Raises:
        DogsganError: no variant is left, or the recipe's networks cannot be built at all.
    """
    maps = attention_maps(recipe)
    norms = tuple(norms)
    variants, left_out = [], []
    for px in sizes:
        wide = [px is not None and of_one.get(px, 0) >= LEAST_CHANNELS for of_one in maps]
        if px is None or any(wide):
            variants += [Variant(px, norm, *wide) for norm in norms]
        elif widest := max(of_one.get(px, 0) for of_one in maps):
            left_out.append(
                f"attention at {px} px is left out: the maps have {widest} channels there, "
                f"and attention needs {LEAST_CHANNELS}"
            )
        else:
            left_out.append(
                f"attention at {px} px is left out: with pictures of {recipe.data.size_px} px the generator "
                f"has {_listed(maps.generator)}, the discriminator {_listed(maps.discriminator)}"
            )
    if not variants:
        raise DogsganError(f"nothing to compare ({'; '.join(left_out)}): choose other --attention sizes")
    return variants, left_out


def _listed(maps: dict[int, int]) -> str:
    return f"maps of {', '.join(map(str, maps))} px" if maps else "none to attend to"


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
    pictures = open_source(source)  # what is not there is named before any network
    opened = open_network(network, weights=weights, device=device, size_px=recipe.data.size_px)
    crop_set, settings = crops_for(pictures, out, Settings(NAME, recipe, growing={"images": images}))
    base = recipe_of_set(recipe, crop_set)
    parameters = {}
    for variant in variants:  # which refuses what cannot be built
        networks = outline_networks(variant.recipe(base, seed=0), class_count=len(crop_set.class_names))
        parameters[variant] = parameter_count(networks.generator), parameter_count(networks.discriminator)
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
        parameters=parameters,
    )
    return study.finish()


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

    def row(self, variant: Variant) -> Row:
        """Return a variant's figures, and the network that made them."""
        done = self.done(variant).values()
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
                result.trained.seconds_per_thousand_images for result in done
            ),
            "images_seen": [result.trained.images_seen for result in done],
            **self.ended(variant),
            "network": self.judge.network.name,
        }

    def draw(self, path: Path) -> None:
        """Draw the distances over the size of the maps with attention."""
        lines = []
        for norm, label in ((True, "with spectral norm"), (False, "without")):
            of_norm = [variant for variant in self.variants if variant.spectral_norm == norm]
            lines.append(Line(label, {each.size: _distances(self.done(each)) for each in of_norm}))
        save_lines(
            path,
            lines,
            title=f"{self.base.name}, {self.images:,} images a run",
            x_label="side of the map with self-attention (px)",
            y_label=f"Fréchet distance\n(by {self.judge.network.name}: not Kaggle's FID)",
            places=list(dict.fromkeys(variant.size for variant in self.variants)),
        )


def _distances(done: Mapping[int, Result[Figures]]) -> list[float]:
    return [result.figures.frechet_distance for result in done.values() if result.figures]
