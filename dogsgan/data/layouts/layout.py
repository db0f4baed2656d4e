"""Base of every layout, and its values: the pictures of a source, names in a listing, splits.

A layout finds its files in a listing (`match`), and lists and describes their pictures (`read`). A data set
that is one file, or a folder with a mark of its own, is opened by its path instead (`is_at`, `open`). A split
is part of a path: `mnist@test` is the test split of what is at `mnist`.
"""

import functools
import itertools
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dogsgan.crops import Box
from dogsgan.data.cropset import CropSet
from dogsgan.data.pictures import has_picture_suffix
from dogsgan.data.storage import Storage
from dogsgan.errors import DogsganError

UNREADABLE_ANNOTATION = "annotation cannot be read"


@dataclass(frozen=True)
class SourceImage:
    """A picture of a source. `name` is its path below the folder of pictures, the same in a zip."""

    name: str
    class_name: str | None  # the breed's or class's folder, or the digit; None where classes are not known
    boxes: tuple[Box, ...] = ()  # as annotated, in px of a picture of `annotated_size`
    annotated_size: tuple[int, int] | None = None  # width and height in px; None without annotation
    problem: str | None = None  # why an annotated source has no boxes for this picture
    member: str = ""  # where its bytes are in the source


@dataclass(frozen=True)
class Skipped:
    """Something that was left out: which file, why (one of a few reasons), and more detail where there is."""

    name: str
    reason: str
    detail: str = ""


_SPLIT_FOLDERS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


def stem_and_suffix(name: str) -> tuple[str, str]:
    """Return a file's name without folder and suffix, and its suffix in lower case; dotfiles have none."""
    base = name[name.rfind("/") + 1 :]
    dot = base.rfind(".")
    return (base[:dot], base[dot:].lower()) if dot > 0 else (base, "")


def stem(name: str) -> str:
    """Return a file's name without folder and suffix."""
    return stem_and_suffix(name)[0]


def parent(name: str) -> str:
    """Return the folder that a file is in, with its `/`; empty for the top."""
    return name[: name.rfind("/") + 1]


def folder_name(name: str) -> str:
    """Return the last part of the folder that a file is in; empty for the top."""
    return name[: max(name.rfind("/"), 0)].rpartition("/")[2]


@functools.lru_cache(maxsize=4096)
def plain(folder: str) -> str:
    """Return a folder's name as it is compared: `All_Dogs` is `alldogs`, and `annotations` `annotation`."""
    letters = re.sub(r"[-_ ]", "", folder.lower())
    return "annotation" if letters == "annotations" else letters


def ancestor(name: str, levels: int, wanted: str) -> str | None:
    """Return the folder `levels` above the file, with its `/`, if it is called `wanted`; see `plain`."""
    folder = name.rsplit("/", levels)[0] if name.count("/") >= levels else ""
    return folder + "/" if plain(folder.rsplit("/", 1)[-1]) == wanted else None


def shallowest(names: Iterable[str | None]) -> str | None:
    """Return the name with the fewest folders above it, the first of several; None where there is none."""
    found = {name for name in names if name is not None}
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def common_folder(names: list[str]) -> str:
    """Return the deepest folder that holds every file, with its `/`; empty for the top."""
    ends = (name.split("/")[:-1] for name in (min(names, default=""), max(names, default="")))
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return "".join(f"{part}/" for part, _ in shared)


def split_folders(names: list[str]) -> list[str]:
    """Return the folders under the common one if all are called as splits are: train, val, test, …"""
    root = common_folder(names)
    folders = sorted({name.removeprefix(root).partition("/")[0] for name in names})
    return folders if folders and all(folder.lower() in _SPLIT_FOLDERS for folder in folders) else []


SPLITS = ("train", "valid", "test", "all")


class SplitPath(NamedTuple):
    """Where a data set is, and which of its splits is asked for; None for its own default."""

    path: Path
    split: str | None

    @property
    def container(self) -> str:
        """`zip` or `folder`."""
        return "zip" if self.path.is_file() else "folder"

    def refuse_split(self, what: str) -> None:
        """Raise a DogsganError where a split is asked of `what`, which has none."""
        if self.split is not None:
            raise DogsganError(f"{what} at {self.path} has no splits: leave out @{self.split}")


