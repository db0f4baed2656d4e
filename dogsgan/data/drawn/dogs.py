"""Dogs as shapes: poses and the parts of a body.

Coordinates of a dog: its body is about 1 long, x points to where it looks, y up from the ground it stands on.
"""

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageChops, ImageDraw
from PIL.ImageColor import getrgb

Colour = tuple[int, ...]
Point = tuple[float, float]

_ANGLES = np.linspace(0, 2 * math.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)


class Pen:
    """Draws a dog's shapes on a transparent layer: scaled, perhaps mirrored, a little tilted."""

    def __init__(
        self, size: tuple[int, int], *, origin: Point, scale: float, mirrored: bool, tilt: float
    ) -> None:
        self.layer = Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self.layer)
        self._origin = np.array(origin)
        self._matrix = _rotation(tilt) * (-scale if mirrored else scale, -scale)

    def _page(self, points: ArrayLike) -> list[Point]:
        return list(map(tuple, (np.asarray(points) @ self._matrix + self._origin).tolist()))

    def polygon(self, points: ArrayLike, colour: Colour) -> None:
        self._draw.polygon(self._page(points), fill=(*colour, 255))

    def ellipse(self, centre: ArrayLike, radii: ArrayLike, colour: Colour, *, angle: float = 0.0) -> None:
        self.polygon(ellipse(centre, radii, angle=angle), colour)

    def limb(self, points: ArrayLike, widths: ArrayLike, colour: Colour) -> None:
        """Draw a bent limb: a circle at every joint and a tapered bar between each two."""
        joints = list(zip(np.asarray(points), np.asarray(widths), strict=True))
        for (start, w0), (end, w1) in itertools.pairwise(joints):
            across, up = (end - start) / (math.dist(start, end) or 1.0) / 2
            side = np.array((-up, across))
            self.polygon([start + side * w0, end + side * w1, end - side * w1, start - side * w0], colour)
        for point, width in joints:
            self.ellipse(point, width / 2, colour)

    def coat(self, outline: np.ndarray, colour: Colour, *, fluff: float) -> None:
        """Draw a closed part of the body; a fluffy coat stands off it in tufts."""
        self.polygon(outline, colour)
        if fluff > 0:
            for point in outline[::2]:
                self.ellipse(point, (fluff, fluff), colour)

    def inside(self, outline: np.ndarray, shapes: Iterable[np.ndarray], colour: Colour) -> None:
        """Colour the parts of `shapes` that lie inside `outline`."""
        masks = []
        for polygons in ([outline], shapes):
            mask = Image.new("L", self.layer.size)
            for polygon in polygons:
                ImageDraw.Draw(mask).polygon(self._page(polygon), fill=255)
            masks.append(mask)
        self.layer.paste((*colour, 255), mask=ImageChops.darker(*masks))


def ellipse(centre: ArrayLike, radii: ArrayLike, *, angle: float = 0.0) -> np.ndarray:
    """Return an ellipse's outline; `angle` is counter-clockwise in radians."""
    return np.asarray(centre) + _CIRCLE * radii @ _rotation(angle)


