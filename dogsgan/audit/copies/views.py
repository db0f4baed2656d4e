"""Every form in which a training picture could have been copied: the whole, the dog's square, and so on.

The first step of an audit. Each form gives a view of S×S pixels. Mirrored views are not stored: the generated
pictures are mirrored instead.
"""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dogsgan.cores import usable_cores
from dogsgan.data.cropping import cut_policies
from dogsgan.data.sources import Source, SourceImage
from dogsgan.decoding import DECODERS, open_decoded_here
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, write_json
from dogsgan.progress import progress_bar

FORMS = ("whole", "square", "context", "center")
CROP = "crop"
"""The one form of a prepared set's pictures."""
VERSION = 2  # to be raised when the same decoded pictures give other views
_PICTURES_AT_ONCE = 512
_ARRAY, _TABLE = "views.u8", "views.json"

_Cut: TypeAlias = list[tuple[np.ndarray, str]] | DogsganError


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
    identity: str
    """A hash of what the views were made from."""

    def __len__(self) -> int:
        return len(self.picture_index)


def training_views(source: Source, *, size_px: int, folder: Path) -> TrainingViews:
    """Return every view of a source's pictures at `size_px`; they are kept in `folder` and found there again.

    A prepared set has one view a picture; without boxes there are two, whole and center. Views of a picture
    that would be the same rectangle are kept once.

    Raises:
        DogsganError: no picture can be read, or the folder cannot be written.
    """
    identity = identity_of_views(source, size_px=size_px)
    made = Path(folder) / f"views-{identity[:16]}"
    if not os.path.isfile(made / _TABLE):  # noqa: PTH113 (False, too, where the folder may not be looked into)
        with atomic_path(made) as partial:
            partial.mkdir()
            _write(source, size_px, partial)
    return _read(source, made, size_px, identity)


def identity_of_views(source: Source, *, size_px: int) -> str:
    """Return a hash over all that decides a source's views: its contents, and how they are decoded and cut.

    Raises:
        DogsganError: a prepared set changed since it was written.
    """
    decisive = (VERSION, DECODERS, FORMS, size_px, source.fingerprint())
    return hashlib.sha256("\n".join(map(str, decisive)).encode()).hexdigest()


def _write(source: Source, size_px: int, folder: Path) -> None:
    picture_index: list[int] = []
    forms: list[str] = []
    names: list[str] = []
    class_names: list[str | None] = []
    unreadable: list[str] = []
    with (folder / _ARRAY).open("wb") as file:
        for image, cut in _cut_all(source, size_px):
            if isinstance(cut, DogsganError):
                unreadable.append(str(cut))
                continue
            for view, form in cut:
                file.write(view.tobytes())
                picture_index.append(len(names))
                forms.append(form)
            names.append(image.name)
            class_names.append(image.class_name)
    if not names:
        raise DogsganError(f"no picture of {source.path} can be read ({unreadable[0]}): give another --real")
    write_json(
        folder / _TABLE,
        {
            "picture_index": picture_index,
            "form": forms,
            "names": names,
            "class_names": class_names,
            "unreadable": unreadable,
        },
    )


def _cut_all(source: Source, size_px: int) -> Iterator[tuple[SourceImage, _Cut]]:
    """Yield each picture with its views, in order, cut in threads."""

    def cut(image: SourceImage) -> _Cut:
        try:
            return _views_of(source, image, size_px)
        except DogsganError as error:
            return error

    images = source.images
    with (
        ThreadPoolExecutor(usable_cores()) as pool,
        progress_bar(description="views of the training pictures", total=len(images)) as bar,
    ):
        for start in range(0, len(images), _PICTURES_AT_ONCE):
            some = images[start : start + _PICTURES_AT_ONCE]
            yield from zip(some, pool.map(cut, some), strict=True)
            bar.update(len(some))


def _views_of(source: Source, image: SourceImage, size_px: int) -> list[tuple[np.ndarray, str]]:
    if source.crop_set is not None:
        [(view, _)] = cut_policies(source, image, ("whole",), size_px=size_px)
        return [(view, CROP)]
    cut = cut_policies(source, image, FORMS, size_px=size_px, opener=open_decoded_here)
    return [(view, origin.policy) for view, origin in cut]


def _read(source: Source, folder: Path, size_px: int, identity: str) -> TrainingViews:
    try:
        table = read_json(folder / _TABLE)
        picture_index = np.array(table["picture_index"], dtype=np.int32)
        forms = (CROP,) if source.crop_set is not None else FORMS
        pictures = np.memmap(
            folder / _ARRAY, dtype=np.uint8, mode="r", shape=(len(picture_index), size_px, size_px, 3)
        )
        return TrainingViews(
            pictures=pictures,
            picture_index=picture_index,
            form=np.array([forms.index(form) for form in table["form"]], dtype=np.int8),
            forms=forms,
            names=tuple(table["names"]),
            class_names=tuple(table["class_names"]),
            unreadable=tuple(table["unreadable"]),
            identity=identity,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DogsganError(f"{folder} is damaged ({error}): remove it, and it will be made anew") from error
