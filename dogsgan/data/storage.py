"""Files by name, alike for a folder and a zip. A zip is read in place; its names are never paths on disk.

What dogsgan itself wrote is left out, told by name: a run into a folder inside its source is usual, its grids
are pictures but not training data, and a second call must find the same source as the first.
"""

import itertools
import os
import threading
import zipfile
from abc import ABC, abstractmethod
from pathlib import Path

from dogsgan.data.pictures import HEAD_BYTES
from dogsgan.errors import DogsganError

GENERATED_FILE = "dogsgan-generated.json"
"""Marks a folder of generated pictures."""
_STUDIES = ("attention", "augmentation", "recipe")
_WHOLE = (  # a folder that holds the first and any of the second is left out as a whole; a source's top is
    # not, because somebody asked for it, but for the third
    (GENERATED_FILE, (GENERATED_FILE,), ()),
    ("set.json", ("pictures.npy", "labels.npy", "origins.npy"), ()),
    ("recipe.json", ("log.jsonl", "generator.safetensors", "reals.png", "init.png"), ()),  # begun, too
    (
        "settings.json",
        tuple(f"{study}.{suffix}" for study in _STUDIES for suffix in ("json", "csv")),
        (*(f"{study}.png" for study in _STUDIES), "samples/"),
    ),
)
_GRIDS = ("samples.png", "best.png", "worst.png")
_RUN_OUTPUT = (
    *(*_GRIDS, "images.zip", "labels.csv", "report.json", "generate.json"),
    *("drawn-dogs.zip", "drawn-digits/", "run/", "crops/"),
)
_AUDIT = ("audit.json", "neighbours.csv", "report.html", "flagged.png")
_SHOWN = ("breeds.png", "truncation.png", "interpolation.gif", "nearest.png")
_CLASSES = ("per-class.csv", "per-class.json", "per-class.png")
_BESIDE = (  # where all of the first stand in a folder, the others there are left out
    (("run/recipe.json",), _RUN_OUTPUT),
    (("generate.json",), _RUN_OUTPUT),
    (("kernel.log",), (*_GRIDS, "images.zip", "crops.png", "losses.png", "kernel.log")),
    (("audit.json",), _AUDIT),
    (("neighbours.csv",), _AUDIT),
    (("per-class.csv",), _CLASSES),
    (("per-class.json",), _CLASSES),
    (("truncation.png", "interpolation.gif"), _SHOWN),
    (("breeds.png", "interpolation.gif"), _SHOWN),
)
_MARKS = tuple(mark for mark, *_ in _WHOLE) + tuple(mark for marks, _ in _BESIDE for mark in marks)


