"""Drawn dogs in the competition's own layout, so that everything can be tried where no data is at hand.

The files are like the genuine ones: flat JPEG pictures in `all-dogs/all-dogs`, annotations without extension
or XML declaration in `annotation/Annotation/<breed>`, boxes exact around every dog.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, SupportsIndex

import numpy as np
from PIL import Image, ImageDraw

from dogsgan.crops import Box
from dogsgan.data.drawn import refuse_request
from dogsgan.data.drawn.dogs import BREEDS, POSES, Breed, Pen, draw_dog, varied
from dogsgan.files import atomic_path
from dogsgan.progress import progress_bar

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


_SUPERSAMPLING = 2
_POSE_WEIGHTS = (0.3, 0.2, 0.2, 0.1, 0.2)  # in the order of POSES
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the date of every entry, so that a zip's bytes repeat


class DrawnPicture(NamedTuple):
    """One picture with the box of each of its dogs, all of one breed."""

    picture: Image.Image
    breed: Breed
    boxes: list[Box]


def draw_competition(out_zip_or_folder: Path, *, images: int, seed: int = 0) -> Path:
    """Draw `images` pictures of dogs, write them to a zip (a path that ends in .zip) or a folder, return it.

    The same `images` and `seed` give the same bytes.

    Raises:
        DogsganError: `images` is not from 1 to a million, or the files cannot be written.
    """
    out = Path(out_zip_or_folder)
    is_zip = out.suffix.lower() == ".zip"
    refuse_request(images, "pictures", least=1, folder=None if is_zip else out)
    if is_zip:
        _write_zip(out, images, seed)
    else:
        _write_folder(out, images, seed)
    return out


def draw_picture(index: int, *, seed: int = 0) -> DrawnPicture:
    """Draw picture `index` of the set that `seed` names: one to three dogs of one breed in a scene."""
    rng = np.random.default_rng((seed, index))
    breed = BREEDS[index % len(BREEDS)]
    size = (int(rng.integers(130, 210)), int(rng.integers(120, 190)))
    large = (size[0] * _SUPERSAMPLING, size[1] * _SUPERSAMPLING)
    horizon = round(large[1] * rng.uniform(0.35, 0.65))
    canvas = draw_scene(list(SCENES)[rng.integers(len(SCENES))], large, horizon, rng)
    count = int(rng.choice((1, 2, 3), p=(0.86, 0.1, 0.04)))
    boxes = []
    for place in range(count):
        layer = _dog_layer(breed, large, (place + 0.5) / count, count, rng)
        covered = layer.getbbox()
        if covered is None:
            continue
        canvas.paste(layer, mask=layer.getchannel("A"))
        start = (side // _SUPERSAMPLING for side in covered[:2])
        end = (
            -(-side // _SUPERSAMPLING) for side in covered[2:]
        )  # every pixel that the dog touches is in it
        boxes.append(Box(*start, *end))
    picture = canvas.reduce(_SUPERSAMPLING)
    return DrawnPicture(add_light(picture, rng), breed, boxes)


def _dog_layer(
    breed: Breed, size: tuple[int, int], place: float, count: int, rng: np.random.Generator
) -> Image.Image:
    """Draw one dog on a layer of its own, `place` of the way across a picture with `count` of them."""
    pose = POSES[rng.choice(len(POSES), p=_POSE_WEIGHTS)]
    width, height = size
    room = width / (count * 0.75 + 0.25)
    fit = {"portrait": (0.95, 1.36), "sit": (1.15, 1.5)}.get(pose, (1.95, 1.5))  # how much a dog takes up
    scale = min(room / fit[0], height * 0.95 / fit[1]) * rng.uniform(0.72, 1.0)
    middle = {"portrait": 0.0, "sit": 0.35}.get(pose, 0.5)
    mirrored = bool(rng.random() < 0.5)
    slack = max(0.0, room - fit[0] * scale) / 2
    x = place * width + rng.uniform(-slack, slack) - (-middle if mirrored else middle) * scale
    lowest = 1.0 if pose == "portrait" else rng.uniform(0.84, 0.97)
    pen = Pen(size, origin=(x, height * lowest), scale=scale, mirrored=mirrored, tilt=rng.normal(0, 0.03))
    draw_dog(pen, varied(breed, rng), pose, rng)
    return pen.layer


def annotation_text(drawn: DrawnPicture, stem: str) -> str:
    """Return the annotation of a drawn picture in the data set's own format."""
    wnid, _, name = drawn.breed.name.partition("-")
    head = (
        f"<annotation>\n\t<folder>{wnid[1:]}</folder>\n\t<filename>{stem}</filename>\n\t<source>\n"
        f"\t\t<database>drawn</database>\n\t</source>\n\t<size>\n\t\t<width>{drawn.picture.width}</width>\n"
        f"\t\t<height>{drawn.picture.height}</height>\n\t\t<depth>3</depth>\n\t</size>\n\t<segment>0</segment>\n"
    )
    dogs = "".join(
        f"\t<object>\n\t\t<name>{name}</name>\n\t\t<pose>Unspecified</pose>\n\t\t<truncated>0</truncated>\n"
        f"\t\t<difficult>0</difficult>\n\t\t<bndbox>\n\t\t\t<xmin>{box.xmin}</xmin>\n\t\t\t<ymin>{box.ymin}</ymin>\n"
        f"\t\t\t<xmax>{box.xmax}</xmax>\n\t\t\t<ymax>{box.ymax}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for box in drawn.boxes
    )
    return f"{head}{dogs}</annotation>"


def _files(images: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file of the competition's layout."""
    for index in progress_bar(range(images), description="draw"):
        drawn = draw_picture(index, seed=seed)
        stem = f"{drawn.breed.name[:9]}_{index + 1}"
        buffer = io.BytesIO()
        drawn.picture.save(buffer, format="JPEG", quality=90)
        yield f"all-dogs/all-dogs/{stem}.jpg", buffer.getvalue()
        yield f"annotation/Annotation/{drawn.breed.name}/{stem}", annotation_text(drawn, stem).encode()


def _write_zip(path: Path, images: int, seed: int) -> None:
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, content in _files(images, seed):
            archive.writestr(zipfile.ZipInfo(name, date_time=_EPOCH), content)


def _write_folder(path: Path, images: int, seed: int) -> None:
    with atomic_path(path) as partial:
        for name, content in _files(images, seed):
            file = partial / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
