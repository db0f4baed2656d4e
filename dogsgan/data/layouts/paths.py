"""Names of files in a listing: stems, folders and common roots of paths with `/`. Nothing is opened here."""

import functools
import itertools
import re
from collections.abc import Iterable

_SPLIT_FOLDERS = frozenset(("train", "training", "val", "valid", "validation", "test", "testing"))


def stem_and_suffix(name: str) -> tuple[str, str]:
    """Return a file's name without folder and suffix, and its suffix in lower case; dotfiles have none."""
    base = name[name.rfind("/") + 1 :]
    dot = base.rfind(".")
    return (base[:dot], base[dot:].lower()) if dot > 0 else (base, "")


def stem(name: str) -> str:
    """Return a file's name without folder and suffix."""
    return stem_and_suffix(name)[0]


def parent(name: str) -> str:
    """Return the folder that a file is in, with its `/`; empty for the top."""
    return name[: name.rfind("/") + 1]


def folder_name(name: str) -> str:
    """Return the last part of the folder that a file is in; empty for the top."""
    return name[: max(name.rfind("/"), 0)].rpartition("/")[2]


@functools.lru_cache(maxsize=4096)
def plain(folder: str) -> str:
    """Return a folder's name as it is compared: `All_Dogs` is `alldogs`, and `annotations` `annotation`."""
    letters = re.sub(r"[-_ ]", "", folder.lower())
    return "annotation" if letters == "annotations" else letters


def ancestor(name: str, levels: int, wanted: str) -> str | None:
    """Return the folder `levels` above the file, with its `/`, if it is called `wanted`; see `plain`."""
    folder = name.rsplit("/", levels)[0] if name.count("/") >= levels else ""
    return folder + "/" if plain(folder.rsplit("/", 1)[-1]) == wanted else None


def shallowest(names: Iterable[str | None]) -> str | None:
    """Return the name with the fewest folders above it, the first of several; None where there is none."""
    found = {name for name in names if name is not None}
    return min(found, key=lambda name: (name.count("/"), name), default=None)


def common_folder(names: list[str]) -> str:
    """Return the deepest folder that holds every file, with its `/`; empty for the top."""
    ends = (name.split("/")[:-1] for name in (min(names, default=""), max(names, default="")))
    shared = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(*ends, strict=False))
    return "".join(f"{part}/" for part, _ in shared)


def split_folders(names: list[str]) -> list[str]:
    """Return the folders under the common one if all are called as splits are: train, val, test, …"""
    root = common_folder(names)
    folders = sorted({name.removeprefix(root).partition("/")[0] for name in names})
    return folders if folders and all(folder.lower() in _SPLIT_FOLDERS for folder in folders) else []
