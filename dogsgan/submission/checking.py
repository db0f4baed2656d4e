"""Check of an images.zip: whether the competition would take it, and all that is wrong with it.

The competition's scorer takes one zip of exactly 10,000 PNGs, 64×64, RGB with 8 bits, under any names, and
refuses anything else. It does take pictures that repeat another or show one colour only; they tell of a
collapsed generator, so they are problems here too. `Problem.refused` tells the two kinds apart;
`CheckReport.ok` means that there is no problem of either. A run of another size, or in grey, is held to
the same rules with its own size and kind of pixels.
"""

import hashlib
import zipfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dogsgan.competition import CHANNELS, COUNT, SIZE_PX
from dogsgan.data.pictures import has_picture_suffix
from dogsgan.data.sources import MAX_NAME_LENGTH
from dogsgan.data.storage import is_left_beside
from dogsgan.errors import DogsganError, printable
from dogsgan.progress import progress_bar
from dogsgan.submission.archive import (
    Archive,
    DamagedZip,
    MiB,
    TooLarge,
    is_encrypted,
    is_link,
    is_patch,
    is_unsafe_name,
)
from dogsgan.submission.png import DamagedPng, Png, parse_png, picture_format

EXAMINED = 30_000  # entries looked at, or twice the wanted number: more would only take longer
READABLE_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
COMPETITION = (COUNT, SIZE_PX, CHANNELS)  # count, size in px and channels that the competition takes
MODES = {1: "8-bit grey", 3: "8-bit RGB"}
ACCEPTED_BUT_WRONG = frozenset(("same-bytes", "same-pixels", "one-colour"))
MESSAGES = {  # kind of problem: what it means, and what to do. The order is that of the report
    "not-a-zip": "the file cannot be read as a zip: write it again",
    "bomb": "unpacks to far more than such a picture needs: leave it out",
    "unsafe-name": "the name leads out of the folder it is unpacked to: rename it",
    "encrypted": "needs a password: pack it without",
    "packing": "packed in a way that not every program reads: store or deflate it",
    "damaged-entry": "the zip is damaged here: write it again",
    "folder": "lies in a folder or is one: put every picture at the top of the zip",
    "stray": "is no picture: leave it out",
    "duplicate-name": "the name occurs before, so unpacking keeps one of the two: give each its own",
    "count": "too many or too few pictures: generate as many as are asked for",
    "format": "is a picture but no PNG, whatever its name says: save it as PNG",
    "unreadable": "cannot be read as PNG: write it again",
    "trailing": "more bytes follow the end of the PNG: write it again",
    "size": "wrong size: generate it in the right one",
    "mode": "wrong kind of pixels: save it as RGB with 8 bits; --grey checks a grey set",
    "same-bytes": "is byte for byte an earlier one: train on, or use another seed",
    "same-pixels": "has the same pixels as an earlier one: train on, or use another seed",
    "one-colour": "shows a single colour: train on, or use an earlier checkpoint",
}
GREY_WANTED = "wrong kind of pixels: save it as grey with 8 bits; without --grey a colour set is checked"


@dataclass(frozen=True)
class Problem:
    """One kind of problem: how many entries have it, the first one's name and particulars, and what to do.

    `refused` says whether the competition's scorer (or one for pictures of such a size and kind) would refuse
    the zip for it.
    """

    kind: str
    count: int
    example: str
    message: str
    refused: bool

    def summary(self) -> str:
        """Return one line for people."""
        note = "" if self.refused else " (a scorer would take it)"
        return f"{self.kind} ({self.count}): {self.message}{note}, e.g. {self.example}"


