"""A split of a data set as part of its path: `mnist@test` is the test split of what is at `mnist`."""

from pathlib import Path
from typing import NamedTuple

from dogsgan.errors import DogsganError

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