def own_files(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the sorted names without those that dogsgan wrote, and what was left out: folders/ and files."""
    known = set(names)
    marked = [name for name in names if name.endswith(_MARKS)]
    if not marked:
        return names, []
    folders = {
        name.removesuffix(mark)
        for name in marked
        for mark in _MARKS
        if name == mark or name.endswith("/" + mark)
    }
    own: set[str] = set()
    for folder in folders:
        for first, others, written in _WHOLE:
            if folder + first in known and any(folder + other in known for other in others):
                own |= {folder} if folder else set(written)
        for marks, written in _BESIDE:
            if all(folder + mark in known for mark in marks):
                own |= {folder + name for name in written}
    kept, found = [], set()
    for name in names:
        at = next((place for place in _places(name) if place in own), None)
        if at is None:
            kept.append(name)
        else:
            found.add(at)
    return kept, sorted(found)


def _places(name: str) -> list[str]:
    """Return the folders a file is in, from the top down, each with its `/`, and the file."""
    parts = name.split("/")
    return [*(f"{folder}/" for folder in itertools.accumulate(parts[:-1], "{}/{}".format)), name]


MAX_FILES = 5_000_000
# Folders and files, in lower case, that macOS, Windows, file systems, NAS and programs leave beside others.
_LEFT_BESIDE = frozenset(
    (
        *("__macosx", "network trash folder", "temporary items", "icon\r", "desktop db", "desktop df"),
        *("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "$recycle.bin", "recycler"),
        *("system volume information", "found.000", "lost+found", "lost.dir"),
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "@sharebin", "#recycle", "#snapshot"),
        *("~snapshot", "__pycache__", "_gsdata_"),
    )
)
_LEFT_BESIDE_ENDS = ("@synoeastream", "@synoresource")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks others without any limit


class Storage(ABC):
    """Where a source's files are: a listing, and reading one. Threads may read at once."""

    names: list[str]
    """Every file's name with `/` between folders, sorted, without `own` and what systems leave beside."""
    own: list[str]
    """Folders and files that were left out because dogsgan wrote them."""
    problems: list[tuple[str, str]]
    """(name, reason) of the files that will not be read."""

    def __init__(self) -> None:
        self.names, self.own, self.problems = [], [], []

    @abstractmethod
    def start(self, name: str, most: int) -> bytes:
        """Return at most so many bytes of a file; a DogsganError names one that is unreadable."""

    def head(self, name: str) -> bytes:
        """Return a file's first bytes, none where it is unreadable."""
        try:
            return self.start(name, HEAD_BYTES)
        except DogsganError:
            return b""

    def read(self, name: str, *, limit: int) -> bytes:
        """Return a file's bytes; a DogsganError names one that is unreadable or larger than `limit` bytes."""
        content = self.start(name, limit + 1)
        if len(content) > limit:
            raise _too_large(name)
        return content


def open_storage(path: Path) -> Storage:
    """Open a folder or a zip file.

    Raises:
        DogsganError: there is nothing at `path`, or it is neither.
    """
    try:
        if path.is_dir():
            return FolderStorage(path)
        if path.is_file():
            return ZipStorage(path)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise DogsganError(f"cannot read {path} ({error}): check the path and its permissions") from error
    raise DogsganError(f"no such file or folder: {path}; give a folder or zip of pictures")


class FolderStorage(Storage):
    """The files of a folder and of the folders in it; symbolic links are followed, loops are not.

    With `names` only those files, and the folder is not looked through.
    """

    def __init__(self, root: Path, *, names: list[str] | None = None) -> None:
        super().__init__()
        self.root = root
        self._on_disk: dict[str, str] = {}  # where a name is another than here
        self.names = sorted(names or [])
        if names is None:
            self.names, self.own = own_files(sorted(self._with_slashes(self._walk())))

    def _with_slashes(self, found: list[str]) -> set[str]:
        """Read `all-dogs\\1.jpg`, as some programs unpack a zip from Windows, as a file in a folder."""
        if os.sep == "\\" or not any("\\" in name for name in found):
            return set(found)
        names = {name for name in found if "\\" not in name}
        for name in set(found) - names:
            mended = with_slashes(name)
            if mended in names:
                self.problems.append((mended, "same name twice in the folder"))
            elif not is_left_beside(mended):
                names.add(mended)
                self._on_disk[mended] = name
        return names

    def _path(self, name: str) -> Path:
        return self.root / self._on_disk.get(name, name)

    def _walk(self) -> list[str]:
        names: list[str] = []
        visited: set[tuple[int, int]] = set()
        for folder, subfolders, files in os.walk(self.root, followlinks=True, onerror=self._note_unreadable):
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in visited:
                subfolders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            subfolders[:] = sorted(name for name in subfolders if not is_left_beside(name))
            prefix = Path(folder).relative_to(self.root).as_posix()
            start = "" if prefix == "." else prefix + "/"
            names.extend(start + name for name in files if not is_left_beside(name))
            if len(names) > MAX_FILES:
                raise DogsganError(
                    f"{self.root} holds more than {MAX_FILES} files: give the folder with the pictures"
                )
        return names

    def _note_unreadable(self, error: OSError) -> None:
        if error.filename == str(self.root):
            raise error
        self.problems.append((str(error.filename), "folder cannot be read"))

    def start(self, name: str, most: int) -> bytes:
        """Return at most so many bytes of a file."""
        path = self._path(name)
        try:
            if not path.is_file():  # a pipe would block
                raise DogsganError(f"{path} is gone or no regular file: restore or remove it")
            with path.open("rb") as file:  # Python sets aside all the bytes that it is asked for
                return file.read(most if os.fstat(file.fileno()).st_size > most else -1)
        except OSError as error:
            raise DogsganError(f"cannot read {path} ({error.strerror}): check the file") from error


class ZipStorage(Storage):
    """The entries of a zip file. Threads share one handle and take turns at it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        try:
            self._zip = zipfile.ZipFile(self.path)
        except Exception as error:  # archives of hostile content raise anything
            raise DogsganError(
                f"{self.path} is no readable zip ({error}): download it again, or give a folder of pictures"
            ) from error
        self._lock = threading.Lock()
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            name = with_slashes(entry.filename)
            if name.endswith("/") or is_left_beside(name):  # `is_dir` falls over an empty name
                continue
            if name in self._entries:
                self.problems.append((name, "same name twice in the zip"))
            elif entry.flag_bits & 0x1:
                self.problems.append((name, "encrypted in the zip"))
            elif entry.compress_type not in _METHODS:
                self.problems.append((name, "neither stored nor deflated in the zip"))
            else:
                self._entries[name] = entry
        self.names, self.own = own_files(sorted(self._entries))

    def start(self, name: str, most: int) -> bytes:
        """Return at most so many bytes of an entry."""
        entry = self._entries.get(name)
        if entry is None:
            raise DogsganError(f"{name} is no longer in {self.path}: leave the zip alone while it is read")
        try:
            with self._lock, self._zip.open(entry) as file:
                return file.read(most)  # the size in the header may lie
        except Exception as error:  # archives of hostile content raise anything
            raise DogsganError(
                f"cannot read {name} in {self.path} ({error}): download the zip again"
            ) from error

    def read(self, name: str, *, limit: int) -> bytes:
        """Return an entry's bytes; one that says itself that it is too large is not unpacked."""
        entry = self._entries.get(name)
        if entry is not None and entry.file_size > limit:
            raise _too_large(name)
        return super().read(name, limit=limit)


def with_slashes(name: str) -> str:
    """Return a name as the zip format and every system but Windows have it; some of its programs do not."""
    return name.replace("\\", "/")


def is_left_beside(name: str) -> bool:
    """Return whether a file, or a folder it is in, is nobody's content: dotfiles and what systems leave."""
    return any(
        (part.startswith(".") and part not in ("..", "."))
        or part.lower() in _LEFT_BESIDE
        or part.lower().endswith(_LEFT_BESIDE_ENDS)
        for part in name.split("/")
    )


def _too_large(name: str) -> DogsganError:
    return DogsganError(f"{name} is larger than any genuine file of its kind: replace or remove it")
