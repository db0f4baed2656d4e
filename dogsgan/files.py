"""Files, each of which appears under its name only when it is complete, and locks of folders.

A lock is a file that is locked with `flock` (on Windows with `msvcrt.locking`). It ends with its process,
however that ends, so nothing that a killed process leaves blocks the next one. No other module writes files
in another way or asks the system for locks.
"""

import contextlib
import errno
import functools
import hashlib
import inspect
import json
import os
import re
import secrets
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, ParamSpec, TypeVar

from dogsgan.errors import DogsganError, cannot_write, refused_by_system
from dogsgan.progress import say

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None  # type: ignore[assignment]

P = ParamSpec("P")
R = TypeVar("R")

_CUT = "~"  # ends a name that was cut
_LONGEST_NAME_BYTES = 200  # of the 255 that file systems allow; the rest is for the ending
_LEFTOVER = re.compile(r"(\.(.+)\.[0-9a-f]{8})\.(partial|old|lock)", re.DOTALL)
LOCK_FILE = ".dogsgan.lock"
_LOCKED_BYTE = 1 << 30  # beyond the text, because Windows lets nobody read a locked byte
_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)

_guard = threading.RLock()
_alone = False
_held: dict[Path, tuple["FileLock | None", int]] = {}
"""The lock files of folders that this process holds, and how many times."""


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write a file or a folder to; rename it to `target` on success.

    On any exception, a keyboard interrupt included, the partial file or folder is removed and `target` is as
    it was. A folder replaces an existing folder of that name. Where `target` is a symbolic link, what it
    points to is written, and the link stays. What killed processes left half-written beside it is removed.

    Raises:
        DogsganError: the disk is full, the folder cannot be written to, or the file system has another error.
    """
    target = Path(target)
    if "\0" in str(target):
        raise DogsganError(f"cannot write {target}: a path holds no NUL; choose another")
    place, lock = _followed(target), None
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(error, target) from error
    sweep(place.parent)
    partial = place.with_name(f".{_short(place.name)}.{secrets.token_hex(4)}.partial")
    try:
        with contextlib.suppress(NoLocksError):  # it tells other processes that `partial` is being written
            lock = try_lock(partial.with_suffix(".lock"))
        yield partial
        if partial.is_dir():
            _replace_folder(partial, place)
        else:
            with partial.open("r+b") as file:  # Windows flushes no file that is open for reading
                os.fsync(file.fileno())
            partial.replace(place)
    except ConnectionError:  # a closed pipe, a lost server: none of the file system's
        raise
    except OSError as error:
        raise _explained(error, target, place.parent) from error
    finally:
        _remove(partial)
        if lock is not None:
            lock.release()


def sweep(folder: Path) -> None:
    """Remove what killed processes left half-written in a folder; what is being written stays.

    A folder that was to be replaced comes back if the kill left nothing in its place.
    """
    with contextlib.suppress(OSError):
        stems = {match[1]: match[2] for path in folder.iterdir() if (match := _LEFTOVER.fullmatch(path.name))}
        for stem, name in stems.items():
            with contextlib.suppress(OSError):
                _sweep_one(folder / stem, folder / name)


def _sweep_one(stem: Path, target: Path) -> None:
    partial, old, mark = (stem.with_name(f"{stem.name}.{end}") for end in ("partial", "old", "lock"))
    lock = try_lock(mark)
    if lock is None:  # somebody writes it now
        return
    try:
        if old.exists() and not target.exists():
            if target.name.endswith(_CUT):
                return  # its whole name is not known
            old.rename(target)
        _remove(old)
        _remove(partial)
    finally:
        lock.release()


def _followed(target: Path) -> Path:
    """Return what a symbolic link points to in the end, there or not; any other path as it is."""
    is_named = target.name not in ("", "..")  # `.` and `..` are known by the folder's own name
    place = target if is_named and not target.is_symlink() else Path(os.path.realpath(target))
    if not place.name:
        raise DogsganError(f"cannot write {target}: name a file or a folder in it")
    if place.is_symlink():
        raise DogsganError(f"cannot write {target}: its symbolic links go in a circle; remove them")
    if target.exists() and not (target.is_file() or target.is_dir()):  # root could replace it
        raise DogsganError(f"cannot write {target}: it is a device or a pipe; name a file")
    return place


def _short(name: str) -> str:
    """Return a file's name, cut where it would leave no room for an ending."""
    encoded = os.fsencode(name)
    if len(encoded) <= _LONGEST_NAME_BYTES:
        return name
    return encoded[:_LONGEST_NAME_BYTES].decode(errors="ignore") + _CUT


