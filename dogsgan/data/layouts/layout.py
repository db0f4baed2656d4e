"""Base of every layout, and the values that it takes and returns.

A layout finds its files in a listing (`match`), and lists and describes their pictures (`read`). A data set
that is one file, or a folder with a mark of its own, is opened by its path instead (`is_at`, `open`).
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from dogsgan.data.cropset import CropSet
from dogsgan.data.pictures import has_picture_suffix
from dogsgan.data.source_image import Skipped, SourceImage
from dogsgan.data.splits import SplitPath
from dogsgan.data.storage import Storage


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
