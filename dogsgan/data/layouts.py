"""Which of the known layouts a listing of files has: names in, roles out. Nothing is opened here."""

import functools
import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from dogsgan.data.idx import parse_idx_name
from dogsgan.data.pictures import has_picture_suffix

LOOKED_FOR = (
    "looked for all-dogs/ with annotation/Annotation/ (the competition), "
    "Images/ with Annotation/ (Stanford Dogs), img_align_celeba/ (CelebA), train-images-idx3-ubyte (MNIST), "
    "or pictures (.jpg, .png, …)"
)
CELEBA_FOLDER = "img_align_celeba"
CELEBA_SPLIT_FILES = ("list_eval_partition.txt", "list_eval_partition.csv")  # its own, and Kaggle's
STRAYS = 4  # a folder's pictures are classes where at most one in so many lies elsewhere
_CELEBA_FOLDERS = ("imgalignceleba", "imgaligncelebapng")
_SPLIT_FOLDERS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))
_STANFORD_STEM = re.compile(r"n\d{8}_\d+")
_BREED_FOLDER = re.compile(r"n\d{8}[-_].+")
_PIECE = re.compile(r"(all-dogs|annotations?)\.(zip|tar|tgz|tar\.gz)", re.IGNORECASE)


@dataclass(frozen=True)
class Layout:
    """Roles of a source's files. The roots are folder names ending in `/`, or empty for the top."""

    kind: str  # competition, stanford, celeba, mnist, classes or pictures
    picture_root: str
    pictures: list[str]  # for mnist the idx files
    annotations: list[str]
    strangers: list[str]  # files of no role inside the picture root
    outside: list[str] = field(default_factory=list)  # pictures that are in no class folder
    lost_boxes: str = ""  # what is missing of a layout with boxes, and what to do
    lost_labels: str = ""  # the same for classes
    remark: str = ""  # what else a person should know


def detect_layout(names: list[str], *, top: str = "", by_content: Collection[str] = ()) -> Layout | None:
    """Return the layout of sorted names, at any depth below the top; None where there is no picture.

    `top` is what the folder or zip itself is called; `by_content` are pictures whose names do not say so. The
    first that fits counts: dogs with annotations; CelebA, by its folder's name or its split file; MNIST's idx
    files, unless a picture lies higher up than they do; class folders; any pictures.

    Class folders are two or more folders beside each other that hold the pictures, each picture directly in
    one of them (`torchvision.datasets.ImageFolder`'s layout). They may be called anything, but are not taken
    for classes where all are called as the splits of a data set are (train, val, test, …). A few pictures, at
    most one for every `STRAYS` in the folders, may lie elsewhere: deeper in a class's folder they are of that
    class, outside they are left out.

    Where boxes or classes are all but there, `lost_boxes` and `lost_labels` say what is missing.
    """
    pictures = [name for name in names if has_picture_suffix(name) or name in by_content]
    return (
        _with_annotations(names, pictures)
        or _celeba(names, pictures, top)
        or _idx_files(names, pictures)
        or _class_folders(names, pictures, top)
        or _any_pictures(names, pictures, top)
    )


def is_split_file(name: str) -> bool:
    """Return whether a file of that name says which of CelebA's pictures are in which split."""
    return name.endswith(CELEBA_SPLIT_FILES) and name[name.rfind("/") + 1 :] in CELEBA_SPLIT_FILES


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
    if annotation_root is None:
        return _by_stems(names, pictures)
    annotations = [name for name in names if name.startswith(annotation_root) and _may_be_annotation(name)]
    for kind, folder, levels in (
        ("competition", "alldogs", 1),
        ("stanford", "images", 2),
        ("competition", "alldogs", 2),  # pictures in the breeds' folders
        ("competition", "images", 1),  # or in none
    ):
        root = _shallowest(_ancestor(name, levels, folder) for name in pictures)
        if root is None:
            continue
        inside = [name for name in pictures if name.startswith(root)]
        usual = (kind == "competition") == (levels == 1) and (folder, levels) != ("images", 1)
        if usual or _stems(inside) & _stems(annotations):
            return Layout(kind, root, inside, annotations, _strangers(names, root, pictures))
    return _by_stems(names, pictures)


