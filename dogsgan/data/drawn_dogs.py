"""Dogs as shapes: breeds, poses and the strokes they are made of, for `synthetic`.

Coordinates of a dog: its body is about 1 long, x points to where it looks, y up from the ground it stands on.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

_CIRCLE = [(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 28, endpoint=False)]


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
POSES = ("stand", "walk", "sit", "lie", "portrait")


class Pen:
    """Draws a dog's shapes on a transparent layer: scaled, perhaps mirrored, a little tilted."""

    def __init__(
        self, size: tuple[int, int], *, origin: Point, scale: float, mirrored: bool, tilt: float
    ) -> None:
        self.layer = Image.new("RGBA", size)
        self._draw = ImageDraw.Draw(self.layer)
        self._origin = origin
        self._across = scale * (-1 if mirrored else 1)
        self._up = scale
        self._turn = (math.cos(tilt), math.sin(tilt))

    def _page(self, points: Sequence[Point]) -> list[Point]:
        cosine, sine = self._turn
        return [
            (
                self._origin[0] + self._across * (x * cosine - y * sine),
                self._origin[1] - self._up * (x * sine + y * cosine),
            )
            for x, y in points
        ]

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        self._draw.polygon(self._page(points), fill=(*colour, 255))

    def ellipse(self, centre: Point, radii: Point, colour: Colour, *, angle: float = 0.0) -> None:
        self.polygon(ellipse(centre, radii, angle=angle), colour)

    def limb(self, points: Sequence[Point], widths: Sequence[float], colour: Colour) -> None:
        """Draw a bent limb: a circle at every joint and a tapered bar between each two."""
        for (start, end), (w0, w1) in zip(
            itertools.pairwise(points), itertools.pairwise(widths), strict=True
        ):
            length = math.hypot(end[0] - start[0], end[1] - start[1]) or 1e-6
            nx, ny = (start[1] - end[1]) / length / 2, (end[0] - start[0]) / length / 2
            bar = [
                (start[0] + nx * w0, start[1] + ny * w0),
                (end[0] + nx * w1, end[1] + ny * w1),
                (end[0] - nx * w1, end[1] - ny * w1),
                (start[0] - nx * w0, start[1] - ny * w0),
            ]
            self.polygon(bar, colour)
        for point, width in zip(points, widths, strict=True):
            self.ellipse(point, (width / 2, width / 2), colour)

    def coat(self, outline: Sequence[Point], colour: Colour, *, fluff: float) -> None:
        """Draw a closed part of the body; a fluffy coat stands off it in tufts."""
        self.polygon(outline, colour)
        if fluff > 0:
            for point in outline[::2]:
                self.ellipse(point, (fluff, fluff), colour)

    def inside(self, outline: Sequence[Point], shapes: Sequence[Sequence[Point]], colour: Colour) -> None:
        """Colour the parts of `shapes` that lie inside `outline`."""
        masks = []
        for polygons in ([outline], shapes):
            mask = Image.new("L", self.layer.size)
            draw = ImageDraw.Draw(mask)
            for polygon in polygons:
                draw.polygon(self._page(polygon), fill=255)
            masks.append(mask)
        self.layer.paste((*colour, 255), mask=ImageChops.darker(*masks))