@dataclass(frozen=True)
class CheckReport:
    """What `check_submission` found: `ok` if nothing, the number of pictures, and the problems.

    `size_px` and `channels` are those that were asked for.
    """

    path: Path
    ok: bool
    count: int
    problems: tuple[Problem, ...]
    size_px: int
    channels: int

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "path": str(self.path),
            "ok": self.ok,
            "count": self.count,
            "size_px": self.size_px,
            "channels": self.channels,
            "problems": [asdict(problem) for problem in self.problems],
        }

    def summary(self) -> str:
        """Return one line if all is well, else one line per kind of problem."""
        if self.ok and (self.count, self.size_px, self.channels) == COMPETITION:
            return f"{self.path}: ok, {self.count} pictures that the competition would take"
        if self.ok:
            form = f"{self.size_px}×{self.size_px} px, {MODES[self.channels]}"
            return f"{self.path}: ok, {self.count} pictures as asked for: {form}"
        return "\n".join(f"{self.path}: {problem.summary()}" for problem in self.problems)


def check_submission(
    path: Path, *, count: int = COMPETITION[0], size_px: int = COMPETITION[1], channels: int = COMPETITION[2]
) -> CheckReport:
    """Check that `path` is a zip of `count` PNGs with 8 bits, `size_px`×`size_px`, each different.

    `channels` is 3 for RGB, or 1 for grey. Nothing is written, and unpacking stops at a few times what that
    many pictures (or `EXAMINED`, if that is more) can take: a zip bomb is a problem like any other. Pixels
    are looked at only where the size is right.

    Raises:
        DogsganError: there is no such file, or it may not be read.
    """
    path = Path(path)
    if count < 1 or size_px < 1:
        raise DogsganError(f"cannot check {path} for {count} pictures of {size_px} px: use 1 or more of each")
    if channels not in MODES:
        raise DogsganError(f"cannot check {path} for {channels} channels: use 3 (RGB) or 1 (grey)")
    examination = _Examination(count, size_px, channels)
    picture_bytes = size_px * (3 * size_px + 1)
    most = max(EXAMINED, 2 * count)
    try:
        _require_file(path)
        with Archive(
            path,
            directory_limit=MiB + 256 * most,
            entry_limit=MiB + 8 * picture_bytes,
            total_limit=64 * MiB + 4 * most * picture_bytes,
        ) as archive:
            examination.examine(archive, most=most)
    except DamagedZip as problem:
        examination.add("not-a-zip", path.name, str(problem))
    except TooLarge as problem:
        examination.add("bomb", path.name, str(problem))
    except OSError as error:
        raise DogsganError(
            f"cannot read {path} ({error.strerror}): check the path and its permissions"
        ) from error
    return examination.report(path)


def _require_file(path: Path) -> None:
    if not path.is_file():
        what = "a folder" if path.is_dir() else "not a plain file" if path.exists() else "not there"
        raise DogsganError(f"{path} is {what}: give the path of an images.zip")


