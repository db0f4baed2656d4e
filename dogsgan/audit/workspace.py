"""Where an audit keeps what it has found so far, so that an interrupted one goes on where it was."""

import fcntl
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, write_json

Arrays = dict[str, np.ndarray]


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
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
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
            raise DogsganError(
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

    def _lock(self) -> None:
        """Let nobody else fill the same file while this process lives."""
        self._held = self.path.with_suffix(".lock").open("w")
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DogsganError(f"another audit is writing {self.path}: wait until it is done") from error

    def _reserve(self) -> None:
        """Take the disk's space now: a full disk would kill a process that writes to mapped pages."""
        if not hasattr(os, "posix_fallocate"):  # macOS
            return
        with self.path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, self.path.stat().st_size)

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
