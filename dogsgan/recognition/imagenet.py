"""ImageNet's 1,000 classes: their order, which of them are dogs, and which one a class of ours is.

The classes are wnids (WordNet's numbers of nouns) in sorted order, as timm's own table has them. Names of
timm's functions and files stay in this module.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dogsgan.data.class_names import names_for_people
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError

_DOG_INDICES = (*range(151, 269), 273, 274, 275)
"""Dogs: n02085620 (Chihuahua) to n02113978 (Mexican hairless), dingo, dhole and African hunting dog.

Those are the 120 breeds of Stanford Dogs, and 251, the dalmatian, which is not among them. 269 to 272 are
wolves and the coyote."""
_WNID = re.compile(r"n\d{8}(?!\d)")
_MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True)
class ClassSet:
    """Some of ImageNet's classes, by a name for people."""

    name: str
    indices: tuple[int, ...]
    """Sorted, each in 0..999."""


DOGS = ClassSet("dogs", _DOG_INDICES)


@functools.cache
def imagenet_wnids() -> tuple[str, ...]:
    """Return the 1,000 wnids in the order of a classifier's outputs."""
    from timm.data import ImageNetInfo

    return tuple(ImageNetInfo("imagenet-1k").label_names())


@functools.cache
def _indices() -> dict[str, tuple[int, ...]]:
    """Return the classes by wnid, and by each name as `_plain` has it: two are called `crane`."""
    from timm.data import ImageNetInfo

    info = ImageNetInfo("imagenet-1k")
    found: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for index, wnid in enumerate(imagenet_wnids()):
        for name in (wnid, *map(_plain, info.label_name_to_description(wnid).split(","))):
            found[name] += (index,)
    return found


def class_set(text: str) -> ClassSet:
    """Return the class set `dogs`, or that of a file with one wnid or name of a class in each line.

    Raises:
        DogsganError: there is no such file, or a line names no class of ImageNet.
    """
    if text == DOGS.name:
        return DOGS
    path = Path(text)
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise DogsganError(f"{path} is larger than any list of ImageNet's classes")
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DogsganError(
            f"no class set {text!r}: give {DOGS.name}, or a file with one wnid or class name in each line"
        ) from error
    indices = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        index = imagenet_index(line.strip())
        if index is None:
            raise DogsganError(
                f"line {number} of {path} names no class of ImageNet, or several: {line.strip()[:60]!r}; "
                "give a wnid, such as n02085620"
            )
        indices.add(index)
    if not indices:
        raise DogsganError(f"{path} names no class: write one wnid or class name in each line")
    return ClassSet(path.stem, tuple(sorted(indices)))


def imagenet_index(name: str, *, within: ClassSet | None = None) -> int | None:
    """Return which class of ImageNet `name` is: by the wnid that it begins with, else by its name.

    Of several classes of one name, that in `within` is taken (a Cardigan is a dog, and a garment); None where
    there is none, or where that does not decide.
    """
    wnid = _WNID.match(name)
    candidates = _indices().get(wnid[0] if wnid else _plain(name), ())
    if len(candidates) > 1 and within is not None:
        candidates = tuple(index for index in candidates if index in within.indices)
    return candidates[0] if len(candidates) == 1 else None


def wnids_of(source: Source) -> dict[str, str]:
    """Return the known wnids of a source's classes, by the class's folder and by its name for people."""
    folders: Iterable[tuple[str, str]]
    if source.crop_set is not None:
        folders = zip(source.crop_set.class_names, source.crop_set.class_folders, strict=True)
    else:
        folders = ((name, name) for name in {image.class_name for image in source.images} if name)
    found = {name: wnid[0] for name, folder in folders if (wnid := _WNID.match(folder))}
    people = names_for_people(found)  # a name that two classes would share tells neither
    return found | {people[name]: wnid for name, wnid in found.items()}


def imagenet_indices(
    names: Iterable[str | None], *, wnids: Mapping[str, str], within: ClassSet
) -> dict[str, int]:
    """Return by class name the index of ImageNet's class, for those that have one; see `imagenet_index`."""
    found = {}
    for name in {name for name in names if name}:
        index = imagenet_index(wnids.get(name, name), within=within)
        if index is not None:
            found[name] = index
    return found


def _plain(name: str) -> str:
    return " ".join(re.sub(r"[-_]", " ", name).lower().split())
