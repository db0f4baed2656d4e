"""Where the training data are on Kaggle: every place the competition's were ever mounted, and archives there.

The first thing that a kernel does. What does not fit is listed, so that a person sees what is attached.
"""

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from dogsgan.config import DataRecipe
from dogsgan.data.layouts import Match, detect_layout
from dogsgan.data.storage import Storage, open_storage
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path

KNOWN = ("generative-dog-images", "competitions/generative-dog-images", "")
"""Folders below the input folder that held the data, in the order in which they are looked at."""
LOOKED_FOR = (
    "looked for all-dogs/ beside annotation/, Images/ beside Annotation/, or zips of them, "
    "in generative-dog-images/, competitions/generative-dog-images/, at the top, and up to 3 folders down"
)
TITLES = {"mnist": "MNIST's idx files", "celeba": "CelebA's img_align_celeba"}
GROUPS = ("competitions", "datasets")
"""Folders of Kaggle's that hold what is attached, and are not data sets themselves."""
DEPTH = 3  # folders below the input folder that are searched
MOST_FOLDERS = 2_000  # looked into, whatever is attached
MOST_LISTED = 30  # attached things named in an error
MAX_ARCHIVE_BYTES = 8 * 1024**3  # of a zip inside a zip; the competition's is 0.8 GB
_PAIRS = (("all-dogs", "annotation"), ("images", "annotation"))
_PIECE = re.compile(r"(all-dogs|images|annotations?)\.zip", re.IGNORECASE)


@dataclass(frozen=True)
class FoundData:
    """A folder or zip that `prepare` takes, and one line that says what it is and where."""

    path: Path
    description: str


def find_data(
    root: Path, scratch: Path, *, with_boxes: bool = True, kind: str | None = None, recipe_name: str = ""
) -> FoundData:
    """Find the competition's files below `root`; zips that have to be joined are joined in `scratch`.

    With `kind` (`mnist` or `celeba`, the data set that a recipe is made for) that comes first: the
    competition's files may lie beside it; other pictures may where `recipe_name` names the kind. With
    `with_boxes` False any folder or zip of pictures will do where there is nothing better.

    Raises:
        DogsganError: nothing fits, or several things do; it names what is attached.
    """
    folders = list(_folders(root))
    found = _of_kind(folders, root, kind, named=kind in recipe_name.lower()) if kind is not None else None
    if found is not None:
        return found
    for folder in folders:
        found = _in_folder(folder, scratch)
        if found is not None:
            return found
    if not with_boxes:
        _refuse_choice(list(_with_pictures(root)))
        for path in [root, *(path for folder in folders for path in _zips(folder))]:
            layout = _layout(path)
            if layout is not None:
                return FoundData(path, f"{len(layout.pictures):,} pictures without boxes in {path}")
    first = f"looked for {TITLES[kind]}; " if kind is not None else ""
    raise DogsganError(
        f"no training data in {root}: {first}{LOOKED_FOR}; attached is {_attached(root)}; add the data to "
        "the kernel (competition_sources or dataset_sources in kernel-metadata.json, or Add input on its "
        "page)"
    )


def data_set_of(data: DataRecipe) -> str | None:
    """Return the kind of source that a recipe's crops are made for; None for the competition's or any."""
    if data.channels == 1 and data.policy == "whole":  # whatever has boxes is not taken whole
        return "mnist"
    return "celeba" if data.policy.startswith("center-") else None


def _of_kind(folders: list[Path], root: Path, kind: str, *, named: bool) -> FoundData | None:
    found: list[Path] = []
    below = [folder for folder in folders if folder != root]
    for folder in [*below, root]:  # the top holds everything that is attached, so it comes last
        for path in [folder, *_zips(folder)]:
            if any(path.is_relative_to(other) or other.is_relative_to(path) for other in found):
                continue  # the same data
            layout = _layout(path)
            if layout is not None and layout.kind == kind:
                found.append(path)
    others = [] if named or not found else list(_with_pictures(root, beside=found[0]))
    _refuse_choice([*found, *(path for path in others if path not in found)])
    return FoundData(found[0], f"{TITLES[kind]} in {found[0]}") if found else None


def _with_pictures(folder: Path, *, beside: Path | None = None, depth: int = DEPTH) -> Iterator[Path]:
    """Yield each attached thing that holds pictures without boxes, the one with `beside` in it left out."""
    for path in [*_subfolders(folder), *_zips(folder)]:
        if path == beside:
            continue
        groups = path.name in GROUPS or folder.name == "datasets"  # datasets/PERSON/NAME
        if path.is_dir() and depth > 1 and (groups or (beside is not None and beside.is_relative_to(path))):
            yield from _with_pictures(path, beside=beside, depth=depth - 1)
        elif (layout := _layout(path)) is not None and not layout.annotations:
            yield path


