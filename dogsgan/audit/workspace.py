"""A folder for what an audit has found so far, so that an interrupted one goes on where it was."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path
from dogsgan.progress import say

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
        try:
            with atomic_path(path) as partial, partial.open("wb") as file:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        except DogsganError as error:  # it only saves time after an interruption
            say(f"what is found so far is not kept: {error}")
        return arrays
