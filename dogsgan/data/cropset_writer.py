"""The writer of prepared sets: crop by crop, complete under the final name or not there."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from dogsgan.crops import Box, Rectangle
from dogsgan.data.cropset import (
    FORMAT,
    MANIFEST,
    UNLABELLED,
    CropSet,
    Fingerprint,
    Origin,
    check_labels,
    refuse_occupied,
)
from dogsgan.data.pictures import in_colour
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, write_json


class CropSetWriter:
    """Writes a set crop by crop, so that it never has to fit in memory. Made by `crop_set_writer`."""

    def __init__(self, folder: Path, *, size_px: int) -> None:
        self.folder = folder
        self._size_px = size_px
        self._origins: list[Origin] = []
        self._digest = Fingerprint()
        self._file: BinaryIO = (folder / "pictures.npy").open("w+b")
        self._write_header()

    def add(self, picture: np.ndarray, *, origin: Origin) -> None:
        """Append one H×W×3 uint8 picture."""
        expected = (self._size_px, self._size_px, 3)
        if picture.shape != expected or picture.dtype != np.uint8:
            raise ValueError(f"a crop is {expected} uint8, not {picture.shape} {picture.dtype}")
        contiguous = np.ascontiguousarray(picture)
        self._file.write(contiguous.data)
        self._digest.pictures(contiguous)
        self._origins.append(origin)

    def __len__(self) -> int:
        return len(self._origins)

    def finish(
        self,
        labels: Sequence[int],
        *,
        class_names: Sequence[str] = (),
        names_in_fingerprint: Sequence[str] | None = None,
        provenance: dict[str, Any] | None = None,
    ) -> None:
        """Write everything but the pictures; `labels` has one index into `class_names` per picture, or −1.

        `names_in_fingerprint` are the classes as the fingerprint has them, where that is otherwise: earlier
        versions gave two classes one name, and runs know their sets by the fingerprint.

        Raises:
            DogsganError: there are no pictures, labels and pictures differ in number, or a label has no name.
        """
        array = np.asarray(labels, dtype=np.int64)
        if len(array) != len(self):
            raise DogsganError(f"{len(self)} pictures but {len(array)} labels: give one label per picture")
        check_labels(array, class_names)
        self._write_header()
        self._file.close()
        np.save(self.folder / "labels.npy", array)
        np.save(self.folder / "origins.npy", _origin_array(self._origins))
        identified = list(class_names if names_in_fingerprint is None else names_in_fingerprint)
        manifest = {
            "format": FORMAT,
            "crops": len(self),
            "size_px": self._size_px,
            "fingerprint": self._digest.finish(array, identified, self._size_px),
            "class_names": list(class_names),
            **({"names_in_fingerprint": identified} if identified != list(class_names) else {}),
            "provenance": provenance or {},
        }
        write_json(self.folder / MANIFEST, manifest)

    def close(self) -> None:
        """Let go of the file, finished or not."""
        self._file.close()

    def _write_header(self) -> None:
        """Write the .npy header, which NumPy pads so that it keeps its length while the first axis grows."""
        shape = (len(self._origins), self._size_px, self._size_px, 3)
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(
            self._file, {"descr": "|u1", "fortran_order": False, "shape": shape}
        )


@contextmanager
def crop_set_writer(path: Path, *, size_px: int) -> Iterator[CropSetWriter]:
    """Yield a writer whose set appears at `path` when the block ends without an exception; see `finish`.

    A prepared set at `path` is replaced.

    Raises:
        DogsganError: something that is no prepared set is at `path`, or it cannot be written.
    """
    path = Path(path)
    refuse_occupied(path)
    with atomic_path(path) as partial:
        partial.mkdir()
        writer = CropSetWriter(partial, size_px=size_px)
        try:
            yield writer
        finally:
            writer.close()


def write_crop_set(
    path: Path,
    pictures: np.ndarray | Iterable[np.ndarray],
    labels: Sequence[int] | np.ndarray | None = None,
    *,
    class_names: Sequence[str] = (),
    origins: Sequence[Origin] | None = None,
    provenance: dict[str, Any] | None = None,
) -> CropSet:
    """Write a set from square uint8 pictures, N×H×W×3 or grey N×H×W, and open it.

    `labels` are indices into `class_names`; both are left out for a set without classes.

    Raises:
        DogsganError: no pictures, labels and pictures differ in number, or a label has no class name.
    """
    items = (_as_colour(np.asarray(picture)) for picture in pictures)
    first = next(items, None)
    if first is None:
        raise DogsganError(f"no pictures to write to {path}: a prepared set holds at least one")
    with crop_set_writer(path, size_px=first.shape[0]) as writer:
        for index, picture in enumerate(itertools.chain([first], items)):
            origin = Origin(
                f"{index:06d}", None, Rectangle(0, 0, picture.shape[1], picture.shape[0]), "whole"
            )
            writer.add(picture, origin=origin if origins is None else origins[index])
        given = [UNLABELLED] * len(writer) if labels is None else labels
        writer.finish([int(label) for label in given], class_names=class_names, provenance=provenance)
    return CropSet.open(path)


def _origin_array(origins: Sequence[Origin]) -> np.ndarray:
    """Return the origins as a structured array; its text fields are as wide as the longest name."""
    image_width, policy_width = (
        max(1, *map(len, texts)) for texts in zip(*((o.image, o.policy) for o in origins), strict=True)
    )
    fields = [
        ("image", f"U{image_width}"),
        ("box", "<i4", (4,)),
        ("rectangle", "<i4", (4,)),
        ("policy", f"U{policy_width}"),
    ]
    rows = [origin._replace(box=origin.box or Box(-1, -1, -1, -1)) for origin in origins]
    return np.array(rows, dtype=np.dtype(fields))


def _as_colour(picture: np.ndarray) -> np.ndarray:
    """Return an H×W or H×W×1 picture as H×W×3."""
    if picture.ndim == 2:
        picture = picture[:, :, None]
    return in_colour(picture) if picture.shape[2:] == (1,) else picture
