"""Pen for drawn dogs: smooth outlines, limbs and coats on a transparent layer."""

import itertools
import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageChops, ImageDraw

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
