"""The training data on Kaggle: every place where the competition's were ever mounted, and archives there."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dogsgan.config import DataRecipe, Recipe
from dogsgan.data.layouts import CELEBA, DIGITS, Layout, Match, detect_layout
from dogsgan.data.storage import open_storage
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path
from dogsgan.training.run_folder import RECIPE_FILE, newest_checkpoint, read_recipe

LOG_FILE = "kernel.log"  # of a kernel's output
KNOWN = ("generative-dog-images", "competitions/generative-dog-images", "")
"""Folders below the input folder that held the data, in the order in which they are looked at."""
LOOKED_FOR = (
    "looked for all-dogs/ beside annotation/, Images/ beside Annotation/, or zips of them, "
    "in generative-dog-images/, competitions/generative-dog-images/, at the top, and up to 3 folders down"
)
GROUPS = ("competitions", "datasets")  # folders of data sets
DEPTH = 3  # folders below the input folder that are searched
MOST_FOLDERS = 2_000  # looked into, whatever is attached
MOST_LISTED = 30  # attached things named in an error
_PAIRS = ({"all-dogs", "annotation"}, {"images", "annotation"})
_PIECE = re.compile(r"(all-dogs|images|annotations?)\.zip", re.IGNORECASE)


class FoundData(NamedTuple):
    """A folder or zip that `prepare` takes, and one line that says what it is and where."""

    path: Path
    description: str


def find_data(root: Path, scratch: Path, recipe: Recipe) -> FoundData:
    """Find a recipe's training data below `root`; zips that have to be joined are joined in `scratch`.

    They are the competition's. A data set of the layout that the recipe is made for comes first, though the
    competition's lie beside it; other pictures may where the recipe's name says which it is. Without classes
    any folder or zip of pictures will do where there is nothing better.

    Raises:
        DogsganError: nothing fits, or several things do; it names what is attached.
    """
    folders, sought = _folders(root), layout_for(recipe.data)
    if sought is not None:
        found = _of_layout(sought, folders, root, is_named=sought.kind in recipe.name.lower())
        if found is not None:
            return FoundData(found, f"{sought.looked_for} in {found}")
    for folder in folders:
        if data := _in_folder(folder, scratch):
            return data
    if not recipe.model.conditional:
        _refuse_choice(list(_with_pictures(root)))
        for path in [root, *(path for folder in folders for path in _zips(folder))]:
            if match := _matched(path):
                return FoundData(path, f"{len(match.pictures):,} pictures without boxes in {path}")
    first = f"looked for {sought.looked_for}; " if sought is not None else ""
    raise DogsganError(
        f"no training data in {root}: {first}{LOOKED_FOR}; attached is {_attached(root)}; add the data to "
        "the kernel (competition_sources or dataset_sources in kernel-metadata.json, or Add input on its "
        "page)"
    )


class EarlierRun(NamedTuple):
    """A run that an earlier kernel left: its output, the images it has seen, and its recipe."""

    output: Path
    images_seen: int
    recipe: Recipe


def find_run(root: Path, kernel: str) -> EarlierRun:
    """Find below `root` the output of the kernel `OWNER/SLUG`, with a checkpoint to go on from.

    Raises:
        DogsganError: it is not attached, or holds no checkpoint, or a recipe that cannot be read.
    """
    outputs = [log.parent for depth in range(1, DEPTH + 1) for log in root.glob("*/" * depth + LOG_FILE)]
    outputs = [output for output in outputs if output.name == kernel.split("/")[1]] or outputs
    if len(outputs) != 1:
        which = "no output" if not outputs else "several that may be the output"
        raise DogsganError(f"{root} holds {which} of {kernel}: attached is {_attached(root)}")
    [output] = outputs
    newest, saved = newest_checkpoint(output), read_recipe(output)
    if newest is None or saved is None:
        missing = "checkpoint" if newest is None else RECIPE_FILE
        raise DogsganError(f"{output}, the output of {kernel}, holds no {missing}")
    return EarlierRun(output, int(newest.name), saved[0])


def is_output(folder: Path) -> bool:
    """Return whether a folder is the output of a kernel, whose pictures are generated ones."""
    return all((folder / name).is_file() for name in (LOG_FILE, "images.zip"))


def layout_for(data: DataRecipe) -> Layout | None:
    """Return the layout that a recipe's crops are made for; None for the competition's or any."""
    if data.channels == 1 and data.policy == "whole":  # whatever has boxes is not taken whole
        return DIGITS
    return CELEBA if data.policy.startswith("center-") else None


def _of_layout(sought: Layout, folders: list[Path], root: Path, *, is_named: bool) -> Path | None:
    found: list[Path] = []
    below = [folder for folder in folders if folder != root]
    for folder in [*below, root]:  # the top holds everything that is attached, so it comes last
        for path in [folder, *_zips(folder)]:
            if any(path.is_relative_to(other) or other.is_relative_to(path) for other in found):
                continue  # the same data
            match = _matched(path)
            if match is not None and match.layout is sought:
                found.append(path)
    others = [] if is_named or not found else list(_with_pictures(root, beside=found[0]))
    _refuse_choice([*found, *(path for path in others if path not in found)])
    return found[0] if found else None


def _with_pictures(folder: Path, *, beside: Path | None = None, depth: int = DEPTH) -> Iterator[Path]:
    """Yield each attached thing that holds pictures without boxes, the one with `beside` in it left out."""
    for path in [*_below(folder), *_zips(folder)]:
        if path == beside:
            continue
        groups = path.name in GROUPS or folder.name == "datasets"  # datasets/PERSON/NAME
        if path.is_dir() and depth > 1 and (groups or (beside is not None and beside.is_relative_to(path))):
            yield from _with_pictures(path, beside=beside, depth=depth - 1)
        elif (match := _matched(path)) is not None and not match.annotations:
            yield path


def _refuse_choice(found: list[Path]) -> None:
    """Refuse to choose between several data sets: hours would go into the wrong one."""
    if len(found) > 1:
        raise DogsganError(
            f"the recipe fits several data sets that are attached ({', '.join(map(str, found[:4]))}): attach "
            "only the one that it is for"
        )


def _folders(root: Path) -> list[Path]:
    """Return the known places, then every other folder near the top, breadth first."""
    known = [root / name if name else root for name in KNOWN]
    near = [folder for depth in range(1, DEPTH + 1) for folder in _below(root, depth)]
    return list(dict.fromkeys([*filter(Path.is_dir, known), *near[:MOST_FOLDERS]]))


def _in_folder(folder: Path, scratch: Path) -> FoundData | None:
    names, zips = {child.name.lower() for child in _below(folder)}, _zips(folder)
    if any(pair <= names for pair in _PAIRS) and (found := _annotated(folder)):
        return found
    pieces = [path for path in zips if _PIECE.fullmatch(path.name)]
    whole = (_annotated(path) for path in zips if path not in pieces)
    return next(filter(None, whole), None) or _in_pieces(pieces, scratch)


def _annotated(path: Path) -> FoundData | None:
    match = _matched(path)
    if match is None or not match.annotations:
        return None
    counts = f"{len(match.pictures):,} pictures, {len(match.annotations):,} annotations"
    return FoundData(path, f"{counts} in {path}")


def _matched(path: Path) -> Match | None:
    try:
        return detect_layout(open_storage(path).names, top=path.name)
    except DogsganError:
        return None


def _in_pieces(pieces: list[Path], scratch: Path) -> FoundData | None:
    """Join a zip of pictures and one of annotations into one stored zip in the competition's layout."""
    by_kind = {path.stem.lower().rstrip("s"): path for path in pieces}
    annotations = by_kind.get("annotation")
    pictures = by_kind.get("all-dog") or by_kind.get("image")
    if annotations is None or pictures is None:
        return None
    target = scratch / "joined.zip"
    with atomic_path(target) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as joined:

        def copy(piece: Path, names: list[str], folder: str, *, parts: int) -> None:
            storage = open_storage(piece)
            for name in names:
                new_name = "/".join([folder, *PurePosixPath(name).parts[-parts:]])
                joined.writestr(zipfile.ZipInfo(new_name), storage.read(name, limit=1 << 26))

        match = _matched(pictures)
        copy(pictures, match.pictures if match else [], "all-dogs/all-dogs", parts=1)
        copy(annotations, open_storage(annotations).names, "annotation/Annotation", parts=2)
    found = _annotated(target)
    return found and FoundData(target, f"{found.description}, joined from {pictures} and {annotations}")


def _below(folder: Path, depth: int = 1) -> list[Path]:
    """Return the folders so far below a folder; none of one that cannot be read or that a kernel left."""
    found = sorted(path for path in folder.glob("*/" * depth) if not path.name.startswith("."))
    return [path for path in found if not any(map(is_output, [path, *path.parents][:depth]))]


def _zips(folder: Path) -> list[Path]:
    return sorted(filter(Path.is_file, folder.glob("*.[zZ][iI][pP]")))


def _attached(root: Path) -> str:
    """List what is mounted, two folders deep."""
    if not root.is_dir():
        return f"nothing ({root} does not exist)"
    names: list[str] = []
    for top in sorted(root.iterdir()):
        inside = sorted(top.iterdir()) if top.is_dir() else []
        shown = [top, *inside[:5]]
        names += [path.relative_to(root).as_posix() + "/" * path.is_dir() for path in shown]
        if len(inside) > 5:
            names.append(f"{top.name}/… ({len(inside) - 5} more)")
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return (", ".join(names[:MOST_LISTED]) or "nothing") + more
