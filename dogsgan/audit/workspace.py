"""Where an audit keeps what it has found so far, so that an interrupted one goes on where it was."""

import errno
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dogsgan.errors import CannotWriteError, DogsganError
from dogsgan.files import atomic_path, read_json, write_json
from dogsgan.locks import FileLock, NoLocksError, try_lock
from dogsgan.progress import say

Arrays = dict[str, np.ndarray]
_RESERVED_AT_ONCE = 1 << 20  # bytes


class Workspace:
    """A folder of finished stages, each a file of arrays."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def stage(self, name: str, make: Callable[[], Arrays]) -> Arrays:
        """Return a stage's arrays: those that are kept, else those that `make` returns, which are kept."""
        path = self.folder / f"{name}.npz"
        try:
            with np.load(path) as kept:
                return dict(kept)
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile):
            pass  # not there yet, or damaged: it is made anew
        arrays = make()
        try:
            with atomic_path(path) as partial, partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except DogsganError as error:  # it only saves time after an interruption
            say(f"what is found so far is not kept: {error}")
        return arrays

    def growing(self, name: str, *, rows: int, shape: tuple[int, ...], dtype: str) -> "GrowingArray":
        """Return an array of this place that grows."""
        return GrowingArray(self.folder / f"{name}.npy", rows=rows, shape=shape, dtype=dtype)


class GrowingArray:
    """Rows of one shape and type in a `.npy` file that is filled from the front, too long to make in one go.

    How many rows are safe on disk is in a file beside it: a killed process loses what came after the last
    `keep`, and nothing else.
    """

    def __init__(self, path: Path, *, rows: int, shape: tuple[int, ...], dtype: str) -> None:
        self.path = Path(path)
        self._note = self.path.with_suffix(".json")
        self._held: FileLock | None = None
        self.rows = rows
        self.done = self._rows_on_disk((rows, *shape), dtype)
        if self.complete:
            self.array: np.ndarray = np.load(self.path, mmap_mode="r")
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
            self.done = self._rows_on_disk((rows, *shape), dtype)
            self.array = np.lib.format.open_memmap(
                self.path, mode="r+" if self.done else "w+", dtype=np.dtype(dtype), shape=(rows, *shape)
            )
            self._reserve()
        except OSError as error:
            raise CannotWriteError(
                f"cannot write {self.path} ({error.strerror or error}): free space, or choose another place"
            ) from error

    @property
    def complete(self) -> bool:
        """Whether every row is there."""
        return self.done == self.rows

    def append(self, rows: np.ndarray) -> None:
        """Add rows after those that are done; they are safe after the next `keep`."""
        self.array[self.done : self.done + len(rows)] = rows
        self.done += len(rows)

    def keep(self) -> None:
        """Have everything appended so far survive a kill."""
        self.array.flush()  # type: ignore[attr-defined]
        write_json(self._note, {"done": self.done, "rows": self.rows})
        if self.complete and self._held is not None:
            self._held.release()
            self._held = None

    def _lock(self) -> None:
        """Let nobody else fill the same file while this process lives."""
        try:
            self._held = try_lock(self.path.with_suffix(".lock"))
        except NoLocksError:
            return
        if self._held is None:
            raise CannotWriteError(f"another audit is writing {self.path}: wait until it is done")

    def _reserve(self) -> None:
        """Take the disk's space now: a full disk would kill a process that writes to mapped pages."""
        with self.path.open("r+b") as file:
            size = self.path.stat().st_size
            if hasattr(os, "posix_fallocate"):
                try:
                    os.posix_fallocate(file.fileno(), 0, size)
                    return
                except OSError as error:
                    if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                        raise
            # macOS, Windows, some file systems: by writing what follows the rows that are done.
            row_bytes = self.array[:1].nbytes
            start = size - (self.rows - self.done) * row_bytes
            file.seek(start)
            for _ in blocks(size - start, _RESERVED_AT_ONCE):
                file.write(bytes(min(_RESERVED_AT_ONCE, size - file.tell())))

    def _rows_on_disk(self, shape: tuple[int, ...], dtype: str) -> int:
        try:
            note = read_json(self._note)
            header = np.load(self.path, mmap_mode="r")
            if header.shape == shape and header.dtype == np.dtype(dtype) and note["rows"] == shape[0]:
                return min(int(note["done"]), shape[0])
        except (DogsganError, OSError, ValueError, KeyError, TypeError):
            pass  # nothing there, or nothing to go on with
        return 0


def blocks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `range(count)` in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))
