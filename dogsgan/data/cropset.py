"""The prepared set: square uint8 crops with labels, memory-mapped, in a folder that is complete or not there.

A set's folder holds `pictures.npy` (N×H×W×3), `labels.npy`, `origins.npy` and `set.json`; `prepare` adds
`skipped.json` and `contact-sheet.png`. Training, scoring and the audit read pictures from here.
"""

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from dogsgan.crops import Box, Rectangle
from dogsgan.data.class_names import distinct
from dogsgan.data.pictures import in_colour
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, is_occupied, read_json, write_json

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