def _by_stems(names: list[str], pictures: list[str]) -> Layout | None:
    """Return the dogs under folders of any name: a picture and its annotation share ImageNet's stem."""
    annotations = [
        name
        for name in names
        if _may_be_annotation(name)
        and _STANFORD_STEM.fullmatch(_stem(name))
        and _BREED_FOLDER.fullmatch(_folder(name))
    ]
    stems = _stems(annotations)
    inside = [name for name in pictures if _STANFORD_STEM.fullmatch(_stem(name))] if stems else []
    if not any(_stem(name) in stems for name in inside):
        return None
    root = common_folder(inside)
    return Layout("competition", root, inside, annotations, [])


def _celeba(names: list[str], pictures: list[str], top: str) -> Layout | None:
    roots = [_ancestor(name, 1, folder) for name in pictures for folder in _CELEBA_FOLDERS]
    if _plain(top.lower().removesuffix(".zip")) in _CELEBA_FOLDERS:
        roots += ["" for name in pictures if "/" not in name]
    if any(is_split_file(name) for name in names):
        roots += [_parent(name) for name in pictures if re.fullmatch(r"\d{6}", _stem(name))]
    root = _shallowest(roots)
    if root is None:
        return None
    inside = [name for name in pictures if name.startswith(root)]
    strangers = [name for name in _strangers(names, root, pictures) if not is_split_file(name)]
    return Layout("celeba", root, inside, [], strangers)


def _idx_files(names: list[str], pictures: list[str]) -> Layout | None:
    found = {name: said for name in names if (said := parse_idx_name(name)) is not None}
    images = [name for name, said in found.items() if said.content == "images"]
    depth = min((name.count("/") for name in images), default=0)
    if not images or any(name.count("/") < depth for name in pictures):
        return None
    return Layout("mnist", "", images, [], [name for name in names if name not in found])


def _class_folders(names: list[str], pictures: list[str], top: str) -> Layout | None:
    if not pictures or split_folders(pictures):
        return None
    grandparents = Counter(_parent(_parent(name)[:-1]) for name in pictures if "/" in name)
    if not grandparents:
        return None
    root = min(grandparents, key=lambda folder: (-grandparents[folder], folder))
    direct = [name for name in pictures if name.startswith(root) and name.count("/") == root.count("/") + 1]
    folders = {_parent(name) for name in direct}
    if len(folders) < 2 or split_folders(direct) or STRAYS * (len(pictures) - len(direct)) > len(direct):
        return None
    inside = [name for name in pictures if _below(name, root) in folders]
    outside = [name for name in pictures if _below(name, root) not in folders]
    remark = ""
    if len(inside) > len(direct):
        first = next(name for name in inside if _parent(name) not in folders)
        remark = (
            f"; {len(inside) - len(direct)} lie deeper than in a class folder, such as {first}, "
            "and are of the class above"
        )
    if outside:
        remark += f"; {len(outside)} outside the class folders left out, such as {outside[0]}"
    return Layout(
        kind="classes",
        picture_root=root,
        pictures=inside,
        annotations=[],
        strangers=_strangers(names, root, pictures),
        outside=outside,
        lost_boxes=_lost_boxes(names, pictures, top),
        remark=remark,
    )


def _below(name: str, root: str) -> str:
    """Return the folder just below `root` that a file is in, with its `/`; empty where there is none."""
    first, slash, _ = name.removeprefix(root).partition("/")
    return f"{root}{first}/" if name.startswith(root) and slash else ""


def _any_pictures(names: list[str], pictures: list[str], top: str) -> Layout | None:
    if not pictures:
        return None
    lost_labels = remark = ""
    splits = split_folders(pictures)
    if splits:
        remark = f"; its folders are splits, so give one of {', '.join(splits)} where only that is meant"
        root = common_folder(pictures)
        inside = {_parent(name) for name in pictures if name.count("/") >= root.count("/") + 2}
        if len({_folder(folder) for folder in inside}) > 1:
            lost_labels = (
                f"its class folders lie in splits: give one of {', '.join(root + name for name in splits)}"
            )
    else:
        remark = _why_no_classes(pictures)
    return Layout(
        kind="pictures",
        picture_root="",
        pictures=pictures,
        annotations=[],
        strangers=_strangers(names, "", pictures),
        lost_boxes=_lost_boxes(names, pictures, top),
        lost_labels=lost_labels,
        remark=remark,
    )


