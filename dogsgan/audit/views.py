"""Training views: every form in which a training picture could have been copied: whole, cut, and so on.

Each form gives a view of S×S pixels. Mirrored views are not stored: the generated pictures are mirrored.
"""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dogsgan.data.cropping import cut_opened
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, write_json
from dogsgan.pictures import DECODERS, Decoded

FORMS = ("whole", "square", "context", "center")
CROP = "crop"
"""The one form of a prepared set's pictures."""
VERSION = 3  # to be raised when the same decoded pictures give other views
_ARRAY, _TABLE = "views.u8", "views.json"


@dataclass(frozen=True, eq=False)
class TrainingViews:
    """All views of a training set: V views of P pictures."""

    pictures: np.ndarray = field(repr=False)
    """V×S×S×3 uint8, mapped from disk."""
    picture_index: np.ndarray
    """V int32: which of the P training pictures."""
    form: np.ndarray
    """V int8: which of `forms`."""
    forms: tuple[str, ...]
    names: tuple[str, ...]
    """P file names."""
    class_names: tuple[str | None, ...]
    """P breeds' folders, None where not known."""
    unreadable: tuple[str, ...]
    """One line for each picture of the source that was left out."""

    def __len__(self) -> int:
        return len(self.picture_index)

    def warnings(self) -> list[str]:
        """Return a line on the pictures that were left out, if any."""
        if not self.unreadable:
            return []
        return [
            f"{len(self.unreadable):,} training picture(s) cannot be read and were left out, the first: "
            f"{self.unreadable[0]}"
        ]


class ViewCutter:
    """A consumer of a pass over a source's pictures, which cuts every view and writes them to a folder.

    A prepared set has one view a picture; without boxes there are two, whole and center. Views of a picture
    that would be the same rectangle are kept once.
    """

    def __init__(self, source: Source, size_px: int, file: BinaryIO) -> None:
        self._source, self._size_px, self._file = source, size_px, file
        self.table: dict[str, list[Any]] = {
            name: [] for name in ("picture_index", "form", "names", "class_names", "unreadable")
        }

    def view(self, image: SourceImage, picture: Decoded) -> list[tuple[np.ndarray, str]]:
        """Cut the views of a picture, with their forms."""
        policies = FORMS if self._source.crop_set is None else ("whole",)
        cut = cut_opened(self._source, image, picture.upright(image.name), policies, size_px=self._size_px)
        return [(view, origin.policy if self._source.crop_set is None else CROP) for view, origin in cut]

    def take(self, row: int, made: list[tuple[np.ndarray, str]] | DogsganError) -> None:
        """Write the views of the picture at a place in the source."""
        if isinstance(made, DogsganError):
            self.table["unreadable"].append(str(made))
            return
        for view, form in made:
            self._file.write(view.tobytes())
            self.table["picture_index"].append(len(self.table["names"]))
            self.table["form"].append(form)
        self.table["names"].append(self._source.images[row].name)
        self.table["class_names"].append(self._source.images[row].class_name)


@contextlib.contextmanager
def cutting_views(source: Source, *, size_px: int, folder: Path) -> Iterator[list[ViewCutter]]:
    """Yield the consumer for a pass over a source that keeps its views in `folder`; none where they are kept.

    Raises:
        DogsganError: no picture can be read, or the folder cannot be written.
    """
    if kept_views(source, size_px=size_px, folder=folder) is not None:
        yield []
        return
    with atomic_path(_folder_of(source, size_px, folder)) as partial:
        partial.mkdir()
        with (partial / _ARRAY).open("wb") as file:
            cutter = ViewCutter(source, size_px, file)
            yield [cutter]
        if not cutter.table["names"]:
            reason = cutter.table["unreadable"][0]
            raise DogsganError(f"no picture of {source.path} can be read ({reason}): give another --real")
        write_json(partial / _TABLE, {"contents": source.fingerprint(), **cutter.table})


def kept_views(source: Source, *, size_px: int, folder: Path) -> TrainingViews | None:
    """Return the views that are kept of a source's contents, or None where there are none.

    The contents are looked at only where there are views of pictures with the same names.
    """
    made = _folder_of(source, size_px, folder)
    if not os.path.isfile(made / _TABLE):  # noqa: PTH113 (False, too, where the folder may not be looked into)
        return None
    try:
        table = read_json(made / _TABLE)
        if table["contents"] != source.fingerprint():
            return None
        shape = (len(table["form"]), size_px, size_px, 3)
        forms = (CROP,) if source.crop_set is not None else FORMS
        return TrainingViews(
            pictures=np.memmap(made / _ARRAY, dtype=np.uint8, mode="r", shape=shape),
            picture_index=np.array(table["picture_index"], dtype=np.int32),
            form=np.array([forms.index(form) for form in table["form"]], dtype=np.int8),
            forms=forms,
            names=tuple(table["names"]),
            class_names=tuple(table["class_names"]),
            unreadable=tuple(table["unreadable"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DogsganError(f"{made} is damaged ({error}): remove it, and it will be made anew") from error


def _folder_of(source: Source, size_px: int, folder: Path) -> Path:
    """Return the place of a source's views, by what decides them and is known without reading a picture."""
    listing = [(image.name, image.class_name, image.boxes, image.annotated_size) for image in source.images]
    decisive = (VERSION, DECODERS, FORMS, size_px, source.kind, source.bordered, listing)
    key = hashlib.sha256("\n".join(map(repr, decisive)).encode(errors="surrogateescape")).hexdigest()
    return Path(folder) / f"views-{key[:16]}"
