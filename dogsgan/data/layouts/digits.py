"""MNIST and its kin: sets of idx files that belong together, their pictures read as if each were a file.

An idx file is two zero bytes, a type (8 is uint8), the number of dimensions, each dimension as a big-endian
uint32, then the values; often gzipped. Its content is untrusted.
Source: the description on MNIST's own page, yann.lecun.com/exdb/mnist.
"""

import gzip
import io
import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from dogsgan.data.layouts.layout import Contents, Layout, Listing, Match, SourceImage, SplitPath, shallowest
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


MAX_IDX_BYTES = 2**30  # the largest of MNIST's kin, EMNIST byclass, unpacks to 547 MB
_TYPE_UINT8 = 8
_GZIP = b"\x1f\x8b"
_NAME = re.compile(r"(?P<set>.*?)-?(?P<content>images|labels)[-.]idx[0-9]-ubyte(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class IdxName:
    """What the path of an idx file says: `train-images-idx3-ubyte.gz` holds the images of the set train."""

    folder: str
    set_name: str
    content: str  # images or labels


def parse_idx_name(member: str) -> IdxName | None:
    """Return what a path with `/` says, or None where its name is not as MNIST's files are called.

    A file in a folder of its own name (so one of Kaggle's copies has them) counts as beside that folder.
    """
    if "-ubyte" not in member.lower():  # almost every file of almost every source
        return None
    path = PurePosixPath(member)
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    folder = path.parent.parent if path.parent.name == path.name else path.parent
    return IdxName(str(folder), match["set"], match["content"].lower())


def starts_like_idx(head: bytes) -> bool:
    """Return whether a file that begins so is an idx file of bytes, or gzipped as one may be."""
    return head.startswith((_GZIP, bytes((0, 0, _TYPE_UINT8))))


def parse_idx(content: bytes, name: str, *, dimensions: int) -> np.ndarray:
    """Read an idx file, gzipped or not, to a uint8 array of that many dimensions, none of them 0.

    `name` is only used in messages. No more is unpacked than the header announces, and no more than
    `MAX_IDX_BYTES`.

    Raises:
        DogsganError: another magic, type or number of dimensions, or longer or shorter than announced.
    """
    header_bytes = 4 + 4 * dimensions
    with io.BytesIO(content) as packed:
        file = gzip.GzipFile(fileobj=packed) if content.startswith(_GZIP) else packed
        shape = _shape(_read(file, header_bytes, name), name, dimensions)
        announced = math.prod(shape)
        if not 0 < announced <= MAX_IDX_BYTES:
            raise DogsganError(
                f"{name} announces {' × '.join(map(str, shape))} values: no genuine idx file does; replace it"
            )
        values = _read(file, announced, name)
        more = _read(file, 1, name)  # and with it gzip's own checksum
    if len(values) < announced or more:
        found = f"only {len(values):,}" if not more else "more than that"
        raise DogsganError(
            f"{name} announces {' × '.join(map(str, shape))} values and holds {found}: download it again"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _shape(header: bytes, name: str, dimensions: int) -> tuple[int, ...]:
    if len(header) < 4 or header[:2] != b"\0\0":
        raise DogsganError(
            f"{name} is no idx file (it begins with {header[:4].hex(' ') or 'nothing'}): download it again"
        )
    if header[2] != _TYPE_UINT8:
        raise DogsganError(
            f"{name} holds values of type {header[2]:#04x}, not bytes (0x08): convert it, or give pictures"
        )
    if header[3] != dimensions:
        kinds = {1: "labels", 3: "grey pictures"}
        raise DogsganError(
            f"{name} has {header[3]} dimension(s), and {kinds[dimensions]} have {dimensions}: "
            f"it holds {kinds.get(header[3], 'something else')}; put the right file in its place"
        )
    if len(header) < 4 + 4 * dimensions:
        raise DogsganError(f"{name} ends within its header: download it again")
    return struct.unpack(f">{dimensions}I", header[4:])


def _read(file: gzip.GzipFile | io.BytesIO, count: int, name: str) -> bytes:
    try:
        return file.read(count)
    except Exception as error:  # gzip of hostile content raises anything
        raise DogsganError(f"{name} cannot be unpacked ({error}): download it again") from error
