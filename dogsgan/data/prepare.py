"""Preparation of a source: every dog cropped and scaled, into the prepared set that training reads."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL

from dogsgan.config import DataRecipe
from dogsgan.cores import in_threads, usable_cores
from dogsgan.data.class_names import breed_name, names_for_people
from dogsgan.data.cropping import Cropped, crop_image
from dogsgan.data.cropset import (
    UNLABELLED,
    CropSet,
    CropSetWriter,
    crop_set_writer,
    is_crop_set,
    refuse_occupied,
)
from dogsgan.data.grids import draw_contact_sheet
from dogsgan.data.layouts import layout_of_kind
from dogsgan.data.layouts.layout import Skipped
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, working_folder
from dogsgan.progress import optional, progress_bar

VERSION = 3  # to be raised when the same pictures and arguments give other bytes; a test notices it
_IMAGES_PER_TASK = 8
SKIPPED_FILE = "skipped.json"
CONTACT_SHEET = "contact-sheet.png"


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did. `skipped` names each thing left out, as the set's `skipped.json` does."""

    crop_set: CropSet
    images: int  # pictures that at least one crop came from
    skipped: tuple[Skipped, ...]
    reused: bool  # whether the set was there already, made with the same arguments from the same source

    @property
    def skipped_by_reason(self) -> dict[str, int]:
        """How many were left out for each reason, most frequent first."""
        return dict(Counter(item.reason for item in self.skipped).most_common())

    @property
    def contact_sheet(self) -> Path | None:
        """The contact sheet's file; None where it could not be drawn."""
        path = self.crop_set.path / CONTACT_SHEET
        return path if path.is_file() else None

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
            "contact_sheet": str(self.contact_sheet) if self.contact_sheet else None,
            "fingerprint": self.crop_set.fingerprint,
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        size, classes = self.crop_set.size_px, len(self.crop_set.class_names)
        layout = layout_of_kind(self.crop_set.provenance["kind"])
        lines = [
            f"{self.crop_set.provenance['description']}",
            f"{len(self.crop_set):,} crops of {size}×{size} px from {self.images:,} pictures"
            + (f", {classes} {layout.class_word if layout else 'classes'}" if classes else "")
            + (" (already prepared, reused)" if self.reused else ""),
        ]
        if self.skipped:
            reasons = ", ".join(f"{count} × {reason}" for reason, count in self.skipped_by_reason.items())
            lines.append(f"left out: {reasons} (each in {self.crop_set.path / SKIPPED_FILE})")
        if self.contact_sheet:
            lines.append(f"look at {self.contact_sheet}")
        return "\n".join(lines)


def prepare(
    source: Path | Source,
    out: Path,
    data: DataRecipe,
    *,
    workers: int | None = None,
    same_as: str | None = None,
) -> PrepareReport:
    """Cut every dog out of a source's pictures as a recipe says, and write them to `out` as a prepared set.

    The crops `whole` and `center` are taken once per picture, however many dogs it shows. Pictures of a
    source without boxes count as one box each, the whole picture. MNIST's digits get a border: `add_border`.
    Neither `workers` (by default the number of cores) nor the place of the source influences the result.

    A set at `out` that the same arguments made from the same contents is reused, any other set there is
    replaced, and so is one that changed since. With `same_as`, a fingerprint, only the set of that
    fingerprint is made: another leaves what stands at `out`.

    Raises:
        DogsganError: the source or an argument cannot be used, nothing is left to crop, or `out` cannot be
        written.
    """
    if workers is not None and not 1 <= workers <= 256:
        raise DogsganError(
            f"{workers} workers cannot crop: choose from 1 to 256, or leave it to the number of cores"
        )
    out = Path(out)
    refuse_occupied(out)
    with working_folder(out, beside=True):
        opened = open_source(source)
        return _prepared(opened, out, data, workers=workers or usable_cores(), same_as=same_as)


def _prepared(
    opened: Source, out: Path, data: DataRecipe, *, workers: int, same_as: str | None
) -> PrepareReport:
    """Return the set at `out` if it is the right one, else make it."""
    _refuse_loss(opened, data)
    previous = _reusable(out, opened, data)
    if previous is not None:
        if previous.contact_sheet is None:
            _draw_contact_sheet(opened, out, shown_as=out)
        return previous
    skipped = list(opened.skipped)
    with crop_set_writer(out, size_px=data.size_px) as writer:
        folders, images = _write_crops(opened, writer, skipped, data, workers=workers)
        if not folders:
            raise DogsganError(f"nothing to crop in {opened.path}: {_worst(skipped)}")
        classes, class_folders = _classes(opened, set(folders))
        positions: dict[str | None, int] = {name: index for index, name in enumerate(classes)}
        writer.finish(
            [positions.get(folder, UNLABELLED) for folder in folders],
            class_names=classes if opened.crop_set else list(names_for_people(classes).values()),
            names_in_fingerprint=[breed_name(name) for name in classes],
            # Not before the crops: cutting them has hashed the pictures, and no file is read twice.
            provenance={**_provenance(opened, data), "images": images, "class_folders": class_folders},
        )
        if same_as is not None and CropSet.open(writer.folder).fingerprint != same_as:
            raise DogsganError(
                f"{opened.path} gives other crops than {out}, on which a run there is trained: give the "
                "source that it was begun with, or another --out"
            )
        _write_skipped(writer.folder / SKIPPED_FILE, skipped)
        _draw_contact_sheet(opened, writer.folder, shown_as=out)
    return PrepareReport(crop_set=CropSet.open(out), images=images, skipped=tuple(skipped), reused=False)


