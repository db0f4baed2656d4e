"""The scenes that drawn dogs stand in: backgrounds, clutter and light."""

import numpy as np
from PIL import Image, ImageDraw

SCENES = ("meadow", "room", "beach", "snow", "street")
_SKY_AND_GROUND = {  # colours at the top, at the horizon, just below it, and at the bottom
    "meadow": ((120, 176, 230), (206, 226, 240), (112, 152, 70), (74, 122, 44)),
    "room": ((206, 190, 168), (222, 208, 188), (150, 106, 70), (112, 74, 46)),
    "beach": ((110, 180, 226), (190, 220, 232), (226, 206, 160), (204, 178, 126)),
    "snow": ((170, 190, 212), (222, 230, 238), (236, 240, 246), (208, 216, 228)),
    "street": ((150, 160, 172), (196, 200, 204), (128, 128, 130), (92, 92, 96)),
}


def draw_scene(name: str, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image.Image:
    """Return an RGB background of `size` px whose ground begins at row `horizon`, with clutter."""
    top, far, near, bottom = (np.asarray(c) + rng.normal(0, 8, 3) for c in _SKY_AND_GROUND[name])
    t = np.linspace(0, 1, horizon)[:, None]
    s = np.linspace(0, 1, size[1] - horizon)[:, None]
    rows = (
        np.concatenate([top * (1 - t) + far * t, near * (1 - s) + bottom * s]).clip(0, 255).astype(np.uint8)
    )
    picture = Image.fromarray(rows[:, None, :]).resize(size, Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(picture)
    _CLUTTER[name](draw, size, horizon, rng)
    for _ in range(rng.integers(0, 3)):
        _thing_on_the_ground(draw, size, horizon, rng)
    return picture


def add_light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture with a camera's exposure, cast and grain."""
    pixels = np.asarray(picture).astype(np.float32)
    gain = rng.normal(1, 0.07) * (1 + rng.normal(0, 0.02, 3))
    grain = rng.integers(-6, 7, (picture.height, picture.width, 1), dtype=np.int8)
    return Image.fromarray((pixels * gain.astype(np.float32) + grain).clip(0, 255).astype(np.uint8))


def _meadow(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> None:
    width, height = size
    for _ in range(rng.integers(1, 5)):
        x, r = rng.uniform(0, width), rng.uniform(0.08, 0.2) * height
        green = (int(rng.integers(40, 80)), int(rng.integers(90, 130)), int(rng.integers(30, 60)))
        draw.rectangle((x - r * 0.12, horizon - r * 1.6, x + r * 0.12, horizon), fill=(92, 66, 44))
        draw.ellipse((x - r, horizon - r * 3, x + r, horizon - r), fill=green)
    for x in rng.uniform(0, width, 24):
        y, h = rng.uniform(horizon, height), rng.uniform(0.02, 0.05) * height
        draw.line((x, y, x + h * 0.3, y - h), fill=(58, 108, 36), width=2)


def _room(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> None:
    width, height = size
    draw.rectangle((0, horizon - height * 0.03, width, horizon), fill=(238, 232, 222))
    x, w = rng.uniform(0, width * 0.7), rng.uniform(0.2, 0.35) * width
    if rng.random() < 0.5:  # a window
        draw.rectangle(
            (x, horizon * 0.15, x + w, horizon * 0.65), fill=(180, 210, 232), outline=(244, 244, 240), width=5
        )
        draw.line((x + w / 2, horizon * 0.15, x + w / 2, horizon * 0.65), fill=(244, 244, 240), width=4)
    else:  # a sofa
        colour = tuple(int(v) for v in rng.integers(60, 190, 3))
        draw.rounded_rectangle(
            (x, horizon - height * 0.25, x + w * 1.6, horizon + height * 0.06), 12, fill=colour
        )
    rug = tuple(int(v) for v in rng.integers(80, 200, 3))
    draw.ellipse((width * 0.1, horizon + height * 0.08, width * 0.9, height * 0.98), fill=rug)


def _beach(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> None:
    width, height = size
    draw.rectangle((0, horizon - height * 0.1, width, horizon), fill=(52, 120, 160))
    for x in rng.uniform(0, width, 6):
        y = horizon - rng.uniform(0.01, 0.09) * height
        draw.line((x, y, x + width * 0.12, y), fill=(214, 230, 236), width=2)
    for x in rng.uniform(0, width, 10):
        y = rng.uniform(horizon, height)
        draw.ellipse((x, y, x + 6, y + 4), fill=(150, 128, 98))


def _snow(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> None:
    width, height = size
    for x in rng.uniform(0, width, int(rng.integers(2, 6))):
        h = rng.uniform(0.15, 0.35) * height
        draw.polygon([(x - h * 0.3, horizon), (x, horizon - h), (x + h * 0.3, horizon)], fill=(52, 82, 72))
        draw.polygon(
            [(x - h * 0.1, horizon - h * 0.7), (x, horizon - h), (x + h * 0.1, horizon - h * 0.7)],
            fill="white",
        )
    for x, y in zip(rng.uniform(0, width, 30), rng.uniform(0, height, 30), strict=True):
        draw.ellipse((x, y, x + 3, y + 3), fill="white")


def _street(draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> None:
    width, height = size
    x = -rng.uniform(0, 0.2) * width
    while x < width:
        w, h = rng.uniform(0.18, 0.32) * width, rng.uniform(0.3, 0.55) * height
        colour = tuple(int(v) for v in rng.integers(90, 190, 3))
        draw.rectangle((x, horizon - h, x + w, horizon), fill=colour)
        for row in range(3):
            y = horizon - h + (row + 0.4) * h / 3.4
            for column in range(2):
                left = x + (0.18 + 0.42 * column) * w
                draw.rectangle((left, y, left + w * 0.2, y + h * 0.14), fill=(206, 214, 190))
        x += w
    draw.rectangle((0, horizon, width, horizon + height * 0.04), fill=(176, 174, 170))


def _thing_on_the_ground(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], horizon: int, rng: np.random.Generator
) -> None:
    r = rng.uniform(0.025, 0.06) * size[1]
    x, y = rng.uniform(0, size[0]), rng.uniform(horizon + r, size[1])
    colour = tuple(int(v) for v in rng.integers(30, 240, 3))
    kind = rng.integers(3)
    if kind == 0:  # a ball
        draw.ellipse((x - r, y - 2 * r, x + r, y), fill=colour)
        draw.arc((x - r * 0.6, y - 2 * r, x + r * 1.6, y), 120, 240, fill="white", width=2)
    elif kind == 1:  # a box
        draw.rectangle((x - r * 1.4, y - 2 * r, x + r * 1.4, y), fill=colour, outline=(40, 40, 40), width=2)
    else:  # a post
        draw.rectangle((x - r * 0.3, y - 6 * r, x + r * 0.3, y), fill=colour)


_CLUTTER = {"meadow": _meadow, "room": _room, "beach": _beach, "snow": _snow, "street": _street}
