"""A source to a prepared set: decode, crop and scale every dog, in parallel, with the same bytes for any number of
workers. The last step of the data room."""

import hashlib
import json
import math
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from PIL import Image

from dogsgan.data.annotations import Box
from dogsgan.data.crops import CROPS, Policy, Rectangle, clamp, parse_policy
from dogsgan.data.cropset import (
    UNLABELLED,
    CropSet,
    CropSetWriter,
    Origin,
    crop_set_writer,
    is_crop_set,
    refuse_occupied,
)
from dogsgan.data.pictures import OpenPicture, open_picture
from dogsgan.data.sources import Skipped, Source, SourceImage, breed_name, open_source
from dogsgan.errors import DogsganError
from dogsgan.files import read_json
from dogsgan.progress import progress_bar

VERSION = 1  # to be raised when the same arguments give other bytes
OVERSAMPLING = (
    2.0  # a JPEG is decoded at a reduced scale that leaves at least this many pixels per pixel of a crop
)
_IMAGES_PER_TASK = 8
SKIPPED_FILE = "skipped.json"
CONTACT_SHEET = "contact-sheet.png"


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did. `skipped` names each thing left out; the same list stands in the set's `skipped.json`."""

    crop_set: CropSet
    images: int  # pictures that at least one crop came from
    skipped: tuple[Skipped, ...]
    reused: bool  # whether the set was there already, made with the same arguments from the same source

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """How many were left out for each reason, most frequent first."""
        return dict(Counter(item.reason for item in self.skipped).most_common())

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "crops": len(self.crop_set),
            "images": self.images,
            "breeds": len(self.crop_set.class_names),
            "skipped": len(self.skipped),
            "skipped_by_reason": self.skipped_by_reason,
            "policy": self.crop_set.provenance["policy"],
            "size": self.crop_set.size_px,
            "reused": self.reused,
            "path": str(self.crop_set.path),
            "source": self.crop_set.provenance["source"],
            "contact_sheet": str(self.crop_set.path / CONTACT_SHEET),
            "fingerprint": self.crop_set.fingerprint,
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        size, breeds = self.crop_set.size_px, len(self.crop_set.class_names)
        lines = [
            f"{self.crop_set.provenance['description']}",
            f"{len(self.crop_set):,} crops of {size}×{size} px from {self.images:,} pictures"
            + (f", {breeds} breeds" if breeds else "")
            + (" (already prepared, reused)" if self.reused else ""),
        ]
        if self.skipped:
            reasons = ", ".join(f"{count} × {reason}" for reason, count in self.skipped_by_reason.items())
            lines.append(f"left out: {reasons} (each in {self.crop_set.path / SKIPPED_FILE})")
        lines.append(f"look at {self.crop_set.path / CONTACT_SHEET}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Settings:
    """What decides about the crops of one picture."""

    size_px: int
    policy: Policy
    boxes: str
    min_box_px: int
    seed: int


@dataclass(frozen=True)
class _Cropped:
    """The crops of one picture, in the order of its boxes."""

    image: SourceImage
    crops: list[tuple[np.ndarray, Origin]]
    skipped: list[Skipped]


def prepare(
    source: Path | Source,
    out: Path,
    *,
    size_px: int = 64,
    policy: str = "square",
    boxes: str = "all",
    min_box_px: int = 0,
    workers: int | None = None,
    seed: int = 0,
) -> PrepareReport:
    """Cut every dog out of a source's pictures and write them to `out` as a prepared set.

    `boxes` is `all`, or `largest` for one dog per picture; a box whose shorter side is under `min_box_px` pixels of
    the picture is left out. The crops `whole` and `center` are taken once per picture, however many dogs it shows.
    Pictures of a source without boxes count as one box each, the whole picture. `workers` (by default the number of
    cores) and their timing have no influence on the result; nor does the place of the source.

    A set at `out` that the same arguments made from the same source is reused, any other set there is replaced.

    Raises:
        DogsganError: the source or an argument cannot be used, nothing is left to crop, or `out` cannot be written.
    """
    settings = _settings(size_px, policy, boxes, min_box_px, seed)
    out = Path(out)
    refuse_occupied(out)
    opened = source if isinstance(source, Source) else open_source(source)
    provenance = _provenance(opened, settings)
    previous = _reusable(out, provenance["key"])
    if previous is not None:
        return previous
    classes = sorted({image.class_name for image in opened.images if image.class_name is not None})
    skipped = list(opened.skipped)
    with crop_set_writer(out, size_px=size_px) as writer:
        images = _write_crops(opened, writer, skipped, settings=settings, classes=classes, workers=workers)
        if len(writer) == 0:
            raise DogsganError(f"nothing to crop in {opened.path}: {_worst(skipped)}")
        provenance["images"] = images
        writer.finish(class_names=[breed_name(name) for name in classes], provenance=provenance)
        _write_skipped(writer.folder / SKIPPED_FILE, skipped)
    crop_set = CropSet.open(out)
    return PrepareReport(crop_set=crop_set, images=images, skipped=tuple(skipped), reused=False)


def _write_crops(
    source: Source,
    writer: CropSetWriter,
    skipped: list[Skipped],
    *,
    settings: _Settings,
    classes: list[str],
    workers: int | None,
) -> int:
    labels = {name: index for index, name in enumerate(classes)}
    images = 0
    with progress_bar(description="crop", total=len(source.images)) as bar:
        for cropped in _in_order(source, settings, workers=workers or _cores()):
            bar.update()
            skipped.extend(cropped.skipped)
            if cropped.crops and classes and cropped.image.class_name is None:
                skipped.append(Skipped(cropped.image.name, "breed not known"))
                continue
            label = UNLABELLED if cropped.image.class_name is None else labels[cropped.image.class_name]
            for picture, origin in cropped.crops:
                writer.add(picture, label=label, origin=origin)
            images += bool(cropped.crops)
    return images


def _in_order(source: Source, settings: _Settings, *, workers: int) -> Iterator[_Cropped]:
    """Crop in threads (Pillow decodes and scales without Python's lock), and yield in the source's order."""
    pending: deque[Future[list[_Cropped]]] = deque()
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="crop") as pool:
        try:
            for batch in _batches(source.images):
                pending.append(pool.submit(_crop_batch, source, batch, settings))
                if len(pending) >= 4 * workers:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _batches(images: list[SourceImage]) -> Iterable[list[SourceImage]]:
    return (images[start : start + _IMAGES_PER_TASK] for start in range(0, len(images), _IMAGES_PER_TASK))