def _rotation(angle: float) -> np.ndarray:
    """Return the matrix that turns points, as rows, counter-clockwise."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return np.array([[cosine, sine], [-sine, cosine]])


def points(text: str) -> np.ndarray:
    """Read points such as `8,26 30,3`, in hundredths, as N×2."""
    return np.array([point.split(",") for point in text.split()], dtype=np.float64) / 100


def smooth(knots: ArrayLike, *, steps: int, closed: bool = False) -> np.ndarray:
    """Return points on a Catmull-Rom curve through `knots`, N×2, `steps` from each to the next."""
    padding = ((1, 1 + closed), (0, 0))
    around = np.pad(np.asarray(knots), padding, mode="wrap" if closed else "edge")
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(around, around[1:], around[2:], around[3:], strict=False)
    ]
    return np.concatenate(pieces if closed else [*pieces, around[-1:]])


def shade(colour: Colour, amount: float) -> Colour:
    """Return a colour made lighter by `amount` of 255 grey levels, or darker by a negative one."""
    return tuple(int(min(max(value + amount, 0), 255)) for value in colour)


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


POSES = ("stand", "walk", "sit", "lie", "portrait")
_TORSO = points("-6,62 6,100 45,90 84,114 99,60 86,-6 45,18 12,17")  # y of its depth, above the legs
_TAILS = {
    "curl": points("0,0 -14,12 -6,26 8,20 4,12"),
    "up": points("0,0 -12,14 -18,30"),
    "down": points("0,0 -14,-6 -22,-26"),
    "plume": points("0,0 -16,-4 -34,4 -44,14"),
}
_EARS = {  # from the side, in radii of the head
    "pointed": points("-85,40 -60,175 10,80"),
    "inner": points("-65,60 -52,140 -10,80"),
    "far": points("-30,60 -10,175 40,70"),
    "folded": points("-80,75 10,95 -5,15"),
}
_FRONT_EARS = {  # one of a portrait's two
    "pointed": points("36,84 38,132 6,102"),
    "inner": points("32,90 34,120 14,100"),
    "folded": points("40,98 8,110 34,78"),
}
_INNER_EAR, _TONGUE, _NOSE, _WHITE = (214, 150, 140), (226, 110, 120), (24, 20, 22), (250, 246, 238)
_COLLARS = ((180, 40, 40), (40, 80, 170), (30, 130, 70), (220, 180, 40))


def draw_dog(pen: Pen, breed: Breed, pose: str, rng: np.random.Generator) -> None:
    """Draw one dog in one of `POSES`."""
    if pose == "portrait":
        _portrait(pen, breed, rng)
    elif pose == "sit":
        _sitting(pen, breed, rng)
    else:
        _on_its_legs(pen, breed, rng, pose=pose)


def _on_its_legs(pen: Pen, breed: Breed, rng: np.random.Generator, *, pose: str) -> None:
    low, depth = 0.12 if pose == "lie" else breed.leg, breed.depth
    high = low + depth
    stride = rng.uniform(0.08, 0.2) if pose == "walk" else rng.uniform(0.0, 0.04)
    shoulder, hip = (0.82, low + 0.12), (0.1, low + 0.14)
    if pose == "lie":
        paws = [(1.18, 0.03), (0.42, 0.03), (0.4, 0.04), (1.25, 0.05)]
    else:
        paws = [(0.8 - stride, 0.03), (0.06 - stride, 0.03), (0.02 + stride, 0.03), (0.84 + stride, 0.03)]
    _tail(pen, breed, (-0.02, high - 0.08), rng)
    for joint, paw in zip((shoulder, hip), paws[:2], strict=True):
        _leg(pen, breed, joint, paw, shade(breed.coat, -32))
    torso = smooth(_TORSO * (1, depth) + (0, low), steps=5, closed=True)
    pen.coat(torso, breed.coat, fluff=breed.fluff)
    _markings(pen, breed, torso, (0.45, low + depth * 0.5), rng)
    for joint, paw in zip((hip, shoulder), paws[2:], strict=True):
        _leg(pen, breed, joint, paw, breed.coat)
    head = (1.08 + breed.head * 0.4, high + 0.2 + rng.uniform(-0.08, 0.14))
    _neck_and_head(pen, breed, (0.86, high - 0.06), head, rng)


def _sitting(pen: Pen, breed: Breed, rng: np.random.Generator) -> None:
    leg = max(breed.leg, 0.34)
    top = leg + 0.46
    _tail(pen, breed, (-0.02, 0.14), rng)
    _leg(pen, breed, (0.58, leg), (0.66, 0.03), shade(breed.coat, -32))
    back = [(-0.06, 0.2), (0.08, 0.48), (0.32, top - 0.08), (0.52, top + 0.02)]
    chest = [(0.7, top - 0.16), (0.66, leg - 0.06), (0.42, 0.16), (0.16, 0.02)]
    torso = smooth([*back, *chest], steps=5, closed=True)
    pen.coat(torso, breed.coat, fluff=breed.fluff)
    _markings(pen, breed, torso, (0.34, 0.46), rng)
    _leg(pen, breed, (0.54, leg + 0.02), (0.58, 0.03), breed.coat)
    pen.ellipse((0.14, 0.18), (0.2, 0.17), shade(breed.coat, -10), angle=0.3)
    pen.ellipse((0.3, 0.04), (0.12, 0.045), shade(breed.coat, -10))
    _neck_and_head(pen, breed, (0.54, top - 0.08), (0.68, top + 0.24 + rng.uniform(-0.03, 0.06)), rng)


def _leg(pen: Pen, breed: Breed, joint: Point, paw: Point, colour: Colour) -> None:
    knee = ((joint[0] + paw[0]) / 2 - 0.03, (joint[1] + paw[1]) / 2)
    thick = 0.2 * breed.depth / 0.36
    pen.limb([joint, knee, paw], [thick, thick * 0.6, thick * 0.45], colour)
    pen.ellipse((paw[0] + 0.035, paw[1] + 0.005), (0.075, 0.04), colour)


def _tail(pen: Pen, breed: Breed, root: Point, rng: np.random.Generator) -> None:
    path = _TAILS[breed.tail] + root
    wag = rng.uniform(-0.06, 0.06)
    if breed.tail != "curl":
        path[1:, 1] += wag
    path[:, 1] = path[:, 1].clip(0.05)
    thick = 0.14 if breed.tail == "plume" else 0.09
    pen.limb(path, np.linspace(thick, thick * 0.5, len(path)) + breed.fluff, breed.coat)
    if breed.tail == "up" and breed.fluff > 0.05:
        pen.ellipse(path[-1], (0.1, 0.1), breed.coat)


def _markings(pen: Pen, breed: Breed, torso: np.ndarray, middle: Point, rng: np.random.Generator) -> None:
    if breed.pattern == "belly":
        shapes = [((0.12, -0.26), (0.6, 0.17))]
    elif breed.pattern == "saddle":
        shapes = [((-0.04, 0.17), (0.44, 0.22))]
    elif breed.pattern == "spots":
        ranges = ((-0.5, 0.5), (-0.3, 0.4), (0.02, 0.055))
        places = zip(*(rng.uniform(*within, 16) for within in ranges), strict=True)
        shapes = [((x, y), (r, r * 0.85)) for x, y, r in places]
    elif breed.pattern == "patches":
        side = rng.uniform(-0.1, 0.1)
        shapes = [((side - 0.28, 0.08), (0.2, 0.2)), ((side + 0.3, 0.12), (0.13, 0.2))]
    else:
        return
    pen.inside(torso, [ellipse(np.add(middle, at), radii) for at, radii in shapes], breed.second)


def _neck_and_head(pen: Pen, breed: Breed, chest: Point, head: Point, rng: np.random.Generator) -> None:
    pen.limb([chest, head], [0.36 + breed.fluff * 2, breed.head * 1.5 + breed.fluff * 2], breed.coat)
    if rng.random() < 0.4:
        collar = _COLLARS[rng.integers(4)]
        middle = (chest[0] * 0.42 + head[0] * 0.58, chest[1] * 0.42 + head[1] * 0.58)
        along = math.atan2(head[1] - chest[1], head[0] - chest[0])
        pen.ellipse(middle, (0.035, 0.13 + breed.fluff), collar, angle=along)
    _side_head(pen, breed, np.array(head), rng)


def _side_head(pen: Pen, breed: Breed, head: np.ndarray, rng: np.random.Generator) -> None:
    r = breed.head
    face = breed.second if breed.pattern in ("belly", "mask") else breed.coat

    def at(x: float, y: float) -> Point:
        return head[0] + r * x, head[1] + r * y

    if breed.ears == "pointed":
        pen.polygon(head + r * _EARS["far"], shade(breed.coat, -40))
    pen.coat(ellipse(head, (r, r * 0.92)), breed.coat, fluff=breed.fluff)
    nose = (head[0] + r * 0.75 + breed.muzzle, head[1] - r * 0.3)
    if rng.random() < 0.3:
        pen.ellipse((nose[0] - 0.08, nose[1] - 0.15), (0.04, 0.075), _TONGUE)
    pen.limb([at(0.45, -0.25), nose], [r * 1.1, r * 0.62], face)
    pen.limb([at(0.7, -0.62), (nose[0], nose[1] - r * 0.26)], [0.018, 0.012], shade(face, -90))
    pen.ellipse((nose[0] + r * 0.2, nose[1] + r * 0.14), (r * 0.2, r * 0.17), _NOSE)
    pen.ellipse(at(0.4, 0.26), (r * 0.17, r * 0.18), _WHITE)
    pen.ellipse(at(0.43, 0.25), (r * 0.13, r * 0.15), (40, 24, 16))
    pen.ellipse(at(0.47, 0.31), (r * 0.05, r * 0.05), (255, 255, 255))
    ear = _ear_colour(breed)
    if breed.ears == "hanging":
        pen.ellipse(at(-0.45, -0.15), (r * 0.4, r * 0.85), ear, angle=-0.2)
    else:
        pen.polygon(head + r * _EARS[breed.ears], ear)
    if breed.ears == "pointed":
        pen.polygon(head + r * _EARS["inner"], _INNER_EAR)


def _ear_colour(breed: Breed) -> Colour:
    coloured = breed.pattern in ("spots", "patches", "mask", "saddle")
    return breed.second if coloured else shade(breed.coat, -26)


def _portrait(pen: Pen, breed: Breed, rng: np.random.Generator) -> None:
    """Draw head and shoulders from the front."""
    coat, second, ear = breed.coat, breed.second, _ear_colour(breed)
    shoulders = smooth(points("-46,0 -36,34 0,50 36,34 46,0"), steps=5, closed=True)
    pen.coat(shoulders, shade(coat, -12), fluff=breed.fluff)
    if breed.pattern in ("belly", "patches"):
        pen.ellipse((0, 0.16), (0.18, 0.24), second if breed.pattern == "belly" else coat)
    if breed.ears == "pointed":
        for side in (-1, 1):
            pen.polygon(_FRONT_EARS["pointed"] * (side, 1), ear)
            pen.polygon(_FRONT_EARS["inner"] * (side, 1), _INNER_EAR)
    face = ellipse((0, 0.76), (0.36, 0.34))
    pen.coat(face, coat, fluff=breed.fluff)
    if breed.pattern == "belly":
        pen.inside(face, [ellipse((side * 0.17, 0.62), (0.16, 0.16)) for side in (-1, 1)], second)
    elif breed.pattern in ("spots", "patches"):
        pen.inside(face, [ellipse((0.2 * rng.choice((-1, 1)), 0.86), (0.16, 0.2))], second)
    elif breed.pattern == "saddle":
        pen.inside(face, [ellipse((0, 1.02), (0.3, 0.18))], second)
    for side in (-1, 1):
        if breed.ears == "hanging":
            pen.ellipse((side * 0.36, 0.68), (0.11, 0.3), ear, angle=side * 0.18)
        elif breed.ears == "folded":
            pen.polygon(_FRONT_EARS["folded"] * (side, 1), ear)
    muzzle = second if breed.pattern in ("mask", "belly") else shade(coat, 14)
    if rng.random() < 0.5:
        pen.ellipse((0.02, 0.44), (0.06, 0.1), _TONGUE)
    pen.ellipse((0, 0.6), (0.15 + 0.16 * breed.muzzle, 0.14), muzzle)
    pen.limb([(-0.09, 0.53), (0, 0.56), (0.09, 0.53)], [0.016, 0.02, 0.016], shade(muzzle, -90))
    pen.limb([(0, 0.56), (0, 0.64)], [0.016, 0.016], shade(muzzle, -90))
    pen.ellipse((0, 0.67), (0.075, 0.055), _NOSE)
    pen.ellipse((-0.02, 0.69), (0.02, 0.012), (120, 116, 118))
    look = rng.uniform(-0.012, 0.012)
    for x in (-0.15, 0.15):
        pen.ellipse((x, 0.83), (0.058, 0.062), _WHITE)
        pen.ellipse((x + look, 0.828), (0.046, 0.052), (44, 26, 16))
        pen.ellipse((x + 0.016, 0.846), (0.014, 0.014), (255, 255, 255))
