"""The competition's data in every place and form in which Kaggle ever mounted them."""

import shutil
from collections.abc import Callable
from pathlib import Path

from dogsgan.competition import SLUG
from dogsgan.kernel.rehearse import lay_out


def _zipped(folder: Path, *parts: str) -> None:
    """Replace a folder's folders by zips of them."""
    for name in parts:
        shutil.make_archive(str(folder / name), "zip", folder / name)
        shutil.rmtree(folder / name)


def _zips(root: Path) -> None:
    """Lay out all-dogs.zip with all-dogs/, and Annotation.zip with Annotation/."""
    (root / SLUG / "annotation").rename(root / SLUG / "Annotation")
    _zipped(root / SLUG, "all-dogs", "Annotation")


def _one_zip(root: Path) -> None:
    _zipped(root, SLUG)
    (root / SLUG).mkdir()
    (root / f"{SLUG}.zip").rename(root / SLUG / f"{SLUG}.zip")


def _competitions(root: Path) -> None:
    (root / "competitions").mkdir()
    (root / SLUG).rename(root / "competitions" / SLUG)


def _top(root: Path) -> None:
    for path in list((root / SLUG).iterdir()):
        path.rename(root / path.name)
    (root / SLUG).rmdir()


MOUNTS: dict[str, Callable[[Path], None]] = {
    "competition": lambda root: None,
    "competitions": _competitions,
    "top": _top,
    "zip": _one_zip,
    "zips": _zips,
}


def mount(source: Path, root: Path, name: str) -> Path:
    """Lay out dogs with boxes below `root` as the mount of that name has them."""
    lay_out(source, root, mount="competition")
    MOUNTS[name](root)
    return root
