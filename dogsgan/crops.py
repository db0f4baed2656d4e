"""Crop policies: pure functions from a picture's size and a box to the rectangle to cut out.

A new policy is one function and one entry of `CROPS`.
"""

import functools
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dogsgan.errors import DogsganError

Size = tuple[int, int]  # width and height in px
CONTEXT = 1.3  # how much wider than the box's square the `context` crop is
_CENTER = re.compile(r"center-([1-9][0-9]{0,4})")


class Box(NamedTuple):
    """A dog's box in pixels, half open: columns xmin..xmax − 1 and rows ymin..ymax − 1 belong to it."""

    xmin: int
    ymin: int
    xmax: int
    ymax: int

    @property
    def width(self) -> int:
        """Width in pixels; zero or negative when the box is empty or inverted."""
        return self.xmax - self.xmin

    @property
    def height(self) -> int:
        """Height in pixels; zero or negative when the box is empty or inverted."""
        return self.ymax - self.ymin


class Rectangle(NamedTuple):
    """What is cut out of a picture, in px, half open; always inside the picture and never empty."""

    left: int
    top: int
    right: int
    bottom: int


def clamp(size: Size, box: Box) -> Box:
    """Return the part of a box inside the picture; it is empty (width or height < 1) where there is none."""
    width, height = size
    return Box(max(box.xmin, 0), max(box.ymin, 0), min(box.xmax, width), min(box.ymax, height))


def square(size: Size, box: Box) -> Rectangle:
    """Widen the box to a square, shifted rather than cut at the border, as big as fits the picture."""
    return _square_around(size, box, 1.0)


def context(size: Size, box: Box) -> Rectangle:
    """Take a square 1.3 times as wide as `square`, so that the dog has surroundings."""
    return _square_around(size, box, CONTEXT)


def squash(size: Size, box: Box) -> Rectangle:
    """Take the box itself; the resize then squashes it to a square."""
    inside = _inside(size, box)
    return Rectangle(inside.xmin, inside.ymin, inside.xmax, inside.ymax)


def whole(size: Size, box: Box | None = None) -> Rectangle:
    """Take the whole picture, squashed by the resize, as the competition's scorer does with real pictures."""
    return Rectangle(0, 0, *size)


def center(size: Size, box: Box | None = None) -> Rectangle:
    """Take the largest square in the middle of the picture."""
    return center_of(min(size))(size, box or Box(0, 0, *size))


def center_of(side_px: int) -> Callable[[Size, Box], Rectangle]:
    """Return the crop `center-<side_px>`: that many px square in the middle, or the largest that fits.

    Usual for CelebA's 178×218 px: 108 (DCGAN), 128 or 140, 160 (what the celeba-sagan system takes), and 178,
    which is `center`.
    """

    def crop(size: Size, box: Box | None = None) -> Rectangle:
        side = min(side_px, *size)
        left, top = (size[0] - side) // 2, (size[1] - side) // 2
        return Rectangle(left, top, left + side, top + side)

    return crop


def _inside(size: Size, box: Box) -> Box:
    inside = clamp(size, box)
    if inside.width < 1 or inside.height < 1:
        raise ValueError(f"{box} has no pixel inside a picture of {size[0]}×{size[1]} px")
    return inside


def _square_around(size: Size, box: Box, factor: float) -> Rectangle:
    inside = _inside(size, box)
    side = min(round(factor * max(inside.width, inside.height)), *size)
    left = _shifted((inside.xmin + inside.xmax - side) // 2, side, size[0])
    top = _shifted((inside.ymin + inside.ymax - side) // 2, side, size[1])
    return Rectangle(left, top, left + side, top + side)


def _shifted(start: int, side: int, limit: int) -> int:
    return min(max(start, 0), limit - side)


CROPS: dict[str, Callable[[Size, Box], Rectangle]] = {
    "square": square,
    "context": context,
    "squash": squash,
    "whole": whole,
    "center": center,
}


def crop_named(name: str) -> Callable[[Size, Box], Rectangle] | None:
    """Return the crop of that name, one of `CROPS` or `center-160` for any number of px; None for another."""
    sized = _CENTER.fullmatch(name)
    return center_of(int(sized[1])) if sized else CROPS.get(name)


def needs_box(name: str) -> bool:
    """Return whether the crop of that name depends on the box."""
    return name not in ("whole", "center") and not _CENTER.fullmatch(name)


@dataclass(frozen=True)
class Policy:
    """A weighted mixture of named crops; which one a box gets depends only on image, box index and seed."""

    parts: tuple[tuple[str, float], ...]  # (name, weight), weights sum to 1

    def __str__(self) -> str:
        if len(self.parts) == 1:
            return self.parts[0][0]
        return ",".join(f"{name}:{weight:g}" for name, weight in self.parts)

    @property
    def needs_boxes(self) -> bool:
        """Whether any part looks at the box."""
        return any(needs_box(name) for name, _ in self.parts)

    def choose(self, image: str, box_index: int, *, seed: int = 0) -> str:
        """Return the crop's name for one box of an image; the same for any order and number of workers."""
        digest = hashlib.sha256(f"{seed}\0{box_index}\0{image}".encode(errors="surrogateescape")).digest()
        draw = int.from_bytes(digest[:7], "big") / 2**56  # uniform in [0, 1)
        for name, weight in self.parts[:-1]:
            if draw < weight:
                return name
            draw -= weight
        return self.parts[-1][0]


@functools.lru_cache(maxsize=64)
def parse_policy(text: str) -> Policy:
    """Read `square`, or a mixture such as `whole:0.5,context:0.5`; the weights are scaled to sum to 1.

    Raises:
        DogsganError: an unknown name, a name twice, or a weight that is no positive number.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, colon, weight_text = part.strip().partition(":")
        if crop_named(name) is None:
            known = f"{', '.join(CROPS)} or center-160 for 160 px"
            raise DogsganError(f"no crop policy {name[:60]!r} in {text[:99]!r}: choose from {known}")
        if name in weights:
            raise DogsganError(f"the crop policy {text[:99]!r} names {name} twice: give it one weight")
        weights[name] = _weight(weight_text if colon else "1", text)
    total = sum(weights.values())
    return Policy(tuple((name, weight / total) for name, weight in weights.items()))


def _weight(text: str, policy: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = 0.0
    if not 0.0 < weight <= 1e6:
        raise DogsganError(
            f"the weight {text[:60]!r} in crop policy {policy[:99]!r} is no positive number: write name:0.5"
        )
    return weight
