"""MNIST and its kin: sets of idx files that belong together, their pictures read as if each were a file."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dogsgan.data.layouts.idx import MAX_IDX_BYTES, parse_idx, parse_idx_name, starts_like_idx
from dogsgan.data.layouts.layout import Contents, Layout, Listing, Match
from dogsgan.data.layouts.paths import shallowest
from dogsgan.data.source_image import SourceImage
from dogsgan.data.splits import SplitPath
from dogsgan.data.storage import FolderStorage, Storage
from dogsgan.errors import DogsganError

MAX_SIDE_PX = 1024
MAX_PICTURES = 1_000_000  # EMNIST byclass has 697,932 for training
_MAX_SET_NAME = 64  # as much of it as is part of every picture's name
_SPLIT_WORDS = {"train": ("train",), "test": ("t10k", "test")}  # in the names of the files


@dataclass(frozen=True)
class DigitFiles:
    """One set: the file with its pictures, and the one with its labels where there is one."""

    set_name: str  # train, t10k, emnist-letters-train, …
    images: str
    labels: str | None

    @property
    def transposed(self) -> bool:
        """Whether rows and columns are exchanged in every picture, as in all of EMNIST's own files."""
        return "emnist" in self.images.lower()


@dataclass(frozen=True)
class Digits:
    """One set, read."""

    files: DigitFiles
    pictures: np.ndarray  # N×H×W uint8
    labels: np.ndarray | None  # N uint8

    @property
    def class_names(self) -> list[str | None]:
        """Each picture's class: its label in digits, all equally long, so that they sort as numbers do.

        None throughout where there are no labels.
        """
        if self.labels is None:
            return [None] * len(self.pictures)
        width = len(str(self.labels.max()))
        names = [f"{label:0{width}d}" for label in range(256)]
        return [names[label] for label in self.labels.tolist()]

    def describe(self) -> str:
        """Return a line for people: what there is, and from which file."""
        count, height, width = self.pictures.shape
        classes = "no labels, because their file is not beside it"
        if self.labels is not None:
            classes = f"{len(np.unique(self.labels))} classes, from"
        turned = "; turned upright, because EMNIST stores each transposed" if self.files.transposed else ""
        return f"{count:,} grey pictures of {width}×{height} px, {classes} {self.files.images}{turned}"


class DigitStorage(Storage):
    """A set's pictures as files: `read` gives each as PGM, which costs next to nothing."""

    def __init__(self, digits: Digits) -> None:
        super().__init__()
        self.digits = digits
        count, height, width = digits.pictures.shape
        places = max(5, len(str(count - 1)))  # so that the names sort as the pictures stand
        set_name = digits.files.set_name[-_MAX_SET_NAME:]
        self.names = [f"{set_name}-{index:0{places}d}.pgm" for index in range(count)]
        self._index = {name: index for index, name in enumerate(self.names)}
        self._header = f"P5 {width} {height} 255\n".encode()

    def start(self, name: str, most: int) -> bytes:
        """Return at most so many bytes of a picture."""
        return (self._header + self.digits.pictures[self._index[name]].tobytes())[:most]


class IdxDigits(Layout):
    """Grey pictures in idx files, or one such file."""

    kind = "mnist"
    looked_for = "train-images-idx3-ubyte (MNIST)"
    licence = "as of the digits' source: MNIST is CC BY-SA 3.0, EMNIST is NIST's, in the public domain"
    bordered = True
    may_show_dogs = False
    has_splits = True
    stranger = "not an idx file by its name"

    def is_at(self, path: Path) -> bool:
        """Return whether `path` is one idx file, by its name or by how it begins."""
        try:
            if not path.is_file() or path.suffix.lower() in (".zip", ".tgz", ".tar") or ".tar." in path.name:
                return False
            if parse_idx_name(path.name) is not None:
                return True
            with path.open("rb") as file:
                return starts_like_idx(file.read(4))
        except (OSError, ValueError):  # a NUL in the path, no permission: whoever opens it says so
            return False

    def open(self, at: SplitPath) -> Contents:
        """Read a set by its image file."""
        at.refuse_split("the one idx file")
        return _contents(open_digit_file(at.path))

    def match(self, listing: Listing) -> Match | None:
        """Return the idx files, unless a picture lies higher up than they do."""
        found = {name: said for name in listing.names if (said := parse_idx_name(name)) is not None}
        images = [name for name, said in found.items() if said.content == "images"]
        depth = min((name.count("/") for name in images), default=0)
        if not images or any(name.count("/") < depth for name in listing.pictures):
            return None
        return Match(self, "", images, strangers=listing.strangers("", found))

    def read(self, match: Match, storage: Storage, at: SplitPath) -> Contents:
        """Read the set of the split that is asked for."""
        files = choose_digit_files(storage.names, split=at.split, where=str(at.path))
        return _contents(read_digits(storage, files))


