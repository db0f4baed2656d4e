"""Dogs as shapes: poses and the parts of a body.

Coordinates of a dog: its body is about 1 long, x points to where it looks, y up from the ground it stands on.
"""

import math

import numpy as np

from dogsgan.data.drawn.breeds import Breed
from dogsgan.data.drawn.pen import Colour, Pen, Point, ellipse, shade, smooth

POSES = ("stand", "walk", "sit", "lie", "portrait")


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
    shadow = shade(breed.coat, -32)
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
    shadow = shade(breed.coat, -32)
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
    pen.ellipse((0.14, 0.18), (0.2, 0.17), shade(breed.coat, -10), angle=0.3)
    pen.ellipse((0.3, 0.04), (0.12, 0.045), shade(breed.coat, -10))
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
            shade(breed.coat, -40),
        )
    pen.coat(ellipse(head, (r, r * 0.92)), breed.coat, fluff=breed.fluff)
    nose = (x + r * 0.75 + breed.muzzle, y - r * 0.3)
    if rng.random() < 0.3:
        pen.ellipse((nose[0] - 0.08, nose[1] - 0.15), (0.04, 0.075), (226, 110, 120))
    pen.limb([(x + r * 0.45, y - r * 0.25), nose], [r * 1.1, r * 0.62], face)
    pen.limb([(x + r * 0.7, y - r * 0.62), (nose[0], nose[1] - r * 0.26)], [0.018, 0.012], shade(face, -90))
    pen.ellipse((nose[0] + r * 0.2, nose[1] + r * 0.14), (r * 0.2, r * 0.17), (24, 20, 22))
    pen.ellipse((x + r * 0.4, y + r * 0.26), (r * 0.17, r * 0.18), (250, 246, 238))
    pen.ellipse((x + r * 0.43, y + r * 0.25), (r * 0.13, r * 0.15), (40, 24, 16))
    pen.ellipse((x + r * 0.47, y + r * 0.31), (r * 0.05, r * 0.05), (255, 255, 255))
    _side_ear(pen, breed, head)


def _side_ear(pen: Pen, breed: Breed, head: Point) -> None:
    x, y = head
    r = breed.head
    colour = (
        breed.second if breed.pattern in ("spots", "patches", "mask", "saddle") else shade(breed.coat, -26)
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
    ear = second if breed.pattern in ("spots", "patches", "mask", "saddle") else shade(coat, -26)
    pen.coat(
        smooth([(-0.46, 0), (-0.36, 0.34), (0, 0.5), (0.36, 0.34), (0.46, 0)]),
        shade(coat, -12),
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
    muzzle = second if breed.pattern in ("mask", "belly") else shade(coat, 14)
    if rng.random() < 0.5:
        pen.ellipse((0.02, 0.44), (0.06, 0.1), (226, 110, 120))
    pen.ellipse((0, 0.6), (width, 0.14), muzzle)
    pen.limb([(-0.09, 0.53), (0, 0.56), (0.09, 0.53)], [0.016, 0.02, 0.016], shade(muzzle, -90))
    pen.limb([(0, 0.56), (0, 0.64)], [0.016, 0.016], shade(muzzle, -90))
    pen.ellipse((0, 0.67), (0.075, 0.055), (24, 20, 22))
    pen.ellipse((-0.02, 0.69), (0.02, 0.012), (120, 116, 118))
    look = rng.uniform(-0.012, 0.012)
    for side in (-1, 1):
        pen.ellipse((side * 0.15, 0.83), (0.058, 0.062), (250, 246, 238))
        pen.ellipse((side * 0.15 + look, 0.828), (0.046, 0.052), (44, 26, 16))
        pen.ellipse((side * 0.15 + 0.016, 0.846), (0.014, 0.014), (255, 255, 255))