def parse_split(path: Path) -> SplitPath:
    """Take `@train`, `@valid`, `@test` or `@all` off the end of a path, unless that is a name as it stands.

    Raises:
        DogsganError: what is before the @ exists, and what is after it is no split's name.
    """
    name, at, split = path.name.rpartition("@")
    if not at or not name or _exists(path) or not _exists(path.with_name(name)):
        return SplitPath(path, None)
    if split not in SPLITS:
        raise DogsganError(f"no split {split!r} of {path.with_name(name)}: choose from {', '.join(SPLITS)}")
    return SplitPath(path.with_name(name), split)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a NUL in the path, a name that is too long
        return False


@dataclass(frozen=True, eq=False)
class Listing:
    """The files of a folder or zip."""

    names: list[str]  # sorted
    pictures: list[str]  # those that are pictures, by name or content
    top: str = ""  # the name of the folder or zip itself

    @classmethod
    def of(cls, names: list[str], *, top: str = "", by_content: Collection[str] = ()) -> "Listing":
        """Sort out the pictures; `by_content` are those whose names do not say so."""
        return cls(names, [name for name in names if has_picture_suffix(name) or name in by_content], top)

    def strangers(self, root: str, known: Collection[str]) -> list[str]:
        """Return the files below `root` that are not among the `known` ones."""
        known = set(known)
        return [name for name in self.names if name.startswith(root) and name not in known]


@dataclass(frozen=True)
class Match:
    """The roles of a source's files. The root is a folder's name ending in `/`, or empty for the top."""

    layout: "Layout"
    picture_root: str
    pictures: list[str]  # or the files that hold them
    annotations: list[str] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)  # files of no role inside the picture root
    outside: list[str] = field(default_factory=list)  # pictures that are in no class folder
    lost_boxes: str = ""  # what is missing of a layout with boxes, and what to do
    lost_labels: str = ""  # the same for classes
    remark: str = ""  # what else a person should know

    @property
    def kind(self) -> str:
        """The layout's name."""
        return self.layout.kind

    def image(self, member: str, class_name: str | None = None) -> SourceImage:
        """Return a picture without boxes, named below the picture root."""
        return SourceImage(member.removeprefix(self.picture_root), class_name=class_name, member=member)


@dataclass
class Contents:
    """What was read of a source: its pictures, a line that describes it, and what was left out."""

    images: list[SourceImage]
    description: str
    skipped: list[Skipped] = field(default_factory=list)
    storage: Storage | None = None
    crop_set: CropSet | None = None


class Layout:
    """A way in which data sets lie in folders and zips. Subclasses have no state."""

    kind: str  # its name in prepared sets and JSON
    looked_for: str = ""  # for the message that nothing was found
    class_word: str = "classes"
    licence: str = ""  # of its pictures, for a model card; empty where only who has them knows
    annotated: bool = False  # pictures come with boxes
    bordered: bool = False  # pictures get a border rather than being enlarged a little; see `add_border`
    may_show_dogs: bool = True  # False where nobody would look for dogs unless told to
    has_splits: bool = False  # a path may end in @train, @test, …
    stranger: str = "not a picture by its name"  # why another file is left out

    def is_at(self, path: Path) -> bool:
        """Return whether the one file or marked folder at `path` is of this layout."""
        return False

    def open(self, at: SplitPath) -> Contents:
        """Read what is at a path for which `is_at` is true.

        Raises:
            DogsganError: it is broken, or has no such split.
        """
        raise NotImplementedError

    def match(self, listing: Listing) -> Match | None:
        """Return the roles of the files if a listing has this layout, at any depth below the top."""
        return None

    def read(self, match: Match, storage: Storage, at: SplitPath) -> Contents:
        """List and describe the pictures of a matched source.

        Raises:
            DogsganError: a file that decides about the pictures is broken, or there is no such split.
        """
        raise NotImplementedError
