"""Variants of the attention study: which maps have self-attention, with and without spectral norm."""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.studies.settings import with_seed

NONE = "none"


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
    from dogsgan.models import attention_maps  # only here: torch, and parsing needs none of it
    from dogsgan.models.layers import LEAST_CHANNELS

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
