"""Grids of pictures in one PNG, and the contact sheet of a prepared set. The one place that draws them.

It does without torch, whose import takes seconds.
"""

import functools
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dogsgan.cores import usable_cores
from dogsgan.data.cropset import CropSet, Origin
from dogsgan.data.pictures import OpenPicture
from dogsgan.data.sources import Source
from dogsgan.files import atomic_path

if TYPE_CHECKING:
    import torch

_GAP_PX = 2
_COLUMNS = 6
_ORIGINAL = (124, 93)  # px that originals are scaled down to fit: a quarter of ImageNet's 500×375
_CROP_PX = 93
_CAPTION_PX = 16
_BOX_COLOUR = (255, 60, 60)
_RECTANGLE_COLOUR = (60, 255, 90)
_font = functools.cache(ImageFont.load_default)  # Pillow unpacks it at every call


def save_grid(
    pictures: "np.ndarray | torch.Tensor", path: Path, *, columns: int = 10, scale: int = 1
) -> None:
    """Write uint8 pictures, N×H×W×C with C of 1 or 3, as one PNG with `columns` pictures a row.

    `scale` enlarges each pixel to a square of that side. A white gap surrounds every picture; places that the
    last row leaves empty are white. A tensor must be on the CPU.
    """
    batch = np.asarray(pictures)
    if batch.ndim != 4 or not len(batch) or batch.shape[3] not in (1, 3) or batch.dtype != np.uint8:
        raise ValueError(f"pictures of shape {batch.shape} and type {batch.dtype}, expected N×H×W×C in uint8")
    if scale > 1:
        batch = batch.repeat(scale, axis=1).repeat(scale, axis=2)
    grid = _grid(batch, columns=min(columns, len(batch)))
    with atomic_path(path) as partial:
        Image.fromarray(grid).save(partial, format="PNG", compress_type=zlib.Z_RLE)  # the fastest, and small


def _grid(batch: np.ndarray, *, columns: int) -> np.ndarray:
    """Return pictures, N×H×W×C, side by side, as one of height×width×3."""
    count, height, width, _ = batch.shape
    rows = -(-count // columns)
    down, across = height + _GAP_PX, width + _GAP_PX
    grid = np.full((rows * down + _GAP_PX, columns * across + _GAP_PX, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(batch):
        top, left = index // columns * down + _GAP_PX, index % columns * across + _GAP_PX
        grid[top : top + height, left : left + width] = picture
    return grid


def draw_contact_sheet(source: Source, crop_set: CropSet, path: Path, *, count: int = 24) -> None:
    """Write a PNG with `count` crops, spread evenly over the breeds, or over the set where there are none.

    The annotated box is drawn in red, what was cut out in green.
    """
    images = {image.name: image for image in source.images}
    order = np.argsort(crop_set.labels, kind="stable")
    chosen = order[np.unique(np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int))]

    def tile(index: int) -> np.ndarray:
        origin = crop_set.origin(index)
        breed = crop_set.class_names[crop_set.labels[index]] if crop_set.class_names else ""
        try:
            original = _original(source.open(images[origin.image]), origin)
        except Exception:  # it could be read for its crop; no page is worth losing the set
            original = Image.new("RGB", _ORIGINAL, (24, 24, 24))
        return _tile(original, origin, crop_set.pictures[index], breed)

    with ThreadPoolExecutor(usable_cores()) as pool:
        tiles = list(pool.map(tile, chosen.tolist()))
    save_grid(np.stack(tiles), path, columns=min(_COLUMNS, len(tiles)))


def _original(picture: OpenPicture, origin: Origin) -> Image.Image:
    """Return the picture, small, with the box and what was cut out."""
    size = picture.size
    scale = min(_ORIGINAL[0] / size[0], _ORIGINAL[1] / size[1])
    fitted = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    decoded, _ = picture.decode(min_size=fitted)
    original = decoded.resize(fitted, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(original)
    draw.rectangle(_on_page(origin.rectangle, size, fitted), outline=_RECTANGLE_COLOUR, width=2)
    if origin.box is not None:
        draw.rectangle(_on_page(origin.box, size, fitted), outline=_BOX_COLOUR, width=1)
    return original


def _tile(original: Image.Image, origin: Origin, crop: np.ndarray, breed: str) -> np.ndarray:
    tile = Image.new("RGB", (_ORIGINAL[0] + 4 + _CROP_PX, _ORIGINAL[1] + _CAPTION_PX), (24, 24, 24))
    tile.paste(original, ((_ORIGINAL[0] - original.width) // 2, (_ORIGINAL[1] - original.height) // 2))
    enlarged = Image.fromarray(crop).resize((_CROP_PX, _CROP_PX), Image.Resampling.BICUBIC)
    tile.paste(enlarged, (_ORIGINAL[0] + 4, 0))
    name = PurePosixPath(origin.image).stem
    caption = f"{breed}  {origin.policy}  {name}".strip().encode("ascii", "replace").decode()
    ImageDraw.Draw(tile).text((3, _ORIGINAL[1] + 2), caption[:56], fill="white", font=_font())
    return np.asarray(tile)


def _on_page(corners: Sequence[int], size: tuple[int, int], fitted: tuple[int, int]) -> list[float]:
    """Return the corners of a box in px of the small picture, never inverted."""
    left, top, right, bottom = (
        corner * fitted[axis % 2] / size[axis % 2] for axis, corner in enumerate(corners)
    )
    return [left, top, max(right - 1, left), max(bottom - 1, top)]
