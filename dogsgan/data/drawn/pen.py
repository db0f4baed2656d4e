"""What dogs are drawn with: smooth outlines, limbs and coats on a transparent layer."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

_CIRCLE = [(math.cos(a), math.sin(a)) for a in np.linspace(0, 2 * math.pi, 28, endpoint=False)]


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


def shade(colour: Colour, amount: float) -> Colour:
    """Return a colour made lighter by `amount` of 255 grey levels, or darker by a negative one."""
    red, green, blue = (int(min(max(value + amount, 0), 255)) for value in colour)
    return red, green, blue