def _replace_folder(partial: Path, target: Path) -> None:
    if not target.is_dir():
        partial.rename(target)
        return
    old = partial.with_suffix(".old")
    target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        old.rename(target)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _explained(error: OSError, target: Path, folder: Path) -> DogsganError:
    """Return the line for an error while `target`, which lies in `folder`, is written."""
    name = error.filename
    inside = not isinstance(name, str) or Path(name) == folder or folder in Path(name).parents
    # What is read meanwhile may fail, too.
    return cannot_write(error, target) if inside else DogsganError(refused_by_system(error))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8 in one step; what is not Unicode, as in some names, as `\\udcff`."""
    write_bytes(path, content.encode(errors="backslashreplace"))


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in one step. NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DogsganError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise DogsganError(f"no such file: {path}") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, endless digits
        raise DogsganError(
            f"{path} is not a readable JSON file ({error}): restore it or remove it"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's contents in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_unusable(target: Path) -> None:
    """Refuse early what `atomic_path` could not write: below a file, a device, links in a circle.

    Raises:
        DogsganError: the path cannot be written.
    """
    try:
        parent = next(path for path in _followed(target).absolute().parents if path.exists())
    except OSError as error:  # a name that is too long, no permission
        raise cannot_write(error, target) from error
    if not parent.is_dir():
        raise cannot_write(NotADirectoryError(errno.ENOTDIR, "not a folder"), target)


def is_occupied(path: Path) -> bool:
    """Return whether something other than an empty folder is at `path`.

    Raises:
        DogsganError: that cannot be told.
    """
    try:
        return path.exists() and (not path.is_dir() or any(path.iterdir()))
    except (OSError, ValueError) as error:  # a name that is too long, no permission
        raise DogsganError(f"cannot write {path} ({error}): choose another place for --out") from error


def refuse_overwriting(target: Path, source: Path) -> None:
    """Refuse to write a result over the file that it is to be made from.

    Raises:
        DogsganError: `target` is `source`, under whatever name.
    """
    with contextlib.suppress(OSError, ValueError):  # one of them is not there
        if not Path(target).samefile(source):
            return
        raise DogsganError(f"{source} would be written over by {target}: choose another --out")


def refuse_other_content(target: Path, start: bytes, kind: str) -> None:
    """Refuse to write over a file that begins otherwise than those of its kind do; an empty one will do.

    Raises:
        DogsganError: it is there and of another kind, or `refuse_unusable` refuses it.
    """
    refuse_unusable(target)
    try:
        if not target.is_file():
            return
        with target.open("rb") as file:
            found = file.read(len(start))
    except OSError as error:
        raise cannot_write(error, target) from error
    if found and found != start:
        raise DogsganError(f"{target} is there already and is no {kind}: choose another name, or remove it")


@contextlib.contextmanager
def working_folder(folder: Path, *, beside: bool = False) -> Iterator[None]:
    """Let no other process write to a folder (see `hold`), and remove what killed ones left in it."""
    with hold(folder, beside=beside):
        place = Path(os.path.realpath(folder))
        sweep(place.parent if beside else place)
        yield


def holds(parameter: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator: a function works in the `working_folder` given to it as `parameter`, if any."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def holding(*args: P.args, **kwargs: P.kwargs) -> R:
            folder = signature.bind(*args, **kwargs).arguments.get(parameter)
            if folder is None:
                return function(*args, **kwargs)
            with working_folder(Path(folder)):
                return function(*args, **kwargs)

        return holding

    return decorate


class NoLocksError(OSError):
    """The file system or the operating system has no locks."""


class FileLock:
    """A lock file that this process holds; made by `try_lock`."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file

    def sign(self) -> None:
        """Write into the file which process holds it."""
        signature = {"pid": os.getpid(), "host": socket.gethostname()}
        with contextlib.suppress(OSError):  # a full disk: it holds all the same
            self._file.truncate(0)
            self._file.write(json.dumps(signature).encode())
            self._file.flush()

    def release(self) -> None:
        """Remove the file and let go of it."""
        with contextlib.suppress(OSError):  # removed first: once it is let go it may be another process's
            self.path.unlink()
        with contextlib.suppress(OSError):
            self._file.close()
        if msvcrt is not None:  # Windows removes no open file
            with contextlib.suppress(OSError):
                self.path.unlink()