DIGITS = IdxDigits()


def _contents(digits: Digits) -> Contents:
    storage = DigitStorage(digits)
    named = zip(storage.names, digits.class_names, strict=True)
    images = [SourceImage(name, class_name, member=name) for name, class_name in named]
    return Contents(images, f"idx files as MNIST's: {digits.describe()}", storage=storage)


def open_digit_file(path: Path) -> Digits:
    """Read a set by its image file; its labels are the file beside it that is called as its own.

    Raises:
        DogsganError: it holds labels, or cannot be read; see `read_digits`.
    """
    said = parse_idx_name(path.name)
    if said is not None and said.content == "labels":
        raise DogsganError(
            f"{path} holds labels, not pictures: give the file with the images, and leave this beside it"
        )
    labels = said and replace(said, content="labels")
    try:
        files_there = [file.name for file in path.parent.iterdir()]
    except OSError as error:
        raise DogsganError(f"cannot list {path.parent} ({error.strerror}): check its permissions") from error
    beside = [name for name in files_there if labels and parse_idx_name(name) == labels]
    set_name = said.set_name if said is not None else path.name.removesuffix(".gz")
    files = DigitFiles(set_name or "digits", path.name, shallowest(beside))
    storage = FolderStorage(path.parent, names=[path.name, *beside])
    return read_digits(storage, files)


def choose_digit_files(names: Iterable[str], *, split: str | None, where: str) -> DigitFiles:
    """Return the one set of a listing that is meant: that of `split`, by default train or the only one.

    Raises:
        DogsganError: there is no such set, or more than one; `where` is named in the message.
    """
    members: dict[tuple[str, str], dict[str, list[str]]] = {}
    for name in names:
        said = parse_idx_name(name)
        if said is not None:
            here = members.setdefault((said.folder, said.set_name), {"images": [], "labels": []})
            here[said.content].append(name)
    sets = [
        DigitFiles(key[1] or "digits", images, shallowest(files["labels"]))
        for key, files in sorted(members.items())
        if (images := shallowest(files["images"])) is not None
    ]
    chosen = [item for item in sets if _is_split_name(item.set_name, split or "train")]
    _refuse_half_sets(members, chosen, split=split or "train", where=where)
    if not chosen and split is None:
        chosen = sets
    found = ", ".join(item.images for item in sets[:8])
    if not chosen:
        raise DogsganError(f"{where} has no split {split!r} among its idx files: it holds {found}")
    if len(chosen) > 1:
        raise DogsganError(f"{where} holds more than one set of idx files: give one of {found}")
    return chosen[0]


def _refuse_half_sets(
    members: dict[tuple[str, str], dict[str, list[str]]],
    chosen: list[DigitFiles],
    *,
    split: str,
    where: str,
) -> None:
    """Refuse to take a set without its labels, or another split, where just a file is missing."""
    labels = sorted(name for files in members.values() for name in files["labels"])
    if labels and (lonely := next((item for item in chosen if item.labels is None), None)):
        raise DogsganError(
            f"{where} has no labels to {lonely.images} (it holds {labels[0]}): put them beside it, called "
            "as it is, or give the one file to take it without classes"
        )
    half = [
        name for name in labels if (said := parse_idx_name(name)) and _is_split_name(said.set_name, split)
    ]
    if half and not chosen:
        raise DogsganError(f"{where} holds {half[0]} and not its images: put their file beside it")


def _is_split_name(set_name: str, split: str) -> bool:
    return any(word in set_name.lower() for word in _SPLIT_WORDS.get(split, ()))


def read_digits(storage: Storage, files: DigitFiles) -> Digits:
    """Read and check a set.

    Raises:
        DogsganError: a file is unreadable or no such idx file, or pictures and labels differ in number.
    """
    pictures = parse_idx(storage.read(files.images, limit=MAX_IDX_BYTES), files.images, dimensions=3)
    count, height, width = pictures.shape
    if max(height, width) > MAX_SIDE_PX or count > MAX_PICTURES:
        raise DogsganError(
            f"{files.images} holds {count:,} pictures of {width}×{height} px, beyond {MAX_PICTURES:,} "
            f"or {MAX_SIDE_PX} px: replace it"
        )
    if files.transposed:
        pictures = pictures.swapaxes(1, 2)
    if files.labels is None:
        return Digits(files, pictures, None)
    labels = parse_idx(storage.read(files.labels, limit=MAX_IDX_BYTES), files.labels, dimensions=1)
    if len(labels) != count:
        raise DogsganError(
            f"{files.images} holds {count:,} pictures but {files.labels} {len(labels):,} labels: "
            "they are not of one set; download both again"
        )
    return Digits(files, pictures, labels)