def _refuse_choice(found: list[Path]) -> None:
    """Refuse to choose between several data sets: hours would go into the wrong one."""
    if len(found) > 1:
        raise DogsganError(
            f"the recipe fits several data sets that are attached ({', '.join(map(str, found[:4]))}): attach "
            "only the one that it is for"
        )


def _folders(root: Path) -> Iterator[Path]:
    """Yield the known places, then every other folder near the top, breadth first."""
    known = [root / name if name else root for name in KNOWN]
    yield from (folder for folder in known if folder.is_dir())
    level, seen = [root], 0
    for _ in range(DEPTH):
        level = [child for folder in level for child in _subfolders(folder)]
        for folder in level:
            seen += 1
            if seen > MOST_FOLDERS:
                return
            if folder not in known:
                yield folder


def _in_folder(folder: Path, scratch: Path) -> FoundData | None:
    names = {child.name.lower() for child in _subfolders(folder)}
    if any(pictures in names and annotations in names for pictures, annotations in _PAIRS):
        found = _annotated(folder)
        if found is not None:
            return found
    for path in _zips(folder):
        if not _PIECE.fullmatch(path.name):
            found = _annotated(path) or _in_pieces(_unpacked_pieces(path, scratch), scratch)
            if found is not None:
                return FoundData(found.path, found.description.replace(str(found.path), str(path)))
    return _in_pieces([path for path in _zips(folder) if _PIECE.fullmatch(path.name)], scratch)


def _annotated(path: Path) -> FoundData | None:
    layout = _layout(path)
    if layout is None or not layout.annotations:
        return None
    counts = f"{len(layout.pictures):,} pictures, {len(layout.annotations):,} annotations"
    return FoundData(path, f"{counts} in {path}")


def _layout(path: Path) -> Match | None:
    try:
        return detect_layout(open_storage(path).names, top=path.name)
    except DogsganError:
        return None


def _unpacked_pieces(path: Path, scratch: Path) -> list[Path]:
    """Copy the zips inside a zip out, under names of our own; none where there are none."""
    copied: list[Path] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename).name
                if _PIECE.fullmatch(name) and entry.file_size <= MAX_ARCHIVE_BYTES:
                    target = scratch / f"piece-{len(copied)}" / name.lower()
                    with (
                        archive.open(entry) as inner,
                        atomic_path(target) as partial,
                        partial.open("wb") as file,
                    ):
                        shutil.copyfileobj(inner, file, 1 << 20)
                    copied.append(target)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError):
        return []
    return copied


def _in_pieces(pieces: list[Path], scratch: Path) -> FoundData | None:
    """Join a zip of pictures and one of annotations into one stored zip in the competition's layout."""
    by_kind = {path.stem.lower().rstrip("s"): path for path in pieces}
    annotations = by_kind.get("annotation")
    pictures = by_kind.get("all-dog") or by_kind.get("image")
    if annotations is None or pictures is None:
        return None
    target = scratch / "joined.zip"
    with atomic_path(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as joined:
        pictures_inside = _layout(pictures)
        storage = open_storage(pictures)
        for name in pictures_inside.pictures if pictures_inside else []:
            _copy(storage, name, joined, f"all-dogs/all-dogs/{PurePosixPath(name).name}")
        storage = open_storage(annotations)
        for name in storage.names:
            breed, stem = PurePosixPath(name).parts[-2:] if "/" in name else ("", name)
            _copy(storage, name, joined, f"annotation/Annotation/{breed}/{stem}")
    found = _annotated(target)
    return found and FoundData(target, f"{found.description}, joined from {pictures} and {annotations}")


def _copy(storage: Storage, name: str, joined: zipfile.ZipFile, new_name: str) -> None:
    joined.writestr(zipfile.ZipInfo(new_name), storage.read(name, limit=1 << 26))


def _subfolders(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            found = [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return sorted(path for path in found if not path.name.startswith("."))


def _zips(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(e.path) for e in entries if e.name.lower().endswith(".zip") and e.is_file())
    except OSError:
        return []


def _attached(root: Path) -> str:
    """List what is mounted, two folders deep."""
    if not root.is_dir():
        return f"nothing ({root} does not exist)"
    names: list[str] = []
    for top in sorted(root.iterdir()):
        inside = sorted(top.iterdir()) if top.is_dir() else []
        names.append(top.name + ("/" if top.is_dir() else ""))
        names.extend(f"{top.name}/{path.name}{'/' if path.is_dir() else ''}" for path in inside[:5])
        if len(inside) > 5:
            names.append(f"{top.name}/… ({len(inside) - 5} more)")
    if not names:
        return "nothing"
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more
