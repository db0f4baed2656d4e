"""Crops of one picture: the boxes that count, the rectangles cut out, and the one resampling step."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dogsgan.config import DataRecipe
from dogsgan.crops import Box, Policy, Rectangle, clamp, crop_named, needs_box, parse_policy
from dogsgan.data.cropset import Origin
from dogsgan.data.layouts.layout import UNREADABLE_ANNOTATION, Skipped, SourceImage
from dogsgan.data.pictures import OpenPicture, add_border
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError, SourceChangedError

OVERSAMPLING = 1.25  # a JPEG decoded at a reduced scale keeps at least this many pixels per pixel of a crop


@dataclass(frozen=True)
class Cropped:
    """The crops of one picture in the order of its boxes, each H×W×3 uint8, and what was left out."""

    image: SourceImage
    crops: list[tuple[np.ndarray, Origin]]
    skipped: list[Skipped]


def crop_image(
    source: Source, image: SourceImage, data: DataRecipe, *, picture: OpenPicture | None = None
) -> Cropped:
    """Cut one picture, which may be open already.

    Nothing about the picture raises: what cannot be used is among `skipped`.

    Raises:
        SourceChangedError: it is another picture than when the source was identified.
    """
    if source.annotated and data.crop_policy.needs_boxes and image.problem is not None:
        listed_already = image.problem == UNREADABLE_ANNOTATION
        return Cropped(image, [], [] if listed_already else [Skipped(image.name, image.problem)])
    try:
        picture = picture or source.open(image)
        plan, skipped = plan_crops(
            image, picture, data.crop_policy, boxes=data.boxes, min_box_px=data.min_box_px
        )
        crops = _cut(picture, plan, data.size_px, bordered=source.bordered)
        return Cropped(image, crops, skipped)
    except SourceChangedError:  # the set would not be that of the contents it is known by
        raise
    except Exception as error:  # of hostile content anything may come, and one picture must not end the set
        known = isinstance(error, DogsganError)
        detail = str(error) if known else f"{type(error).__name__}: {error}"[:200]
        return Cropped(image, [], [Skipped(image.name, "picture cannot be read", detail)])


def cut_opened(
    source: Source, image: SourceImage, picture: OpenPicture, policies: tuple[str, ...], *, size_px: int
) -> list[tuple[np.ndarray, Origin]]:
    """Cut an open picture by several policies at once: every crop, H×W×3 uint8, that differs.

    A policy that needs a box gives nothing where the picture has none; of equal rectangles the first is kept.
    """
    plan: dict[Rectangle, Origin] = {}
    for name in policies:
        if image.boxes or not needs_box(name):
            for origin in plan_crops(image, picture, parse_policy(name))[0]:
                plan.setdefault(origin.rectangle, origin)
    return _cut(picture, list(plan.values()), size_px, bordered=source.bordered)


def plan_crops(
    image: SourceImage, picture: OpenPicture, policy: Policy, *, boxes: str = "all", min_box_px: int = 0
) -> tuple[list[Origin], list[Skipped]]:
    """Return what to cut out of a picture, and the boxes that cannot be used.

    Every usable box gives one crop; but those crops that do not depend on the box are taken once per picture.
    `boxes` and `min_box_px` as in `DataRecipe`.
    """
    usable: list[tuple[int, Box | None]] = [(0, None)]
    skipped: list[Skipped] = []
    if image.boxes and policy.needs_boxes:
        usable, skipped = _usable_boxes(image, picture, boxes=boxes, min_box_px=min_box_px)
    origins: list[Origin] = []
    taken: set[str] = set()
    for index, box in usable:
        name = policy.choose(image.name, index)
        if name in taken:
            continue
        if not needs_box(name):
            taken.add(name)
        crop = crop_named(name)
        assert crop is not None  # or the policy would not have been parsed
        rectangle = crop(picture.size, box or Box(0, 0, *picture.size))
        origins.append(Origin(image.name, box, rectangle, name))
    return origins, skipped


def _usable_boxes(
    image: SourceImage, picture: OpenPicture, *, boxes: str, min_box_px: int
) -> tuple[list[tuple[int, Box | None]], list[Skipped]]:
    usable: list[tuple[int, Box]] = []
    skipped = []
    for index, annotated in enumerate(image.boxes):
        box = clamp(picture.size, box_in_picture(annotated, image.annotated_size, picture))
        reason = _unusable(annotated, box, min_box_px)
        if reason is None:
            usable.append((index, box))
        else:
            skipped.append(Skipped(image.name, reason, f"box {index}: {tuple(annotated)}"))
    if boxes == "largest" and usable:
        usable = [max(usable, key=lambda item: (item[1].width * item[1].height, -item[0]))]
    return list(usable), skipped


def _unusable(annotated: Box, box: Box, min_box_px: int) -> str | None:
    if annotated.width < 1 or annotated.height < 1:
        return "box is empty or inverted"
    if box.width < 1 or box.height < 1:
        return "box lies outside the picture"
    if min(box.width, box.height) < min_box_px:
        return f"box is smaller than {min_box_px} px"
    return None


def box_in_picture(box: Box, annotated_size: tuple[int, int] | None, picture: OpenPicture) -> Box:
    """Return an annotated box in px of the upright picture.

    The picture may have another size than the one that was annotated: the box is scaled. And annotation tools
    of the data set's time ignored EXIF's rotation: where the annotated size does not tell, the box is taken
    to be in the picture as stored, and turned with it.
    """
    if annotated_size is None:
        annotated_size = picture.size
    if picture.orientation == 1 or _annotated_upright(annotated_size, picture):
        return _scaled_box(box, annotated_size, picture.size)
    return _turned_box(_scaled_box(box, annotated_size, picture.stored_size), picture)


def _annotated_upright(annotated_size: tuple[int, int], picture: OpenPicture) -> bool:
    """Return whether the annotated size has the upright picture's aspect rather than the stored one's."""
    aspect, upright, stored = (
        math.log(width / height) for width, height in (annotated_size, picture.size, picture.stored_size)
    )
    return abs(aspect - upright) < abs(aspect - stored)


def _scaled_box(box: Box, annotated_size: tuple[int, int], size: tuple[int, int]) -> Box:
    if annotated_size == size:
        return box
    across, down = size[0] / annotated_size[0], size[1] / annotated_size[1]
    return Box(
        round(box.xmin * across), round(box.ymin * down), round(box.xmax * across), round(box.ymax * down)
    )


def _turned_box(box: Box, picture: OpenPicture) -> Box:
    """Move a box of the stored picture to where EXIF's rotation takes it."""
    width, height = picture.stored_size
    orientation = picture.orientation
    xmin, ymin, xmax, ymax = box
    if orientation in (2, 3, 7, 8):  # these end mirrored in x as stored
        xmin, xmax = width - xmax, width - xmin
    if orientation in (3, 4, 6, 7):  # and these in y
        ymin, ymax = height - ymax, height - ymin
    return Box(ymin, xmin, ymax, xmax) if orientation >= 5 else Box(xmin, ymin, xmax, ymax)


