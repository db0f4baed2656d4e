"""Drawn dogs in the competition's own layout, so that everything can be tried where no data is at hand.

The files are like the genuine ones: flat JPEG pictures in `all-dogs/all-dogs`, annotations without extension
or XML declaration in `annotation/Annotation/<breed>`, boxes exact around every dog.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from dogsgan.crops import Box
from dogsgan.data.drawn import refuse_request
from dogsgan.data.drawn.breeds import BREEDS, Breed, varied
from dogsgan.data.drawn.dogs import POSES, draw_dog
from dogsgan.data.drawn.pen import Pen
from dogsgan.data.drawn.scenes import SCENES, add_light, draw_scene
from dogsgan.files import atomic_path
from dogsgan.progress import progress_bar

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
