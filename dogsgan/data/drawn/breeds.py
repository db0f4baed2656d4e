"""The drawn breeds, and how the dogs of one breed differ."""

from dataclasses import dataclass, replace

import numpy as np

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


BREEDS = (
    Breed("n00000001-Russet_spitz", (196, 106, 44), (246, 222, 190), "belly", "pointed", "curl", fluff=0.035),
    Breed(
        "n00000002-Spotted_hound",
        (242, 240, 235),
        (38, 34, 34),
        "spots",
        "hanging",
        "down",
        leg=0.6,
        depth=0.33,
    ),
    Breed("n00000003-Saddle_shepherd", (186, 128, 66), (44, 36, 32), "saddle", "pointed", "plume", leg=0.55),
    Breed(
        "n00000004-Cream_poodle",
        (240, 226, 200),
        (226, 204, 168),
        "plain",
        "hanging",
        "up",
        fluff=0.07,
        depth=0.4,
    ),
    Breed(
        "n00000005-Low_longback",
        (112, 58, 30),
        (176, 104, 56),
        "belly",
        "hanging",
        "up",
        leg=0.22,
        depth=0.28,
    ),
    Breed(
        "n00000006-Masked_pug",
        (214, 178, 130),
        (36, 30, 30),
        "mask",
        "folded",
        "curl",
        leg=0.4,
        depth=0.44,
        muzzle=0.1,
    ),
    Breed(
        "n00000007-Grey_wolfling", (120, 124, 132), (226, 228, 230), "belly", "pointed", "plume", fluff=0.03
    ),
    Breed(
        "n00000008-Patched_terrier",
        (244, 240, 232),
        (150, 84, 40),
        "patches",
        "folded",
        "up",
        leg=0.42,
        head=0.21,
    ),
    Breed(
        "n00000009-Night_retriever",
        (40, 38, 42),
        (64, 58, 58),
        "plain",
        "hanging",
        "plume",
        depth=0.4,
        muzzle=0.2,
    ),
    Breed(
        "n00000010-Golden_fieldhound",
        (224, 168, 84),
        (244, 212, 150),
        "belly",
        "hanging",
        "plume",
        fluff=0.02,
    ),
)


def varied(breed: Breed, rng: np.random.Generator) -> Breed:
    """Return one dog of a breed: no two have quite the same proportions and colours."""
    light = rng.normal(0, 7)
    stretch = rng.normal(1, 0.06, 5).clip(0.85, 1.15)
    return replace(
        breed,
        coat=shade(breed.coat, light),
        second=shade(breed.second, light),
        leg=breed.leg * stretch[0],
        depth=breed.depth * stretch[1],
        head=breed.head * stretch[2],
        muzzle=breed.muzzle * stretch[3],
        fluff=breed.fluff * stretch[4],
    )
