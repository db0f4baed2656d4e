"""Recipe study: named variants of a training recipe at equal processor time, each with its verdict."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from dogsgan.config import Recipe
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, open_network
from dogsgan.features.timm_networks import LITE0
from dogsgan.files import holds
from dogsgan.models import outline_networks
from dogsgan.number_text import percent
from dogsgan.progress import say
from dogsgan.recognition import Shares, best_guesses, shares_of
from dogsgan.recognition.imagenet import DOGS, imagenet_indices, wnids_of
from dogsgan.stages import recipe_of_set
from dogsgan.studies.grid import JudgedStudy, Result, StudyReport
from dogsgan.studies.judge import Figures, Judge
from dogsgan.studies.runs import Settings, crops_for, keeping_one_checkpoint, seeds_of, with_seed
from dogsgan.studies.table import Row, Spread, spread_of

NAME = "recipe"
DEVICE = "cpu"  # runs train there: a processor's time says nothing about a GPU's
BETTER, WORSE, UNDECIDED = "better", "worse", "undecided"
_WEIGHTS_BUILT_IN = (LITE0, "stand-in")
CHOOSING, REPORTING = 0, 1

BASELINE = "baseline"
_SHARED = "training.shared_fakes=true"
_ATTENTION_16 = ("model.generator_attention_px=16", "model.discriminator_attention_px=16")
_FAST = (*_ATTENTION_16, _SHARED)

VARIANTS: Mapping[str, tuple[str, ...]] = {
    BASELINE: (),
    "attention-16": _ATTENTION_16,
    "shared-fakes": (_SHARED,),
    "fast": _FAST,
    "fast-decay": (*_FAST, "training.lr_decay=0.5"),
    "fast-lecam": (*_FAST, "training.lecam=0.3"),
    "fast-diffaugment": (
        *_FAST,
        "training.diffaugment=color,translation",
        "training.diffaugment_ramp_images=200000",
    ),
    "fast-g-lr": (*_FAST, "training.generator_lr=4e-4"),
    "fast-no-sn-g": (*_FAST, "model.generator_spectral_norm=false"),
}
"""The settings that each variant changes in the base recipe, as `--set` takes them."""


@dataclass(frozen=True)
class Variant:
    """A base recipe with some settings changed."""

    name: str
    settings: tuple[str, ...]

    def recipe(self, base: Recipe, *, seed: int) -> Recipe:
        """Return the base recipe with this variant's settings and a seed; nothing else differs."""
        return with_seed(base.with_overrides(list(self.settings)), seed)


def parse_variants(text: str | None) -> list[Variant]:
    """Return the variants that `fast,fast-lecam` names after the baseline, each once; all for None.

    Raises:
        DogsganError: there is no such variant.
    """
    names = list(VARIANTS) if text is None else [part.strip() for part in text.split(",")]
    if unknown := [name for name in names if name not in VARIANTS]:
        raise DogsganError(
            f"--variants: no variant {', '.join(map(repr, unknown))}; there are {', '.join(VARIANTS)}"
        )
    return [Variant(name, VARIANTS[name]) for name in dict.fromkeys([BASELINE, *names])]


def changing(variants: Sequence[Variant], base: Recipe) -> tuple[list[Variant], list[str]]:
    """Return the baseline and the variants that change `base`, and a line for each that does not."""
    kept, left_out = [], []
    for variant in variants:
        if variant.name == BASELINE or base.differences(variant.recipe(base, seed=base.training.seed)):
            kept.append(variant)
        else:
            left_out.append(f"{variant.name} is left out: {base.name} has its settings already")
    return kept, left_out


@dataclass(frozen=True)
class RecipeFigures:
    """What is said of a generator's pictures."""

    choosing: dict[str, Figures]  # by network, against the half of the crops that verdicts come from
    reporting: dict[str, Figures]  # by network, against the other half, which the table shows
    dogs: float | None  # share whose first guess is a dog; None where no network has a classifier
    first: float | None  # share whose first guess is the class asked for; None where ImageNet has none