def _write_crops(
    source: Source, writer: CropSetWriter, skipped: list[Skipped], data: DataRecipe, *, workers: int
) -> tuple[list[str | None], int]:
    """Append every crop; return the breed's folder of each, and how many pictures gave any."""
    folders: list[str | None] = []
    images = 0
    labelled = any(image.class_name is not None for image in source.images)
    with progress_bar(description="crop", total=len(source.images)) as bar:
        for cropped in crops_in_order(source, data, workers=workers):
            bar.update()
            skipped.extend(cropped.skipped)
            if cropped.crops and labelled and cropped.image.class_name is None:
                skipped.append(Skipped(cropped.image.name, "breed not known"))
                continue
            for picture, origin in cropped.crops:
                writer.add(picture, origin=origin)
                folders.append(cropped.image.class_name)
            images += bool(cropped.crops)
    return folders, images


def _classes(source: Source, present: set[str | None]) -> tuple[list[str], list[str]]:
    """Return the classes that have crops, and the folder of each in the source.

    They are sorted by folder; those of a prepared set keep its order, and the folders it was made from.
    """
    if source.crop_set is None:
        classes = sorted(name for name in present if name is not None)
        return classes, classes
    folders = dict(zip(source.crop_set.class_names, source.crop_set.class_folders, strict=True))
    classes = [name for name in folders if name in present]
    return classes, [folders[name] for name in classes]


def crops_in_order(source: Source, data: DataRecipe, *, workers: int) -> Iterator[Cropped]:
    """Crop in threads; yield in the source's order."""

    def crop(start: int) -> list[Cropped]:
        return [crop_image(source, image, data) for image in source.images[start : start + _IMAGES_PER_TASK]]

    starts = range(0, len(source.images), _IMAGES_PER_TASK)
    for cropped in in_threads(crop, starts, workers=workers, ahead=4 * workers):
        yield from cropped


def _refuse_loss(source: Source, data: DataRecipe) -> None:
    """Refuse to crop without boxes or classes that the source all but has: nobody would notice the loss."""
    if source.lost_boxes and data.crop_policy.needs_boxes:
        raise DogsganError(
            f"{source.path} would be cropped without its boxes ({source.lost_boxes}); or take the pictures "
            "whole, with --policy whole or a recipe's data.policy=whole"
        )
    if source.lost_labels:
        raise DogsganError(f"{source.path} would lose its classes ({source.lost_labels})")


def _provenance(source: Source, data: DataRecipe) -> dict[str, Any]:
    described = {
        "source": str(source.path),
        "kind": source.kind,
        "description": source.description,
        "size": data.size_px,
        "policy": str(data.crop_policy),
        "boxes": data.boxes,
        "min_box_px": data.min_box_px,
        "seed": 0,
    }
    cut = (  # as `VERSION` 3 has always written it
        f"CropSettings(size_px={data.size_px}, policy={data.crop_policy!r}, boxes={data.boxes!r}, "
        f"min_box_px={data.min_box_px}, seed=0)"
    )
    left_out = [dataclasses.astuple(item) for item in source.skipped]
    decisive = [source.fingerprint(), left_out, cut, VERSION, PIL.__version__]
    return {**described, "key": hashlib.sha256(json.dumps(decisive).encode()).hexdigest()}


def _reusable(out: Path, source: Source, data: DataRecipe) -> PrepareReport | None:
    if not is_crop_set(out):
        return None
    try:
        crop_set = CropSet.open(out)
        if crop_set.provenance.get("key") != _provenance(source, data)["key"]:
            return None
        crop_set.verify()
        skipped = tuple(Skipped(**item) for item in read_json(out / SKIPPED_FILE))
        return PrepareReport(crop_set, crop_set.provenance["images"], skipped, reused=True)
    except (DogsganError, KeyError, TypeError):
        return None  # broken: it is made anew


def _draw_contact_sheet(source: Source, folder: Path, *, shown_as: Path) -> None:
    """Draw the contact sheet of the set in `folder`, if that is possible: the set is complete without it."""
    with optional(str(shown_as / CONTACT_SHEET)):
        draw_contact_sheet(source, CropSet.open(folder), folder / CONTACT_SHEET)


def _write_skipped(path: Path, skipped: list[Skipped]) -> None:
    rows = [{"name": item.name, "reason": item.reason, "detail": item.detail} for item in skipped]
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _worst(skipped: list[Skipped]) -> str:
    if not skipped:
        return "it holds no pictures"
    reason, count = Counter(item.reason for item in skipped).most_common(1)[0]
    return f"{count} × {reason}; the first is {skipped[0].name}"
