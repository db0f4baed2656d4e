"""Files by name, alike for a folder and a zip. A zip is read in place; its names are never paths on disk."""

import os
import threading
import zipfile
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from dogsgan.data.cropset import is_crop_set
from dogsgan.errors import DogsganError

MAX_FILES = 5_000_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # zipfile unpacks others without any limit


class Storage(Protocol):
    """Where a source's files are: a listing, and reading one. Threads may read at once."""

    @property
    def names(self) -> list[str]:
        """Every file's name with `/` between folders, sorted; hidden files are not among them."""

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(name, reason) of the files that will not be read."""

    def read(self, name: str, *, limit: int) -> bytes:
        """Return a file's bytes; a DogsganError names one that is unreadable or larger than `limit` bytes."""


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


class FolderStorage:
    """The files of a folder and of the folders in it; symbolic links are followed, loops are not.

    With `names` only those files, and the folder is not looked through.
    """

    def __init__(self, root: Path, *, names: list[str] | None = None) -> None:
        self.root = root
        self.problems: list[tuple[str, str]] = []
        self.names = sorted(self._walk() if names is None else names)

    def _walk(self) -> list[str]:
        names: list[str] = []
        visited: set[tuple[int, int]] = set()
        for folder, subfolders, files in os.walk(self.root, followlinks=True, onerror=self._note_unreadable):
            status = Path(folder).stat()
            if (status.st_dev, status.st_ino) in visited:
                subfolders.clear()
                continue
            visited.add((status.st_dev, status.st_ino))
            if folder != str(self.root) and is_crop_set(Path(folder)):  # its contact sheet is no picture
                subfolders.clear()
                continue
            subfolders[:] = sorted(name for name in subfolders if not is_hidden(name))
            prefix = Path(folder).relative_to(self.root).as_posix()
            start = "" if prefix == "." else prefix + "/"
            names.extend(start + name for name in files if not is_hidden(name))
            if len(names) > MAX_FILES:
                raise DogsganError(
                    f"{self.root} holds more than {MAX_FILES} files: give the folder with the pictures"
                )
        return names

    def _note_unreadable(self, error: OSError) -> None:
        if error.filename == str(self.root):
            raise error
        self.problems.append((str(error.filename), "folder cannot be read"))

    def read(self, name: str, *, limit: int) -> bytes:
        try:
            if not (self.root / name).is_file():  # a pipe would block
                raise DogsganError(f"{self.root / name} is gone or no regular file: restore or remove it")
            with (self.root / name).open("rb") as file:
                content = file.read(limit + 1)
        except OSError as error:
            raise DogsganError(
                f"cannot read {self.root / name} ({error.strerror}): check the file"
            ) from error
        return _within(content, name, limit)


@dataclass
class ZipStorage:
    """The entries of a zip file. Threads share one handle and take turns at it."""

    path: Path
    names: list[str] = field(init=False)
    problems: list[tuple[str, str]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        try:
            self._zip = zipfile.ZipFile(self.path)
        except Exception as error:  # archives of hostile content raise anything
            raise DogsganError(
                f"{self.path} is no readable zip ({error}): download it again, or give a folder of pictures"
            ) from error
        self._lock = threading.Lock()
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            folder = entry.filename.endswith("/")  # `is_dir` falls over an empty name
            if folder or any(is_hidden(part) for part in PurePosixPath(entry.filename).parts):
                continue
            if entry.filename in self._entries:
                self.problems.append((entry.filename, "same name twice in the zip"))
            elif entry.flag_bits & 0x1:
                self.problems.append((entry.filename, "encrypted in the zip"))
            elif entry.compress_type not in _METHODS:
                self.problems.append((entry.filename, "neither stored nor deflated in the zip"))
            else:
                self._entries[entry.filename] = entry
        self.names = sorted(self._entries)

    def read(self, name: str, *, limit: int) -> bytes:
        entry = self._entries.get(name)
        if entry is None:
            raise DogsganError(f"{name} is no longer in {self.path}: leave the zip alone while it is read")
        if entry.file_size > limit:
            raise _too_large(name)
        try:
            with self._lock, self._zip.open(entry) as file:
                content = file.read(limit + 1)  # the size in the header may lie
        except Exception as error:  # archives of hostile content raise anything
            raise DogsganError(
                f"cannot read {name} in {self.path} ({error}): download the zip again"
            ) from error
        return _within(content, name, limit)


def is_hidden(name: str) -> bool:
    """Return whether a file or folder is nobody's content: dotfiles and what desktops leave behind."""
    return (name.startswith(".") and name not in ("..", ".")) or name in (
        "__MACOSX",
        "Thumbs.db",
        "desktop.ini",
    )


def _within(content: bytes, name: str, limit: int) -> bytes:
    if len(content) > limit:
        raise _too_large(name)
    return content


def _too_large(name: str) -> DogsganError:
    return DogsganError(f"{name} is larger than any genuine file of its kind: replace or remove it")