class _Examination:
    """Collects the problems of a zip, entry by entry."""

    def __init__(self, count: int, size_px: int, channels: int) -> None:
        self.wanted = count
        self.size_px = size_px
        self.channels = channels
        self.pictures = 0
        self.found: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.names: set[str] = set()
        self.files: dict[bytes, str] = {}  # hash of an entry's bytes -> name of the first that has it
        self.pixels: dict[bytes, str] = {}  # the same for its pixels

    def add(self, kind: str, name: str, detail: str = "") -> None:
        self.found[kind] += 1
        self.examples.setdefault(kind, f"{_printable(name)} ({detail})" if detail else _printable(name))

    def report(self, path: Path) -> CheckReport:
        problems = tuple(self.problem(kind) for kind in MESSAGES if self.found[kind])
        return CheckReport(path, not problems, self.pictures, problems, self.size_px, self.channels)

    def problem(self, kind: str) -> Problem:
        message = GREY_WANTED if kind == "mode" and self.channels == 1 else MESSAGES[kind]
        refused = kind not in ACCEPTED_BUT_WRONG
        return Problem(kind, self.found[kind], self.examples[kind], message, refused)

    def examine(self, archive: Archive, *, most: int) -> None:
        overlapping = archive.overlapping()
        if overlapping:
            self.add("bomb", overlapping.orig_filename, "its bytes are part of another entry too")
        for entry in progress_bar(archive.entries[:most], description="checking"):
            try:
                self.examine_entry(archive, entry)
            except TooLarge as problem:
                self.add("bomb", entry.orig_filename, str(problem))
                if archive.total > archive.total_limit:
                    return
        self.pictures += max(0, len(archive.entries) - most)
        if self.pictures != self.wanted:
            self.add("count", f"{self.pictures} instead of {self.wanted}")
            self.found["count"] = abs(self.pictures - self.wanted)

    def examine_entry(self, archive: Archive, entry: zipfile.ZipInfo) -> None:
        name = entry.orig_filename  # as it stands in the file: `filename` is already mended in part
        if is_unsafe_name(name):
            self.add("unsafe-name", name)
        if name in self.names:
            self.add("duplicate-name", name)
        self.names.add(name)
        if name.endswith("/"):  # `is_dir` falls over a name that is empty or starts with NUL
            self.add("folder", name)
            return
        if "/" in name:
            self.add("folder", name)
        if is_link(entry):
            self.add("stray", name, "a symbolic link")
            return
        contents = self.contents(archive, entry)
        if contents is not None:
            self.examine_contents(name, contents)

    def contents(self, archive: Archive, entry: zipfile.ZipInfo) -> bytes | None:
        """Return an entry's bytes, or None with the reason noted; then it counts as a picture by its name."""
        name = entry.orig_filename
        try:
            if is_encrypted(entry):
                self.add("encrypted", name)
            elif is_patch(entry):
                self.add("packing", name, "a patch of another file")
            elif entry.compress_type not in READABLE_METHODS:
                self.add("packing", name, f"method {entry.compress_type}")
            else:
                return archive.read(entry)
        except DamagedZip as problem:
            self.add("damaged-entry", name, str(problem))
        except TooLarge:
            self.pictures += has_picture_suffix(name)
            raise
        self.pictures += has_picture_suffix(name)
        return None

    def examine_contents(self, name: str, contents: bytes) -> None:
        format_name = picture_format(contents)
        if format_name is None and not has_picture_suffix(name):
            self.add("stray", name)
            return
        if not is_unsafe_name(name) and (is_left_beside(name) or len(name) > MAX_NAME_LENGTH):
            self.add("stray", name, "hidden or endless, such a name is passed over")
            return
        self.pictures += 1
        first = self.files.setdefault(hashlib.sha256(contents).digest(), name)
        repeated = first is not name
        if repeated:
            self.add("same-bytes", name, f"as {_printable(first)}")
        if format_name is None:
            self.add("unreadable", name, "no picture format" if contents else "empty")
        elif format_name != "PNG":
            self.add("format", name, f"{format_name} by content")
        else:
            try:
                self.examine_png(name, parse_png(contents), repeated=repeated)
            except DamagedPng as problem:
                self.add("unreadable", name, str(problem))

    def examine_png(self, name: str, png: Png, *, repeated: bool) -> None:
        if png.trailing:
            self.add("trailing", name, f"{png.trailing:,} bytes")
        if png.mode != MODES[self.channels]:
            self.add("mode", name, png.mode)
        if (png.width, png.height) != (self.size_px, self.size_px):
            self.add("size", name, f"{png.width}×{png.height} instead of {self.size_px}×{self.size_px}")
            return  # its pixels stay packed: they may be a bomb
        pixels = png.pixels()
        if png.depth == 8 and pixels == pixels[:3] * (self.size_px * self.size_px):
            self.add("one-colour", name)
        first = self.pixels.setdefault(hashlib.sha256(pixels).digest(), name)
        if first is not name and not repeated:
            self.add("same-pixels", name, f"as {_printable(first)}")


def _printable(name: str) -> str:
    """Return a name that fits on a line: control characters escaped, a long one without its middle."""
    shown = printable(name)
    return shown if len(shown) <= 80 else f"{shown[:40]}…{shown[-39:]}"