def try_lock(path: Path) -> FileLock | None:
    """Make the file `path` and lock it; return None where somebody else has it locked.

    Raises:
        NoLocksError: there are no locks here.
        OSError: the file cannot be made.
    """
    try:
        while True:
            with contextlib.ExitStack() as closed:
                file = closed.enter_context(path.open("ab+", buffering=0))
                if not _lock(file.fileno()):
                    return None
                with contextlib.suppress(FileNotFoundError):  # its holder removed it before it was locked
                    if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                        closed.pop_all()
                        return FileLock(path, file)
    except NoLocksError:
        with contextlib.suppress(OSError):
            path.unlink()
        raise


def _lock(descriptor: int) -> bool:
    """Lock an open file for this process; return whether that worked."""
    if fcntl is None and msvcrt is None:
        raise NoLocksError("this system has no file locks")
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        else:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise NoLocksError(error.errno, error.strerror) from error
    return True


@contextlib.contextmanager
def hold(folder: Path, *, beside: bool = False) -> Iterator[None]:
    """Let no other process write to a folder, which is made if it is not there.

    This process may hold it more than once. A file system without locks is told of, and the work goes on.
    With `beside` the lock lies beside the folder, which is then not made and may be replaced.

    Raises:
        DogsganError: another process holds the folder, or the lock cannot be written there.
    """
    if "\0" in str(folder):
        raise DogsganError(f"cannot write {folder}: a path holds no NUL; choose another place")
    place = Path(os.path.realpath(folder))
    path = place.with_name(f".{place.name}.lock") if beside else place / LOCK_FILE
    made = _missing(path.parent)
    with _guard:
        lock, times = _held.get(path, (None, 0))
        _held[path] = (lock if times or _alone else _taken(path, folder), times + 1)
    try:
        yield
    finally:
        with _guard:
            lock, times = _held.pop(path)
            if times > 1:
                _held[path] = (lock, times - 1)
            elif lock is not None:
                lock.release()
        for empty in made:  # what was refused leaves no folders
            with contextlib.suppress(OSError):
                empty.rmdir()


def _missing(folder: Path) -> list[Path]:
    """Return those of a folder and its parents that are not there, the innermost first."""
    with contextlib.suppress(OSError):
        return [path for path in (folder, *folder.parents) if not path.exists()]
    return []


def _taken(path: Path, folder: Path) -> FileLock | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = try_lock(path)
    except NoLocksError as error:
        say(
            f"{folder} cannot be locked ({error.strerror or error}): see to it that nothing else writes there"
        )
        return None
    except OSError as error:
        raise cannot_write(error, folder) from error
    if lock is None:
        raise DogsganError(
            f"{folder} is in use by {_holder(path)}: wait until it has ended, or choose another folder"
        )
    lock.sign()
    return lock


def holder_of(folder: Path) -> str:
    """Return which process holds a folder, in words: the same on every machine that shares the folder."""
    return _holder(Path(os.path.realpath(folder)) / LOCK_FILE)


def _holder(path: Path) -> str:
    try:
        signature = json.loads(path.read_bytes())
        return f"process {int(signature['pid'])} on {signature['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def be_alone() -> None:
    """Take no locks of folders in this process: whoever started it sees to it that nothing else writes there.

    A Kaggle kernel's next attempt must not wait for one that was killed and is stuck in a driver.
    """
    global _alone
    _alone = True
