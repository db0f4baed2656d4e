"""Equal pictures: the same bytes in the file, or the same pixels, mirror images included."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.progress import progress_bar

_PICTURES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Collection:
    """One side: P pictures, seen as V views of S×S px. A generated picture has one view, itself."""

    names: Sequence[str]
    """P."""
    files: Sequence[str | None]
    """P digests of the encoded files (see `file_digests`), None where there is no file."""
    views: np.ndarray
    """V×S×S×3 uint8."""
    picture_of_view: np.ndarray
    """V: which of the P pictures."""


class SamePicture(NamedTuple):
    """The training picture that a generated picture is; if there are several, one that is no mirror image."""

    picture: int
    view: int | None
    """The view whose pixels are equal; None where only the files are."""
    mirrored: bool
    """Whether the generated picture is the view's mirror image."""


class Member(NamedTuple):
    """Where something was found: a picture of one side, which way round, and in which of its views."""

    picture: int
    mirrored: bool
    view: int | None = None


class Found(NamedTuple):
    """A group by indices: generated pictures and training pictures, each sorted."""

    generated: tuple[int, ...]
    training: tuple[int, ...]
    flipped: bool


Keyed = dict[Hashable, list[Member]]


def file_digests(source: Source, names: Sequence[str]) -> list[str | None]:
    """Return the sha256 of the file of each named picture, which is read only if nobody has read it yet.

    None throughout for a prepared set, which has no files of its own.
    """
    if source.crop_set is not None:
        return [None] * len(names)
    images = {image.name: image for image in source.images}
    if missing := next((name for name in names if name not in images), None):
        raise DogsganError(f"{source.path} has no picture {missing}: leave it alone while it is audited")
    return [source.digest(images[name]) for name in names]


def by_file(side: Collection) -> Keyed:
    keyed: Keyed = defaultdict(list)
    for picture, digest in enumerate(side.files):
        if digest is not None:
            keyed[digest].append(Member(picture, False))
    return keyed


def by_pixels(side: Collection, description: str | None) -> Keyed:
    """Return pictures by a digest of their views' pixels that is the same for a mirror image."""
    keyed: Keyed = defaultdict(list)
    starts: Iterable[int] = range(0, len(side.views), _PICTURES_AT_ONCE)
    if description is not None:
        starts = progress_bar(starts, description=description, unit="blocks")
    for start in starts:
        plain = np.array(side.views[start : start + _PICTURES_AT_ONCE])
        mirrored = torch.from_numpy(plain).flip(2).numpy()
        for offset, (one, other) in enumerate(zip(plain, mirrored, strict=True)):
            digests = hashlib.sha256(one).digest(), hashlib.sha256(other).digest()
            picture = int(side.picture_of_view[start + offset])
            keyed[min(digests)].append(Member(picture, digests[0] > digests[1], start + offset))
    return keyed


def with_same_key(generated: Keyed, training: Keyed) -> list[Found]:
    found = []
    for key, own in generated.items():
        theirs = training.get(key, [])
        members = [member.picture for member in own]
        others = sorted({member.picture for member in theirs})
        if len(members) + len(others) > 1:
            ways = {member.mirrored for member in [*own, *theirs]}
            found.append(Found(tuple(sorted(members)), tuple(others), len(ways) > 1))
    return found


def same_pictures(files: tuple[Keyed, Keyed], pixels: tuple[Keyed, Keyed]) -> dict[int, SamePicture]:
    """Return which generated pictures are a training picture, by their files and by their pixels.

    Each is looked at by itself: that its group holds a mirror image does not make it one.
    """
    same = {}
    for member, theirs in _meeting(*files):
        same[member.picture] = SamePicture(theirs[0].picture, None, mirrored=False)
    for member, theirs in _meeting(*pixels):
        by_file = same.get(member.picture)
        mirrored, _, view, picture = min(
            (
                other.mirrored != member.mirrored,
                by_file is not None and other.picture != by_file.picture,
                other.view or 0,
                other.picture,
            )
            for other in theirs
        )
        same[member.picture] = SamePicture(picture, view, mirrored)
    return same


def _meeting(generated: Keyed, training: Keyed) -> Iterator[tuple[Member, list[Member]]]:
    """Yield each generated picture with what has its key among the training pictures."""
    for key, own in generated.items():
        if key in training:
            for member in own:
                yield member, training[key]


def sets_of_equals(pixels: Keyed) -> list[list[int]]:
    """Return the pictures with equal pixels, as sorted lists in the order of their first ones."""
    return sorted(sorted(member.picture for member in members) for members in pixels.values())