def _crop_batch(source: Source, images: list[SourceImage], settings: _Settings) -> list[_Cropped]:
    return [_crop_image(source, image, settings) for image in images]


def _crop_image(source: Source, image: SourceImage, settings: _Settings) -> _Cropped:
    if source.annotated and settings.policy.needs_boxes and image.problem is not None:
        known = image.problem == "annotation cannot be read"  # the source lists that one itself
        return _Cropped(image, [], [] if known else [Skipped(image.name, image.problem)])
    try:
        picture = open_picture(source.read(image), image.name)
        plan, skipped = _plan(image, picture, settings)
        return _Cropped(image, _cut(picture, plan, settings.size_px), skipped)
    except DogsganError as error:
        return _Cropped(image, [], [Skipped(image.name, "picture cannot be read", str(error))])


def _plan(
    image: SourceImage, picture: OpenPicture, settings: _Settings
) -> tuple[list[Origin], list[Skipped]]:
    """Return what to cut out of a picture, each rectangle once, and the boxes that cannot be used."""
    usable, skipped = _usable_boxes(image, picture, settings)
    origins: dict[Rectangle, Origin] = {}
    for index, box in usable:
        name = settings.policy.choose(image.name, index, seed=settings.seed)
        rectangle = CROPS[name](picture.size, box or Box(0, 0, *picture.size))
        origins.setdefault(rectangle, Origin(image.name, box, rectangle, name))
    return list(origins.values()), skipped


