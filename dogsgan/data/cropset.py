"""The prepared set: square uint8 crops with labels, memory-mapped, in a folder that is complete or not there.

A set's folder holds `pictures.npy` (N×H×W×3), `labels.npy`, `origins.npy` and `set.json`; `prepare` adds
`skipped.json` and `contact-sheet.png`. Training, scoring and the audit read pictures from here.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dogsgan.crops import Box, Rectangle
from dogsgan.data.class_names import distinct
from dogsgan.errors import DogsganError
from dogsgan.files import is_occupied, read_json

FORMAT = 1
UNLABELLED = -1
MANIFEST = "set.json"
_ARRAYS = ("pictures", "labels", "origins")


class Origin(NamedTuple):
    """Where a crop comes from, in px of the upright picture; the box is None where there was none."""

    image: str
    box: Box | None
    rectangle: Rectangle
    policy: str  # the crop's name: square, context, …


@dataclass(frozen=True)
class CropSet:
    """A prepared set, opened. `pictures[i]`, `labels[i]` and `origins[i]` belong together.

    `labels` are int64, −1 throughout where the set has no classes, and `class_names` is then empty.
    `origins` is a structured array with the fields image, box (4 int32, xmin ymin xmax ymax, all −1 where
    there is no box), rectangle (4 int32, left top right bottom) and policy; `origin(i)` gives one as a value.
    """

    path: Path
    pictures: np.memmap  # N×H×W×3 uint8
    labels: np.ndarray  # N int64
    class_names: tuple[str, ...]
    fingerprint: str  # sha256 of pictures, labels and class names
    provenance: dict[str, Any]
    origins: np.ndarray = field(repr=False)
    names_in_fingerprint: tuple[str, ...] = field(repr=False, default=())  # as `fingerprint` has the classes

    @classmethod
    def open(cls, path: Path) -> "CropSet":
        """Open a set in milliseconds: its arrays are mapped, not read.

        Raises:
            DogsganError: there is no set, or it is broken, incomplete or of another version.
        """
        path = Path(path)
        manifest = _read_manifest(path)
        try:
            pictures, labels, origins = (np.load(path / f"{name}.npy", mmap_mode="r") for name in _ARRAYS)
            names = [str(name) for name in manifest["class_names"]]
            crop_set = cls(
                path=path,
                pictures=pictures,
                labels=np.asarray(labels),
                origins=origins,
                class_names=distinct(names, _folders(manifest["provenance"], names)),
                fingerprint=manifest["fingerprint"],
                provenance=manifest["provenance"],
                names_in_fingerprint=tuple(manifest.get("names_in_fingerprint", names)),
            )
            _check_arrays(crop_set, manifest)
        except Exception as error:  # NumPy raises anything at a damaged header
            raise DogsganError(
                f"the prepared set {path} is broken ({error}): remove it and prepare again"
            ) from error
        return crop_set

    def refuse_other_size(self, size_px: int) -> None:
        """Refuse to serve a recipe of another size.

        Raises:
            DogsganError: the pictures are not of `size_px`.
        """
        if self.size_px != size_px:
            raise DogsganError(
                f"the crop set {self.path} has pictures of {self.size_px} px and the recipe wants "
                f"{size_px}: prepare it with --size {size_px}"
            )

    @property
    def size_px(self) -> int:
        """Height and width of every crop."""
        return int(self.pictures.shape[1])

    @property
    def class_folders(self) -> tuple[str, ...]:
        """The folder that each class had in the source, whose name may begin with a wnid; else its name."""
        return tuple(_folders(self.provenance, self.class_names))

    def __len__(self) -> int:
        return int(self.pictures.shape[0])

    def origin(self, index: int) -> Origin:
        """Return where crop `index` comes from."""
        row = self.origins[index]
        box = [int(value) for value in row["box"]]
        return Origin(
            image=str(row["image"]),
            box=None if box == [-1] * 4 else Box(*box),
            rectangle=Rectangle(*(int(value) for value in row["rectangle"])),
            policy=str(row["policy"]),
        )

    def verify(self) -> None:
        """Read everything and compare it with the fingerprint.

        Raises:
            DogsganError: the contents changed since the set was written.
        """
        digest = Fingerprint()
        for start in range(0, len(self), 1024):
            digest.pictures(self.pictures[start : start + 1024])
        if digest.finish(self.labels, self.names_in_fingerprint, self.size_px) != self.fingerprint:
            raise DogsganError(f"the prepared set {self.path} changed since it was written: prepare it again")


def is_crop_set(path: Path) -> bool:
    """Return whether `path` is a folder that claims to be a prepared set, broken or not."""
    try:
        return (Path(path) / MANIFEST).is_file() and any(
            (Path(path) / f"{name}.npy").is_file() for name in _ARRAYS
        )
    except OSError:  # a name that is too long, or a folder that may not be read
        return False


def refuse_occupied(path: Path) -> None:
    """Raise a DogsganError when something else than a prepared set or an empty folder is at `path`."""
    if "\0" in str(path):
        raise DogsganError(f"cannot write {path}: a path holds no NUL; choose another place for --out")
    if is_occupied(path) and not is_crop_set(path):
        raise DogsganError(
            f"{path} exists and is no prepared set: choose another place for --out, or remove it"
        )


def _folders(provenance: dict[str, Any], names: Sequence[str]) -> Sequence[str]:
    """Return the classes' folders in the source where they are known, else `names`."""
    folders = provenance.get("class_folders")
    if not isinstance(folders, list) or len(folders) != len(names):
        return names
    return [str(folder) for folder in folders]


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as error:  # a NUL in the path, a name that is too long
        raise DogsganError(f"no prepared set at {path} ({error}): check the path") from error
    if not is_folder:
        raise DogsganError(f"no prepared set at {path}: make one with dogsgan prepare SOURCE --out {path}")
    if not (path / MANIFEST).is_file():
        raise DogsganError(f"{path} is no prepared set, it has no {MANIFEST}: make one with dogsgan prepare")
    manifest = read_json(path / MANIFEST)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DogsganError(
            f"the prepared set {path} was written by another version of dogsgan: prepare it again"
        )
    return manifest