def _cut(
    picture: OpenPicture, plan: list[Origin], size_px: int, *, bordered: bool
) -> list[tuple[np.ndarray, Origin]]:
    if not plan:
        return []
    if bordered:
        decoded, _ = picture.decode()
        return [(_bordered(decoded, origin.rectangle, size_px), origin) for origin in plan]
    decoded, reduction = picture.decode(min_size=_needed_size(picture.size, plan, size_px))
    return [(_scaled(decoded, origin.rectangle, reduction, size_px), origin) for origin in plan]


def _bordered(decoded: Image.Image, rectangle: Rectangle, size_px: int) -> np.ndarray:
    left, top, right, bottom = rectangle
    framed = add_border(np.asarray(decoded)[top:bottom, left:right], size_px)
    if framed.shape[:2] == (size_px, size_px):
        return framed
    return np.asarray(Image.fromarray(framed).resize((size_px, size_px), Image.Resampling.LANCZOS))


def _needed_size(size: tuple[int, int], plan: list[Origin], size_px: int) -> tuple[int, int]:
    """Return how large the whole picture has to be for the smallest rectangle to keep enough pixels."""
    narrowest = min(origin.rectangle.right - origin.rectangle.left for origin in plan)
    lowest = min(origin.rectangle.bottom - origin.rectangle.top for origin in plan)
    wanted = OVERSAMPLING * size_px
    return math.ceil(size[0] * wanted / narrowest), math.ceil(size[1] * wanted / lowest)


def _scaled(decoded: Image.Image, rectangle: Rectangle, reduction: int, size_px: int) -> np.ndarray:
    left, top, right, bottom = (side / reduction for side in rectangle)
    area = (left, top, min(right, decoded.width), min(bottom, decoded.height))
    return np.asarray(decoded.resize((size_px, size_px), Image.Resampling.LANCZOS, box=area))
