"""Which of the known layouts a listing of files has: names in, roles out. Nothing is opened here."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from dogsgan.data.idx import parse_idx_name
from dogsgan.data.pictures import has_picture_suffix

LOOKED_FOR = (
    "looked for all-dogs/ with annotation/Annotation/ (the competition), "
    "Images/ with Annotation/ (Stanford Dogs), img_align_celeba/ (CelebA), train-images-idx3-ubyte (MNIST), "
    "or pictures (.jpg, .png, …)"
)
CELEBA_FOLDER = "img_align_celeba"
CELEBA_SPLIT_FILES = ("list_eval_partition.txt", "list_eval_partition.csv")  # its own, and Kaggle's
_SPLIT_FOLDERS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


@dataclass(frozen=True)
class Layout:
    """Roles of a source's files. The roots are folder names ending in `/`, or empty for the top."""

    kind: str  # competition, stanford, celeba, mnist, classes or pictures
    picture_root: str
    pictures: list[str]  # for mnist the idx files
    annotations: list[str]
    strangers: list[str]  # files of no role inside the picture root


def detect_layout(names: list[str], *, top: str = "") -> Layout | None:
    """Return the layout of sorted names, at any depth below the top; None where there is no picture.

    `top` is what the folder or zip itself is called. The first that fits counts: dogs with annotations;
    CelebA, by its folder's name; MNIST's idx files, unless a picture lies higher up than they do; class
    folders; any pictures.

    Class folders are two or more folders beside each other that between them hold every picture, each picture
    directly in one of them (`torchvision.datasets.ImageFolder`'s layout). They may be called anything, but
    are not taken for classes where all are called as the splits of a data set are (train, val, test, …).
    """
    pictures = [name for name in names if has_picture_suffix(name)]
    return (
        _with_annotations(names, pictures)
        or _celeba(names, pictures, top)
        or _idx_files(names, pictures)
        or _class_folders(names, pictures)
        or (Layout("pictures", "", pictures, [], _strangers(names, "")) if pictures else None)
    )


def is_split_file(name: str) -> bool:
    """Return whether a file of that name says which of CelebA's pictures are in which split."""
    return PurePosixPath(name).name in CELEBA_SPLIT_FILES


def common_folder(names: list[str]) -> str:
    """Return the deepest folder that holds every file, with its `/`; empty for the top."""
    ends = (name.split("/")[:-1] for name in (min(names, default=""), max(names, default="")))
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return "".join(f"{part}/" for part, _ in shared)


def split_folders(names: list[str]) -> list[str]:
    """Return the folders under the common one where all are called as splits are: train, val, test, …"""
    root = common_folder(names)
    folders = sorted({name.removeprefix(root).partition("/")[0] for name in names})
    return folders if folders and all(folder.lower() in _SPLIT_FOLDERS for folder in folders) else []


def _with_annotations(names: list[str], pictures: list[str]) -> Layout | None:
    annotation_root = _shallowest(
        _ancestor(name, 2, "annotation") for name in names if _may_be_annotation(name)
    )
    for kind, root in (
        ("competition", _shallowest(_ancestor(name, 1, "all-dogs") for name in pictures)),
        ("stanford", _shallowest(_ancestor(name, 2, "images") for name in pictures)),
    ):
        if root is not None and annotation_root is not None:
            inside = [name for name in pictures if name.startswith(root)]
            annotations = [
                name for name in names if name.startswith(annotation_root) and _may_be_annotation(name)
            ]
            return Layout(kind, root, inside, annotations, _strangers(names, root))
    return None


def _celeba(names: list[str], pictures: list[str], top: str) -> Layout | None:
    roots = [_ancestor(name, 1, CELEBA_FOLDER) for name in pictures]
    if top.lower().removesuffix(".zip") == CELEBA_FOLDER:
        roots += ["" for name in pictures if "/" not in name]
    root = _shallowest(roots)
    if root is None:
        return None
    inside = [name for name in pictures if name.startswith(root)]
    strangers = [name for name in _strangers(names, root) if not is_split_file(name)]
    return Layout("celeba", root, inside, [], strangers)


def _idx_files(names: list[str], pictures: list[str]) -> Layout | None:
    found = {name: said for name in names if (said := parse_idx_name(name)) is not None}
    images = [name for name, said in found.items() if said.content == "images"]
    depth = min((name.count("/") for name in images), default=0)
    if not images or any(name.count("/") < depth for name in pictures):
        return None
    return Layout("mnist", "", images, [], [name for name in names if name not in found])


def _class_folders(names: list[str], pictures: list[str]) -> Layout | None:
    root = common_folder(pictures)
    folders = {_parent(name) for name in pictures}
    one_level_down = all(folder.removeprefix(root).count("/") == 1 for folder in folders)
    if len(folders) < 2 or not one_level_down or split_folders(pictures):
        return None
    return Layout("classes", root, pictures, [], _strangers(names, root))


def _may_be_annotation(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in ("", ".xml")


def _parent(name: str) -> str:
    """Return the folder that a file is in, with its `/`; empty for the top."""
    return name[: name.rfind("/") + 1]


def _ancestor(name: str, levels: int, wanted: str) -> str | None:
    """Return the folder `levels` above the file, with its `/`, if it is called `wanted` in any case."""
    folder = name.rsplit("/", levels)[0] if name.count("/") >= levels else ""
    return folder + "/" if folder.rsplit("/", 1)[-1].lower() == wanted else None


def _shallowest(roots: Iterable[str | None]) -> str | None:
    found = {root for root in roots if root is not None}
    return min(found, key=lambda root: (root.count("/"), root), default=None)


def _strangers(names: list[str], root: str) -> list[str]:
    return [name for name in names if name.startswith(root) and not has_picture_suffix(name)]
