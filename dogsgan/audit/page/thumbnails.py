"""Pairs as small pictures: one strip a pair for the page, and the contact sheet of what was found."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from dogsgan.audit.result import Finding, Pair
from dogsgan.data.grids import save_grid
from dogsgan.errors import printable
from dogsgan.number_text import distance, p_value
from dogsgan.web_page import data_url

SIDE_PX = 128
"""A picture that is longer than this is scaled down."""
_GAP = 16  # a strip's transparent gap is a sixteenth of a picture's width
_TILE_PX = 128
_CAPTION_PX = 30
_BACKGROUND, _INK, _VERDICT_INK = (24, 24, 24), (235, 235, 235), (255, 140, 120)
_COLUMNS = 3


class Strip(NamedTuple):
    """Generated picture, training picture and difference side by side, as a data URI."""

    uri: str
    width: int
    height: int
    enlarged: bool
    """Whether the pictures are so small that a person wants to see their pixels enlarged."""


def strip(pair: Pair) -> Strip:
    """Encode a pair as one picture without loss, with transparent gaps that let any background through."""
    images = [_fitted(picture, SIDE_PX) for picture in pair]
    width, height = images[0].size
    gap = max(2, width // _GAP)
    whole = Image.new("RGBA", (3 * width + 2 * gap, height), (0, 0, 0, 0))
    for place, image in enumerate(images):
        whole.paste(image, (place * (width + gap), 0))
    buffer = io.BytesIO()
    if features.check("webp"):
        kind = "webp"
        whole.save(buffer, format="WEBP", lossless=True, method=2)
    else:
        kind = "png"
        whole.save(buffer, format="PNG")
    uri = data_url(buffer.getvalue(), kind)
    return Strip(uri, *whole.size, enlarged=max(width, height) <= SIDE_PX // 2)


def _fitted(picture: np.ndarray, side_px: int) -> Image.Image:
    image = Image.fromarray(picture)
    if max(image.size) > side_px:
        image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
    return image


def tile(finding: Finding, pair: Pair) -> np.ndarray:
    """Draw a flagged pair for the contact sheet, height×width×3, with its name, kind and numbers beneath."""
    canvas = Image.new("RGB", (3 * _TILE_PX + 8, _TILE_PX + _CAPTION_PX), _BACKGROUND)
    for place, picture in enumerate(pair):
        image = _fitted(picture, _TILE_PX)
        factor = max(1, _TILE_PX // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        left = place * (_TILE_PX + 4) + (_TILE_PX - image.width) // 2
        canvas.paste(image, (left, (_TILE_PX - image.height) // 2))
    verdict = f"{finding.kind} (accepted)" if finding.allowed else finding.kind
    lines = (
        f"{finding.name}: {verdict}",
        f"{finding.nearest}  distance {distance(finding.distance)}  p {p_value(finding.p_value)}",
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    for row, (line, ink) in enumerate(zip(lines, (_VERDICT_INK, _INK), strict=True)):
        plain = printable(line).encode("ascii", "replace").decode()
        draw.text((3, _TILE_PX + 2 + 13 * row), _shortened(plain, draw, font), fill=ink, font=font)
    return np.asarray(canvas)


def _shortened(
    text: str, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> str:
    """Return `text`, or where it does not fit under a tile its beginning and end."""
    keep = len(text)
    shorter = text
    while draw.textlength(shorter, font=font) > 3 * _TILE_PX and keep > 8:
        keep -= 4
        shorter = f"{text[: keep // 2]}...{text[-(keep - keep // 2) :]}"
    return shorter


def save_sheet(tiles: Sequence[np.ndarray], path: Path) -> None:
    """Write the contact sheet."""
    save_grid(np.stack(tiles), path, columns=_COLUMNS)