def _usable_boxes(
    image: SourceImage, picture: OpenPicture, settings: _Settings
) -> tuple[list[tuple[int, Box | None]], list[Skipped]]:
    if not image.boxes or not settings.policy.needs_boxes:
        return [(0, None)], []
    usable: list[tuple[int, Box]] = []
    skipped = []
    for index, annotated in enumerate(image.boxes):
        reason = None
        if annotated.width < 1 or annotated.height < 1:
            reason = "box is empty or inverted"
        box = clamp(picture.size, in_picture(annotated, image, picture))
        if reason is None and (box.width < 1 or box.height < 1):
            reason = "box lies outside the picture"
        if reason is None and min(box.width, box.height) < settings.min_box_px:
            reason = f"box is smaller than {settings.min_box_px} px"
        if reason is None:
            usable.append((index, box))
        else:
            corners = (annotated.xmin, annotated.ymin, annotated.xmax, annotated.ymax)
            skipped.append(Skipped(image.name, reason, f"box {index}: {corners}"))
    if settings.boxes == "largest" and usable:
        usable = [max(usable, key=lambda item: (item[1].width * item[1].height, -item[0]))]
    return list(usable), skipped


def in_picture(box: Box, image: SourceImage, picture: OpenPicture) -> Box:
    """Return an annotated box in px of the upright picture, which may have another size than was annotated."""
    assert image.annotated_size is not None
    if image.annotated_size == picture.size:
        return box
    across = picture.size[0] / image.annotated_size[0]
    down = picture.size[1] / image.annotated_size[1]
    return Box(
        round(box.xmin * across), round(box.ymin * down), round(box.xmax * across), round(box.ymax * down)
    )


def _cut(picture: OpenPicture, plan: list[Origin], size_px: int) -> list[tuple[np.ndarray, Origin]]:
    if not plan:
        return []
    decoded, reduction = picture.decode(min_size=_needed_size(picture.size, plan, size_px))
    return [(_scaled(decoded, origin.rectangle, reduction, size_px), origin) for origin in plan]


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


def _settings(size_px: int, policy: str, boxes: str, min_box_px: int, seed: int) -> _Settings:
    if not 8 <= size_px <= 1024:
        raise DogsganError(f"crops of {size_px} px cannot be made: choose a --size from 8 to 1024")
    if boxes not in ("all", "largest"):
        raise DogsganError(f"no such choice of boxes: {boxes!r}; use all or largest")
    if min_box_px < 0:
        raise DogsganError(f"the smallest box cannot be {min_box_px} px: use 0 or more")
    return _Settings(size_px, parse_policy(policy), boxes, min_box_px, seed)


def _provenance(source: Source, settings: _Settings) -> dict[str, Any]:
    described = {
        "source": str(source.path),
        "kind": source.kind,
        "description": source.description,
        "size": settings.size_px,
        "policy": str(settings.policy),
        "boxes": settings.boxes,
        "min_box_px": settings.min_box_px,
        "seed": settings.seed,
    }
    decisive = [source.fingerprint(), repr(settings), VERSION, PIL.__version__]
    return {**described, "key": hashlib.sha256(json.dumps(decisive).encode()).hexdigest()}


def _reusable(out: Path, key: str) -> PrepareReport | None:
    if not is_crop_set(out):
        return None
    try:
        crop_set = CropSet.open(out)
        if crop_set.provenance.get("key") != key:
            return None
        skipped = tuple(Skipped(**item) for item in read_json(out / SKIPPED_FILE))
        return PrepareReport(crop_set, crop_set.provenance["images"], skipped, reused=True)
    except (DogsganError, KeyError, TypeError):
        return None  # broken: it is made anew


def _write_skipped(path: Path, skipped: list[Skipped]) -> None:
    rows = [{"name": item.name, "reason": item.reason, "detail": item.detail} for item in skipped]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _worst(skipped: list[Skipped]) -> str:
    if not skipped:
        return "it holds no pictures"
    reason, count = Counter(item.reason for item in skipped).most_common(1)[0]
    return f"{count} × {reason}; the first is {skipped[0].name}"


def _cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