class Panel:
    """Several judges, each with a network of its own, of the same pictures of each run.

    Each judges by two halves of the crops. `conditional` says that generated pictures are of the set's
    classes in turn.

    Raises:
        DogsganError: a network is named twice, or a half has too few crops.
    """

    def __init__(self, judges: Sequence[Judge], *, conditional: bool) -> None:
        self.networks = [judge.network for judge in judges]
        names = [network.name for network in self.networks]
        if len(set(names)) < len(names):
            raise DogsganError(f"--network: each network once, not {', '.join(names)}")
        self._judges = {
            judge.network.name: [dataclasses.replace(judge, half=half) for half in (CHOOSING, REPORTING)]
            for judge in judges
        }
        self.crop_set, self.count = judges[0].crop_set, judges[0].count
        self.real_count = self._judges[names[0]][REPORTING].real_count  # of each half
        self._class_names = self.crop_set.class_names if conditional else ()
        with_classes = [network for network in self.networks if network.classifier is not None]
        self.recognising = min(with_classes, key=lambda network: network.name != LITE0, default=None)

    @property
    def key(self) -> dict[str, Any]:
        """What decides the figures beside the generator."""
        recognising = self.recognising.name if self.recognising else None
        keys = {name: [judge.key for judge in pair] for name, pair in self._judges.items()}
        return {"judges": keys, "recognising": recognising}

    def figures(self, pictures: np.ndarray) -> RecipeFigures:
        """Return the figures of generated pictures, N×H×W×C uint8, of the set's classes in turn."""
        choosing, reporting, shares = {}, {}, None
        for name, pair in self._judges.items():
            features = pair[CHOOSING].features(pictures)
            choosing[name] = pair[CHOOSING].compare(features)
            reporting[name] = pair[REPORTING].compare(features)
            if self.recognising is not None and name == self.recognising.name:
                shares = self._shares(features, self._own(len(pictures)))
        dogs, first = (shares.in_classes, shares.first) if shares else (None, None)
        return RecipeFigures(choosing, reporting, dogs, first)

    def restored(self, saved: dict[str, Any]) -> RecipeFigures:
        """Return figures that were saved as plain values."""
        choosing, reporting = (
            {name: Figures(**saved[half][name]) for name in self._judges}
            for half in ("choosing", "reporting")
        )
        return RecipeFigures(choosing, reporting, dogs=saved["dogs"], first=saved["first"])

    @cached_property
    def real_dogs(self) -> float | None:
        """The share of the real crops of the reporting half that are recognised as dogs."""
        if self.recognising is None:
            return None
        features = self._judges[self.recognising.name][REPORTING].real_features
        return self._shares(features, [None] * len(features)).in_classes

    def _shares(self, features: np.ndarray, own: Sequence[int | None]) -> Shares:
        assert self.recognising is not None
        assert self.recognising.classifier is not None
        best = best_guesses(features, self.recognising.classifier)
        return shares_of(best, classes=DOGS, own=own)

    def _own(self, count: int) -> list[int | None]:
        """Return ImageNet's index of the class of each generated picture, None where it has none."""
        names = self._class_names
        return [self._indices.get(names[place % len(names)]) if names else None for place in range(count)]

    @cached_property
    def _indices(self) -> dict[str, int]:
        wnids = wnids_of(open_source(self.crop_set.path))
        return imagenet_indices(self._class_names, wnids=wnids, within=DOGS)


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
    recipe = keeping_one_checkpoint(recipe)
    chosen, left_out = changing(parse_variants(None) if variants is None else variants, recipe)
    for line in left_out:
        say(line)
    runs = [(chosen[0], seed) for seed in seeds_of(recipe, seeds)]
    runs += [(variant, seed) for seed in seeds_of(recipe, variant_seeds) for variant in chosen[1:]]
    pictures = open_source(source)  # what is not there is named before any network
    opened = _open_networks(networks, weights)
    settings = Settings(NAME, recipe, fixed={"processor_seconds": f"{budget_s:g}"})
    crop_set, settings = crops_for(pictures, out, settings)
    base = recipe_of_set(recipe, crop_set)
    for variant in chosen:  # what cannot be built is refused before the first run
        outline_networks(variant.recipe(base, seed=0), class_count=len(crop_set.class_names))
    judges = [
        Judge(
            crop_set,
            network,
            channels=base.data.channels,
            count=count,
            real_count=real_count,
            cache_dir=out / "real",
        )
        for network in opened
    ]
    study = RecipeStudy(
        out=out,
        settings=settings,
        base=base,
        runs=runs,
        left_out=left_out,
        crop_set=crop_set,
        judge=Panel(judges, conditional=base.model.conditional),
        budget_s=budget_s,
        device=DEVICE,
    )
    return study.finish()


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


@dataclass(frozen=True, kw_only=True)
class RecipeStudy(JudgedStudy[Variant, RecipeFigures]):
    """A baseline and changes of it, and what the table says of each."""

    name = NAME

    judge: Panel
    budget_s: float

    @property
    def headings(self) -> Mapping[str, str]:
        """The columns of the text's table."""
        networks = {
            f"{figure}_{network.name}": f"{title} {network.name.removeprefix('timm:')}"
            for network in self.judge.networks
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
        panel = self.judge
        lines = [
            f"{self.base.name} on {len(panel.crop_set):,} crops of {panel.crop_set.size_px} px, "
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
        panel = self.judge
        return {
            **super().about(),
            "processor_minutes": self.budget_s / 60,
            "variants": {variant.name: list(variant.settings) for variant in self.variants},
            "networks": {network.name: network.description for network in panel.networks},
            "recognising": panel.recognising.name if panel.recognising else None,
            "real_dogs": panel.real_dogs,
            "real_count_of_each_half": panel.real_count,
        }

    def row(self, variant: Variant) -> Row:
        """Return a variant's figures, and the verdict on it."""
        done = self.done(variant).values()
        figures = [result.figures for result in done if result.figures]
        of_networks: dict[str, Spread | None] = {}
        for network in self.judge.networks:
            for figure in ("frechet_distance", "precision", "recall"):
                values = [getattr(of_run.reporting[network.name], figure) for of_run in figures]
                of_networks[f"{figure}_{network.name}"] = spread_of(values)
        seconds = [result.trained.processor_s or 0.0 for result in done]
        images = [result.trained.images_seen for result in done]
        found = None
        if variant.name != BASELINE and done:
            found = verdict(_choosing(done), _choosing(self.done(self.variants[0]).values()))
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
            "verdict": found,
            **self.ended(variant),
        }


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


def _choosing(done: Iterable[Result[RecipeFigures]]) -> list[dict[str, float] | None]:
    return [
        {name: found.frechet_distance for name, found in result.figures.choosing.items()}
        if result.figures
        else None
        for result in done
    ]


def _percent(shares: Iterable[float | None]) -> Spread | None:
    return spread_of(None if share is None else 100 * share for share in shares)