def ellipse(centre: Point, radii: Point, *, angle: float = 0.0) -> list[Point]:
    """Return an ellipse's outline; `angle` is counter-clockwise in radians."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return [
        (
            centre[0] + radii[0] * c * cosine - radii[1] * s * sine,
            centre[1] + radii[0] * c * sine + radii[1] * s * cosine,
        )
        for c, s in _CIRCLE
    ]


def smooth(points: Sequence[Point], *, steps: int = 5) -> list[Point]:
    """Return a closed Catmull-Rom curve through the points."""
    knots = np.asarray(points)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    before, after, beyond = np.roll(knots, 1, 0), np.roll(knots, -1, 0), np.roll(knots, -2, 0)
    pieces = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(before, knots, after, beyond, strict=True)
    ]
    return [(float(x), float(y)) for x, y in np.concatenate(pieces)]


def varied(breed: Breed, rng: np.random.Generator) -> Breed:
    """Return one dog of a breed: no two have quite the same proportions and colours."""
    light = rng.normal(0, 7)
    stretch = rng.normal(1, 0.06, 5).clip(0.85, 1.15)
    return replace(
        breed,
        coat=_shade(breed.coat, light),
        second=_shade(breed.second, light),
        leg=breed.leg * stretch[0],
        depth=breed.depth * stretch[1],
        head=breed.head * stretch[2],
        muzzle=breed.muzzle * stretch[3],
        fluff=breed.fluff * stretch[4],
    )


def draw_dog(pen: Pen, breed: Breed, pose: str, rng: np.random.Generator) -> None:
    """Draw one dog in one of `POSES`."""
    if pose == "portrait":
        _portrait(pen, breed, rng)
    elif pose == "sit":
        _sitting(pen, breed, rng)
    else:
        _on_its_legs(pen, breed, rng, pose=pose)


def _on_its_legs(pen: Pen, breed: Breed, rng: np.random.Generator, *, pose: str) -> None:
    leg = 0.12 if pose == "lie" else breed.leg
    depth = breed.depth
    low, high = leg, leg + depth
    shadow = _shade(breed.coat, -32)
    stride = rng.uniform(0.08, 0.2) if pose == "walk" else rng.uniform(0.0, 0.04)
    shoulder, hip = (0.82, low + 0.12), (0.1, low + 0.14)
    if pose == "lie":
        front, hind = [(1.25, 0.05), (1.18, 0.03)], [(0.4, 0.04), (0.42, 0.03)]
    else:
        front, hind = (
            [(0.84 + stride, 0.03), (0.8 - stride, 0.03)],
            [(0.02 + stride, 0.03), (0.06 - stride, 0.03)],
        )
    _tail(pen, breed, (-0.02, high - 0.08), rng)
    _leg(pen, breed, shoulder, front[1], shadow)
    _leg(pen, breed, hip, hind[1], shadow)
    torso = smooth(
        [
            (-0.06, low + depth * 0.62),
            (0.06, high),
            (0.45, high - 0.035),
            (0.84, high + 0.05),
            (0.99, low + depth * 0.6),
            (0.86, low - 0.02),
            (0.45, low + depth * 0.18),
            (0.12, low + 0.06),
        ]
    )
    pen.coat(torso, breed.coat, fluff=breed.fluff)
    _markings(pen, breed, torso, (0.45, low + depth * 0.5), rng)
    _leg(pen, breed, hip, hind[0], breed.coat)
    _leg(pen, breed, shoulder, front[0], breed.coat)
    lift = rng.uniform(-0.08, 0.14)
    _neck_and_head(pen, breed, (0.86, high - 0.06), (1.08 + breed.head * 0.4, high + 0.2 + lift), rng)


def _sitting(pen: Pen, breed: Breed, rng: np.random.Generator) -> None:
    leg = max(breed.leg, 0.34)
    shadow = _shade(breed.coat, -32)
    top = leg + 0.46
    _tail(pen, breed, (-0.02, 0.14), rng)
    _leg(pen, breed, (0.58, leg), (0.66, 0.03), shadow)
    torso = smooth(
        [
            (-0.06, 0.2),
            (0.08, 0.48),
            (0.32, top - 0.08),
            (0.52, top + 0.02),
            (0.7, top - 0.16),
            (0.66, leg - 0.06),
            (0.42, 0.16),
            (0.16, 0.02),
        ]
    )
    pen.coat(torso, breed.coat, fluff=breed.fluff)
    _markings(pen, breed, torso, (0.34, 0.46), rng)
    _leg(pen, breed, (0.54, leg + 0.02), (0.58, 0.03), breed.coat)
    pen.ellipse((0.14, 0.18), (0.2, 0.17), _shade(breed.coat, -10), angle=0.3)
    pen.ellipse((0.3, 0.04), (0.12, 0.045), _shade(breed.coat, -10))
    _neck_and_head(pen, breed, (0.54, top - 0.08), (0.68, top + 0.24 + rng.uniform(-0.03, 0.06)), rng)


def _leg(pen: Pen, breed: Breed, joint: Point, paw: Point, colour: Colour) -> None:
    knee = ((joint[0] + paw[0]) / 2 - 0.03, (joint[1] + paw[1]) / 2)
    thick = 0.2 * breed.depth / 0.36
    pen.limb([joint, knee, paw], [thick, thick * 0.6, thick * 0.45], colour)
    pen.ellipse((paw[0] + 0.035, paw[1] + 0.005), (0.075, 0.04), colour)


def _tail(pen: Pen, breed: Breed, root: Point, rng: np.random.Generator) -> None:
    wag = rng.uniform(-0.06, 0.06)
    x, y = root
    paths = {
        "curl": [
            (x, y),
            (x - 0.14, y + 0.12),
            (x - 0.06, y + 0.26),
            (x + 0.08, y + 0.2),
            (x + 0.04, y + 0.12),
        ],
        "up": [(x, y), (x - 0.12, y + 0.14 + wag), (x - 0.18, y + 0.3 + wag)],
        "down": [(x, y), (x - 0.14, y - 0.06), (x - 0.22, y - 0.26 + wag)],
        "plume": [(x, y), (x - 0.16, y - 0.04 + wag), (x - 0.34, y + 0.04 + wag), (x - 0.44, y + 0.14 + wag)],
    }
    path = [(px, max(py, 0.05)) for px, py in paths[breed.tail]]
    thick = 0.14 if breed.tail == "plume" else 0.09
    widths = list(np.linspace(thick, thick * 0.5, len(path)))
    if breed.fluff:
        widths = [width + breed.fluff for width in widths]
    pen.limb(path, widths, breed.coat)
    if breed.tail == "up" and breed.fluff > 0.05:
        pen.ellipse(path[-1], (0.1, 0.1), breed.coat)


def _markings(pen: Pen, breed: Breed, torso: list[Point], middle: Point, rng: np.random.Generator) -> None:
    x, y = middle
    if breed.pattern == "belly":
        pen.inside(torso, [ellipse((x + 0.12, y - 0.26), (0.6, 0.17))], breed.second)
    elif breed.pattern == "saddle":
        pen.inside(torso, [ellipse((x - 0.04, y + 0.17), (0.44, 0.22))], breed.second)
    elif breed.pattern == "spots":
        places = zip(
            rng.uniform(-0.5, 0.5, 16), rng.uniform(-0.3, 0.4, 16), rng.uniform(0.02, 0.055, 16), strict=True
        )
        pen.inside(torso, [ellipse((x + dx, y + dy), (r, r * 0.85)) for dx, dy, r in places], breed.second)
    elif breed.pattern == "patches":
        side = rng.uniform(-0.1, 0.1)
        patches = [
            ellipse((x - 0.28 + side, y + 0.08), (0.2, 0.2)),
            ellipse((x + 0.3 + side, y + 0.12), (0.13, 0.2)),
        ]
        pen.inside(torso, patches, breed.second)


def _neck_and_head(pen: Pen, breed: Breed, chest: Point, head: Point, rng: np.random.Generator) -> None:
    r = breed.head
    pen.limb([chest, head], [0.36 + breed.fluff * 2, r * 1.5 + breed.fluff * 2], breed.coat)
    if rng.random() < 0.4:
        collar = [(180, 40, 40), (40, 80, 170), (30, 130, 70), (220, 180, 40)][rng.integers(4)]
        middle = (chest[0] * 0.42 + head[0] * 0.58, chest[1] * 0.42 + head[1] * 0.58)
        along = math.atan2(head[1] - chest[1], head[0] - chest[0])
        pen.ellipse(middle, (0.035, 0.13 + breed.fluff), collar, angle=along)
    _side_head(pen, breed, head, rng)


def _side_head(pen: Pen, breed: Breed, head: Point, rng: np.random.Generator) -> None:
    x, y = head
    r = breed.head
    face = breed.second if breed.pattern in ("belly", "mask") else breed.coat
    if breed.ears == "pointed":
        pen.polygon(
            [(x - r * 0.3, y + r * 0.6), (x - r * 0.1, y + r * 1.75), (x + r * 0.4, y + r * 0.7)],
            _shade(breed.coat, -40),
        )
    pen.coat(ellipse(head, (r, r * 0.92)), breed.coat, fluff=breed.fluff)
    nose = (x + r * 0.75 + breed.muzzle, y - r * 0.3)
    if rng.random() < 0.3:
        pen.ellipse((nose[0] - 0.08, nose[1] - 0.15), (0.04, 0.075), (226, 110, 120))
    pen.limb([(x + r * 0.45, y - r * 0.25), nose], [r * 1.1, r * 0.62], face)
    pen.limb([(x + r * 0.7, y - r * 0.62), (nose[0], nose[1] - r * 0.26)], [0.018, 0.012], _shade(face, -90))
    pen.ellipse((nose[0] + r * 0.2, nose[1] + r * 0.14), (r * 0.2, r * 0.17), (24, 20, 22))
    pen.ellipse((x + r * 0.4, y + r * 0.26), (r * 0.17, r * 0.18), (250, 246, 238))
    pen.ellipse((x + r * 0.43, y + r * 0.25), (r * 0.13, r * 0.15), (40, 24, 16))
    pen.ellipse((x + r * 0.47, y + r * 0.31), (r * 0.05, r * 0.05), (255, 255, 255))
    _side_ear(pen, breed, head)


def _side_ear(pen: Pen, breed: Breed, head: Point) -> None:
    x, y = head
    r = breed.head
    colour = (
        breed.second if breed.pattern in ("spots", "patches", "mask", "saddle") else _shade(breed.coat, -26)
    )
    if breed.ears == "pointed":
        pen.polygon(
            [(x - r * 0.85, y + r * 0.4), (x - r * 0.6, y + r * 1.75), (x + r * 0.1, y + r * 0.8)], colour
        )
        pen.polygon(
            [(x - r * 0.65, y + r * 0.6), (x - r * 0.52, y + r * 1.4), (x - r * 0.1, y + r * 0.8)],
            (214, 150, 140),
        )
    elif breed.ears == "hanging":
        pen.ellipse((x - r * 0.45, y - r * 0.15), (r * 0.4, r * 0.85), colour, angle=-0.2)
    else:
        pen.polygon(
            [(x - r * 0.8, y + r * 0.75), (x + r * 0.1, y + r * 0.95), (x - r * 0.05, y + r * 0.15)], colour
        )


def _portrait(pen: Pen, breed: Breed, rng: np.random.Generator) -> None:
    """Draw head and shoulders from the front."""
    coat, second = breed.coat, breed.second
    ear = second if breed.pattern in ("spots", "patches", "mask", "saddle") else _shade(coat, -26)
    pen.coat(
        smooth([(-0.46, 0), (-0.36, 0.34), (0, 0.5), (0.36, 0.34), (0.46, 0)]),
        _shade(coat, -12),
        fluff=breed.fluff,
    )
    if breed.pattern in ("belly", "patches"):
        pen.ellipse((0, 0.16), (0.18, 0.24), second if breed.pattern == "belly" else coat)
    for side in (-1, 1):
        if breed.ears == "pointed":
            pen.polygon([(side * 0.36, 0.84), (side * 0.38, 1.32), (side * 0.06, 1.02)], ear)
            pen.polygon([(side * 0.32, 0.9), (side * 0.34, 1.2), (side * 0.14, 1.0)], (214, 150, 140))
    face = ellipse((0, 0.76), (0.36, 0.34))
    pen.coat(face, coat, fluff=breed.fluff)
    if breed.pattern == "belly":
        pen.inside(face, [ellipse((s * 0.17, 0.62), (0.16, 0.16)) for s in (-1, 1)], second)
    elif breed.pattern in ("spots", "patches"):
        pen.inside(face, [ellipse((0.2 * rng.choice((-1, 1)), 0.86), (0.16, 0.2))], second)
    elif breed.pattern == "saddle":
        pen.inside(face, [ellipse((0, 1.02), (0.3, 0.18))], second)
    for side in (-1, 1):
        if breed.ears == "hanging":
            pen.ellipse((side * 0.36, 0.68), (0.11, 0.3), ear, angle=side * 0.18)
        elif breed.ears == "folded":
            pen.polygon([(side * 0.4, 0.98), (side * 0.08, 1.1), (side * 0.34, 0.78)], ear)
    width = 0.15 + 0.16 * breed.muzzle
    muzzle = second if breed.pattern in ("mask", "belly") else _shade(coat, 14)
    if rng.random() < 0.5:
        pen.ellipse((0.02, 0.44), (0.06, 0.1), (226, 110, 120))
    pen.ellipse((0, 0.6), (width, 0.14), muzzle)
    pen.limb([(-0.09, 0.53), (0, 0.56), (0.09, 0.53)], [0.016, 0.02, 0.016], _shade(muzzle, -90))
    pen.limb([(0, 0.56), (0, 0.64)], [0.016, 0.016], _shade(muzzle, -90))
    pen.ellipse((0, 0.67), (0.075, 0.055), (24, 20, 22))
    pen.ellipse((-0.02, 0.69), (0.02, 0.012), (120, 116, 118))
    look = rng.uniform(-0.012, 0.012)
    for side in (-1, 1):
        pen.ellipse((side * 0.15, 0.83), (0.058, 0.062), (250, 246, 238))
        pen.ellipse((side * 0.15 + look, 0.828), (0.046, 0.052), (44, 26, 16))
        pen.ellipse((side * 0.15 + 0.016, 0.846), (0.014, 0.014), (255, 255, 255))


def _shade(colour: Colour, amount: float) -> Colour:
    red, green, blue = (int(min(max(value + amount, 0), 255)) for value in colour)
    return red, green, blue
