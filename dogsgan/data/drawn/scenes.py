"""Scenes that drawn dogs stand in: backgrounds, clutter and light."""

from typing import SupportsIndex

import numpy as np
from PIL import Image, ImageDraw

SCENES = {  # colours at the top, at the horizon, just below it, and at the bottom
    "meadow": ((120, 176, 230), (206, 226, 240), (112, 152, 70), (74, 122, 44)),
    "room": ((206, 190, 168), (222, 208, 188), (150, 106, 70), (112, 74, 46)),
    "beach": ((110, 180, 226), (190, 220, 232), (226, 206, 160), (204, 178, 126)),
    "snow": ((170, 190, 212), (222, 230, 238), (236, 240, 246), (208, 216, 228)),
    "street": ((150, 160, 172), (196, 200, 204), (128, 128, 130), (92, 92, 96)),
}


def draw_scene(name: str, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image.Image:
    """Return an RGB background of `size` px whose ground begins at row `horizon`, with clutter."""
    colours = np.array(SCENES[name]) + rng.normal(0, 8, (4, 3))
    places = (0, horizon - 1, horizon, size[1] - 1)
    rows = np.stack([np.interp(np.arange(size[1]), places, channel) for channel in colours.T], axis=1)
    pixels = rows[:, None].clip(0, 255).astype(np.uint8)
    scene = _Clutter(Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST), horizon, rng)
    getattr(scene, name)()
    for _ in range(rng.integers(0, 3)):
        scene.thing_on_the_ground()
    return scene.picture


def add_light(picture: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return the picture with a camera's exposure, cast and grain."""
    gain = rng.normal(1, 0.07) * (1 + rng.normal(0, 0.02, 3))
    grain = rng.integers(-6, 7, (picture.height, picture.width, 1), dtype=np.int8)
    pixels = np.asarray(picture) * gain.astype(np.float32) + grain
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


class _Clutter:
    """The things of a scene, a method each."""

    def __init__(self, picture: Image.Image, horizon: int, rng: np.random.Generator) -> None:
        self.picture, self.horizon, self.rng = picture, horizon, rng
        self.width, self.height = picture.size
        self.draw = ImageDraw.Draw(picture)

    def colour(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.rng.integers(low, high, 3).tolist())

    def places(self, count: SupportsIndex) -> np.ndarray:
        return self.rng.uniform(0, self.width, int(count))

    def meadow(self) -> None:
        for x in self.places(self.rng.integers(1, 5)):
            r = self.rng.uniform(0.08, 0.2) * self.height
            green = tuple(self.rng.integers((40, 90, 30), (80, 130, 60)).tolist())
            trunk = (x - r * 0.12, self.horizon - r * 1.6, x + r * 0.12, self.horizon)
            self.draw.rectangle(trunk, fill=(92, 66, 44))
            self.draw.ellipse((x - r, self.horizon - r * 3, x + r, self.horizon - r), fill=green)
        for x in self.places(24):
            y, h = self.rng.uniform(self.horizon, self.height), self.rng.uniform(0.02, 0.05) * self.height
            self.draw.line((x, y, x + h * 0.3, y - h), fill=(58, 108, 36), width=2)

    def room(self) -> None:
        width, height, horizon = self.width, self.height, self.horizon
        self.draw.rectangle((0, horizon - height * 0.03, width, horizon), fill=(238, 232, 222))
        x, w = self.rng.uniform(0, width * 0.7), self.rng.uniform(0.2, 0.35) * width
        if self.rng.random() < 0.5:  # a window
            pane, frame = (x, horizon * 0.15, x + w, horizon * 0.65), (244, 244, 240)
            self.draw.rectangle(pane, fill=(180, 210, 232), outline=frame, width=5)
            self.draw.line((x + w / 2, horizon * 0.15, x + w / 2, horizon * 0.65), fill=frame, width=4)
        else:  # a sofa
            sofa = (x, horizon - height * 0.25, x + w * 1.6, horizon + height * 0.06)
            self.draw.rounded_rectangle(sofa, 12, fill=self.colour(60, 190))
        rug = (width * 0.1, horizon + height * 0.08, width * 0.9, height * 0.98)
        self.draw.ellipse(rug, fill=self.colour(80, 200))

    def beach(self) -> None:
        self.draw.rectangle(
            (0, self.horizon - self.height * 0.1, self.width, self.horizon), fill=(52, 120, 160)
        )
        for x in self.places(6):
            y = self.horizon - self.rng.uniform(0.01, 0.09) * self.height
            self.draw.line((x, y, x + self.width * 0.12, y), fill=(214, 230, 236), width=2)
        for x in self.places(10):
            y = self.rng.uniform(self.horizon, self.height)
            self.draw.ellipse((x, y, x + 6, y + 4), fill=(150, 128, 98))

    def snow(self) -> None:
        for x in self.places(self.rng.integers(2, 6)):
            h, top = self.rng.uniform(0.15, 0.35) * self.height, (52, 82, 72)
            for share, colour in ((1.0, top), (1 / 3, (255, 255, 255))):
                across, foot = h * 0.3 * share, self.horizon - h * (1 - share)
                peak = (x, self.horizon - h)
                self.draw.polygon([(x - across, foot), peak, (x + across, foot)], fill=colour)
        for x in self.places(30):
            y = self.rng.uniform(0, self.height)
            self.draw.ellipse((x, y, x + 3, y + 3), fill="white")

    def street(self) -> None:
        x = -self.rng.uniform(0, 0.2) * self.width
        while x < self.width:
            w, h = self.rng.uniform(0.18, 0.32) * self.width, self.rng.uniform(0.3, 0.55) * self.height
            self.draw.rectangle((x, self.horizon - h, x + w, self.horizon), fill=self.colour(90, 190))
            for row in range(3):
                y = self.horizon - h + (row + 0.4) * h / 3.4
                for left in (x + 0.18 * w, x + 0.6 * w):
                    self.draw.rectangle((left, y, left + w * 0.2, y + h * 0.14), fill=(206, 214, 190))
            x += w
        kerb = (0, self.horizon, self.width, self.horizon + self.height * 0.04)
        self.draw.rectangle(kerb, fill=(176, 174, 170))

    def thing_on_the_ground(self) -> None:
        r = self.rng.uniform(0.025, 0.06) * self.height
        x, y = self.rng.uniform(0, self.width), self.rng.uniform(self.horizon + r, self.height)
        kind, colour = self.rng.integers(3), self.colour(30, 240)
        if kind == 0:  # a ball
            self.draw.ellipse((x - r, y - 2 * r, x + r, y), fill=colour)
            self.draw.arc((x - r * 0.6, y - 2 * r, x + r * 1.6, y), 120, 240, fill="white", width=2)
        elif kind == 1:  # a box
            self.draw.rectangle(
                (x - r * 1.4, y - 2 * r, x + r * 1.4, y), fill=colour, outline=(40, 40, 40), width=2
            )
        else:  # a post
            self.draw.rectangle((x - r * 0.3, y - 6 * r, x + r * 0.3, y), fill=colour)