def _why_no_classes(pictures: list[str]) -> str:
    folders = Counter(_parent(name) for name in pictures)
    usual = Counter(folder.count("/") for folder in folders if folder)
    if len(folders) < 3 or not usual or max(usual.values()) < 2:
        return ""
    depth = max(usual, key=lambda count: usual[count])
    elsewhere = [name for name in pictures if name.count("/") != depth]
    if not elsewhere:
        return ""
    return (
        f"; its folders are not taken for classes, for {len(elsewhere):,} pictures lie higher or deeper, "
        f"such as {elsewhere[0]}"
    )


def _lost_boxes(names: list[str], pictures: list[str], top: str) -> str:
    """Say what is missing where pictures with boxes are meant and their annotations are not found."""
    packed = [name for name in names if _PIECE.fullmatch(name.rpartition("/")[2])]
    if packed:
        return f"{' and '.join(packed[:2])} {'is' if len(packed) == 1 else 'are'} still packed: unpack beside"
    if any(_may_be_annotation(n) and _BREED_FOLDER.fullmatch(_folder(n)) for n in names):
        return "its annotations belong to none of its pictures: put both in from the same data set"
    if any(_ancestor(name, level, "alldogs") for name in pictures for level in (1, 2)):
        return "all-dogs/ is there without annotation/Annotation/: put annotation/ beside all-dogs/"
    if _plain(top.lower()) == "alldogs":
        return "it is all-dogs/ alone: give the folder above, with annotation/ in it"
    stanford = [name for name in pictures if _BREED_FOLDER.fullmatch(_folder(name))]
    if any(_ancestor(name, 2, "images") for name in stanford):
        return "Images/ is there without Annotation/: put Annotation/ beside Images/"
    if stanford and _plain(top.lower()) == "images":
        return "it is Images/ alone: give the folder above, with Annotation/ in it"
    return ""


def _may_be_annotation(name: str) -> bool:
    return _stem_and_suffix(name)[1] in ("", ".xml")


def _stem_and_suffix(name: str) -> tuple[str, str]:
    base = name[name.rfind("/") + 1 :]
    dot = base.rfind(".")
    return (base[:dot], base[dot:].lower()) if dot > 0 else (base, "")


def _stem(name: str) -> str:
    return _stem_and_suffix(name)[0]


def _stems(names: list[str]) -> set[str]:
    return {_stem(name) for name in names}


def _parent(name: str) -> str:
    """Return the folder that a file is in, with its `/`; empty for the top."""
    return name[: name.rfind("/") + 1]


def _folder(name: str) -> str:
    """Return what the folder is called that a file is in; empty for the top."""
    return name[: max(name.rfind("/"), 0)].rpartition("/")[2]


@functools.lru_cache(maxsize=4096)
def _plain(folder: str) -> str:
    """Return a folder's name as it is compared: `All_Dogs` is `alldogs`, and `annotations` `annotation`."""
    letters = re.sub(r"[-_ ]", "", folder.lower())
    return "annotation" if letters == "annotations" else letters


def _ancestor(name: str, levels: int, wanted: str) -> str | None:
    """Return the folder `levels` above the file, with its `/`, if it is called `wanted`; see `_plain`."""
    folder = name.rsplit("/", levels)[0] if name.count("/") >= levels else ""
    return folder + "/" if _plain(folder.rsplit("/", 1)[-1]) == wanted else None


def _shallowest(roots: Iterable[str | None]) -> str | None:
    found = {root for root in roots if root is not None}
    return min(found, key=lambda root: (root.count("/"), root), default=None)


def _strangers(names: list[str], root: str, pictures: list[str]) -> list[str]:
    known = set(pictures)
    return [name for name in names if name.startswith(root) and name not in known]
