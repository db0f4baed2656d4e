"""Variants of the recipe study: a base recipe, and named changes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.studies.settings import with_seed

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
