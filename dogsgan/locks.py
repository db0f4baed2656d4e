"""Locks of the operating system: one process at a time writes to a folder.

A lock is a file that is locked with `flock` (on Windows with `msvcrt.locking`). It ends with its process,
however that ends, so nothing that a killed process leaves blocks the next one. No other module asks the
system for locks.
"""

import contextlib
import errno
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from dogsgan.errors import DogsganError, cannot_write
from dogsgan.progress import say

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:  # everywhere else
    msvcrt = None  # type: ignore[assignment]

LOCK_FILE = ".dogsgan.lock"
_LOCKED_BYTE = 1 << 30  # beyond the text, because Windows lets nobody read a locked byte
_BUSY = (errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)

_guard = threading.RLock()
_alone = False
_held: dict[Path, tuple["FileLock | None", int]] = {}
"""The lock files of folders that this process holds, and how many times."""


def be_alone() -> None:
    """Take no locks of folders in this process: whoever started it sees to it that nothing else writes there.

    A Kaggle kernel's next attempt must not wait for one that was killed and is stuck in a driver.
    """
    global _alone
    _alone = True


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
    while True:
        file = path.open("ab+", buffering=0)
        try:
            if not _lock(file.fileno()):
                file.close()
                return None
            if _is_at(path, file):
                return FileLock(path, file)
            file.close()  # its holder removed it between the opening and the locking
        except NoLocksError:
            file.close()
            with contextlib.suppress(OSError):
                path.unlink()
            raise
        except BaseException:
            file.close()
            raise


def _lock(descriptor: int) -> bool:
    """Lock an open file for this process; return whether that worked."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        elif msvcrt is not None:
            os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            raise NoLocksError("this system has no file locks")
    except NoLocksError:
        raise
    except OSError as error:
        if error.errno in _BUSY:
            return False
        raise NoLocksError(error.errno, error.strerror) from error
    return True


def _is_at(path: Path, file: BinaryIO | object) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))  # type: ignore[union-attr]
    except FileNotFoundError:
        return False


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


def _holder(path: Path) -> str:
    try:
        signature = json.loads(path.read_bytes())
        return f"process {int(signature['pid'])} on {signature['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
