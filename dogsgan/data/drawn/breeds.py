"""Drawn breeds, and how the dogs of one breed differ."""

from dataclasses import dataclass, replace

import numpy as np
from PIL.ImageColor import getrgb

from dogsgan.data.drawn.pen import Colour, shade


@dataclass(frozen=True)
class Breed:
    """What tells one drawn breed from another; lengths in body lengths."""

    name: str
    coat: Colour
    second: Colour  # of belly, patches or mask
    pattern: str  # plain, belly, saddle, spots, patches or mask
    ears: str  # pointed, hanging or folded
    tail: str  # curl, up, down or plume
    leg: float = 0.5
    depth: float = 0.36
    head: float = 0.2
    muzzle: float = 0.22
    fluff: float = 0.0  # how far the coat stands off


_BREEDS = """
Russet_spitz      #c46a2c #f6debe belly   pointed curl  fluff=0.035
Spotted_hound     #f2f0eb #262222 spots   hanging down  leg=0.6 depth=0.33
Saddle_shepherd   #ba8042 #2c2420 saddle  pointed plume leg=0.55
Cream_poodle      #f0e2c8 #e2cca8 plain   hanging up    fluff=0.07 depth=0.4
Low_longback      #703a1e #b06838 belly   hanging up    leg=0.22 depth=0.28
Masked_pug        #d6b282 #241e1e mask    folded  curl  leg=0.4 depth=0.44 muzzle=0.1
Grey_wolfling     #787c84 #e2e4e6 belly   pointed plume fluff=0.03
Patched_terrier   #f4f0e8 #965428 patches folded  up    leg=0.42 head=0.21
Night_retriever   #28262a #403a3a plain   hanging plume depth=0.4 muzzle=0.2
Golden_fieldhound #e0a854 #f4d496 belly   hanging plume fluff=0.02
"""


def _parsed(number: int, line: str) -> Breed:
    name, coat, second, pattern, ears, tail, *lengths = line.split()
    changed = {key: float(value) for key, _, value in (length.partition("=") for length in lengths)}
    return Breed(f"n{number:08d}-{name}", getrgb(coat), getrgb(second), pattern, ears, tail, **changed)


BREEDS = tuple(_parsed(number, line) for number, line in enumerate(_BREEDS.strip().splitlines(), start=1))


def varied(breed: Breed, rng: np.random.Generator) -> Breed:
    """Return one dog of a breed: no two have quite the same proportions and colours."""
    light = rng.normal(0, 7)
    lengths = ("leg", "depth", "head", "muzzle", "fluff")
    stretch = rng.normal(1, 0.06, len(lengths)).clip(0.85, 1.15)
    changed = {name: getattr(breed, name) * by for name, by in zip(lengths, stretch, strict=True)}
    return replace(breed, coat=shade(breed.coat, light), second=shade(breed.second, light), **changed)