def _check_arrays(crop_set: CropSet, manifest: dict[str, Any]) -> None:
    count, size_px = manifest["crops"], manifest["size_px"]
    pictures, labels, origins = crop_set.pictures, crop_set.labels, crop_set.origins
    if count < 1 or pictures.dtype != np.uint8 or pictures.shape != (count, size_px, size_px, 3):
        raise ValueError(f"pictures.npy is {pictures.shape}, set.json says {count} of {size_px} px")
    if labels.dtype != np.int64 or labels.shape != (count,):
        raise ValueError("labels.npy does not have one label per picture")
    if origins.shape != (count,) or origins.dtype.names != Origin._fields:
        raise ValueError("origins.npy does not have one origin per picture")
    if not isinstance(crop_set.fingerprint, str) or not isinstance(crop_set.provenance, dict):
        raise ValueError("set.json lacks its fingerprint")
    check_labels(crop_set.labels, crop_set.class_names)


def check_labels(labels: np.ndarray, class_names: Sequence[str]) -> None:
    if len(labels) == 0:
        raise DogsganError("no crop is left to write: see what was left out, and why")
    lowest, highest = int(labels.min()), int(labels.max())
    if class_names and not 0 <= lowest <= highest < len(class_names):
        raise DogsganError(
            f"labels run from {lowest} to {highest} but there are {len(class_names)} class names"
        )
    if not class_names and not lowest == highest == UNLABELLED:
        raise DogsganError("there are labels but no class names: give one name per class")


class Fingerprint:
    """The id of a set's contents, computed while it is written or read."""

    def __init__(self) -> None:
        self._sha = hashlib.sha256()

    def pictures(self, pictures: np.ndarray) -> None:
        self._sha.update(np.ascontiguousarray(pictures).data)

    def finish(self, labels: np.ndarray, class_names: Sequence[str], size_px: int) -> str:
        self._sha.update(np.ascontiguousarray(labels, dtype="<i8").data)
        self._sha.update(json.dumps([list(class_names), size_px]).encode())
        return self._sha.hexdigest()
