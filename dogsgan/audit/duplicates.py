"""Duplicates: the same picture twice, in the submission, the training set, or one in each.

Three senses, from strict to loose: the same bytes in the file, the same pixels at the generated size (or
those of the mirror image), the same perceptual hash (or that of the mirror image; see `perceptual_hash`).
Against the training set every form counts in which it could have been copied.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.copies.perceptual_hash import SAME_PICTURE_BITS, HashedPictures, matches_between
from dogsgan.audit.groups import Edges, Group, group_numbers, joined, star_groups
from dogsgan.audit.result import DuplicateGroup
from dogsgan.blockwise import blocks
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.progress import progress_bar

SENSES = ("bytes", "pixels", "perceptual hash")
_PICTURES_AT_ONCE = 256


class Collection(NamedTuple):
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
    view: int
    """The view whose pixels are equal, or where only the files are, the picture's first."""
    mirrored: bool
    """Whether the generated picture is the view's mirror image."""


class Duplicates(NamedTuple):
    """What is the same picture as what."""

    groups: tuple[DuplicateGroup, ...]
    """Those with a generated picture, strictest sense first, then largest first, then by place.

    A looser group is listed only where it adds a picture to the stricter ones, and repeats theirs then.
    """
    same_pixels: dict[int, SamePicture]
    """The generated pictures, by index, that are a training picture by their bytes or their pixels."""
    training_groups: np.ndarray
    """P int64: equal numbers for training pictures that are the same picture in any of the three senses."""


class _Seen(NamedTuple):
    """Where a file or some pixels were seen: a picture of one side, which way round, in which view."""

    picture: int
    mirrored: bool = False
    view: int = 0


_Keyed = dict[str | bytes, tuple[list[_Seen], list[_Seen]]]
"""Generated and training pictures by a digest that equal ones share."""


def find_duplicates(
    generated: Collection, training: Collection, *, bits: int = SAME_PICTURE_BITS
) -> Duplicates:
    """Find the same pictures, mirror images included, and group them.

    Perceptual hashes are the same up to `bits` of 256. Views are read in blocks and may be mapped from disk.
    Memory beyond them: about 400 MB for 85,000 views and 10,000 generated pictures.
    """
    if generated.views.shape[1:] != training.views.shape[1:]:
        raise ValueError(
            f"generated {generated.views.shape} and training {training.views.shape} differ in size"
        )
    count = len(generated.names)  # nodes of the graphs are generated pictures, then training pictures
    files = _by_file(generated, training)
    pixels = _by_pixels(generated, training)
    equals = {own[0].picture: [seen.picture for seen in own] for own, _ in pixels.values() if own}
    firsts = np.array(list(equals), dtype=np.int64)
    hashes_of_own, hashes_of_theirs = (
        HashedPictures(side.views, rows=rows, owner=owner, description=f"duplicates: hashes of {what}")
        for side, rows, owner, what in (
            (generated, firsts, firsts, "generated pictures"),
            (training, np.arange(len(training.views)), count + training.picture_of_view, "training views"),
        )
    )
    inside, among, across = (
        matches_between(one, other, bits=bits, description=f"duplicates: {what}")
        for one, other, what in (
            (hashes_of_theirs, hashes_of_theirs, "training with training"),
            (hashes_of_own, hashes_of_own, "generated with generated"),
            (hashes_of_own, hashes_of_theirs, "generated with training"),
        )
    )
    nodes = count + len(training.names)
    inside = joined(inside, _training_edges(files, count), _training_edges(pixels, count))
    matched = np.zeros(nodes, dtype=bool)
    matched[across.right] = True
    between = Edges(*(values[matched[inside.left] & matched[inside.right]] for values in inside))
    alike = [
        Group(tuple(sorted(each for node in members for each in equals.get(node, [node]))), flipped)
        for members, flipped in star_groups(joined(among, across, between), nodes)
    ]
    return Duplicates(
        groups=tuple(_listed([_equal(files, count), _equal(pixels, count), alike], generated, training)),
        same_pixels=_same_pictures(files, pixels, training.picture_of_view),
        training_groups=group_numbers(inside, nodes)[count:] - count,
    )


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


def _by_file(*sides: Collection) -> _Keyed:
    keyed: _Keyed = defaultdict(lambda: ([], []))
    for place, side in enumerate(sides):
        for picture, digest in enumerate(side.files):
            if digest is not None:
                keyed[digest][place].append(_Seen(picture))
    return keyed


def _by_pixels(*sides: Collection) -> _Keyed:
    """Return pictures by a digest of their views' pixels that is the same for a mirror image."""
    keyed: _Keyed = defaultdict(lambda: ([], []))
    for place, (side, what) in enumerate(zip(sides, ("generated pictures", "training views"), strict=True)):
        parts = list(blocks(len(side.views), _PICTURES_AT_ONCE))
        for part in progress_bar(parts, description=f"duplicates: pixels of {what}", unit="blocks"):
            plain = np.array(side.views[part])
            mirrored = torch.from_numpy(plain).flip(2).numpy()
            for view, pair in enumerate(zip(plain, mirrored, strict=True), start=part.start):
                digest, other = (hashlib.sha256(pixels).digest() for pixels in pair)
                seen = _Seen(int(side.picture_of_view[view]), digest > other, view)
                keyed[min(digest, other)][place].append(seen)
    return keyed


def _equal(keyed: _Keyed, count: int) -> Iterator[Group]:
    for own, theirs in keyed.values():
        members = {seen.picture for seen in own} | {count + seen.picture for seen in theirs}
        flipped = len({seen.mirrored for seen in (*own, *theirs)}) > 1
        if len(members) > 1:
            yield Group(tuple(sorted(members)), flipped)


def _training_edges(keyed: _Keyed, count: int) -> Edges:
    """Return which training pictures are equal: edges of distance 0 to the first of them."""
    edges = [
        (theirs[0].picture, seen.picture, seen.mirrored != theirs[0].mirrored)
        for _, theirs in keyed.values()
        for seen in theirs[1:]
        if seen.picture != theirs[0].picture
    ]
    left, right, flipped = np.array(edges, dtype=np.int64).reshape(-1, 3).T
    return Edges(count + left, count + right, flipped == 1, np.zeros_like(left))


def _same_pictures(files: _Keyed, pixels: _Keyed, picture_of_view: np.ndarray) -> dict[int, SamePicture]:
    """Return which generated pictures are a training picture, by their files and by their pixels.

    Each is looked at by itself: that its group holds a mirror image does not make it one.
    """
    same: dict[int, SamePicture] = {}
    for own, theirs in files.values():
        if own and theirs:
            view = int(np.flatnonzero(picture_of_view == theirs[0].picture)[0])
            copied = SamePicture(theirs[0].picture, view, mirrored=False)
            same |= dict.fromkeys((seen.picture for seen in own), copied)
    for own, theirs in pixels.values():
        for seen in own if theirs else ():
            by_file = same.get(seen.picture)
            mirrored, _, view, picture = min(
                (
                    other.mirrored != seen.mirrored,
                    by_file is not None and other.picture != by_file.picture,
                    other.view,
                    other.picture,
                )
                for other in theirs
            )
            same[seen.picture] = SamePicture(picture, view, mirrored)
    return same


def _listed(
    found: Sequence[Iterable[Group]], generated: Collection, training: Collection
) -> Iterator[DuplicateGroup]:
    """Name the groups, strictest sense first, without those that add nothing to a stricter one."""
    names, count = (*generated.names, *training.names), len(generated.names)
    stricter: dict[int, list[frozenset[int]]] = defaultdict(list)
    for how, groups in zip(SENSES, found, strict=True):
        new = []
        for members, flipped in groups:
            own = tuple(node for node in members if node < count)
            if own and not any(known.issuperset(members) for known in stricter[own[0]]):
                new.append((-len(members), own, members[len(own) :], flipped))
        for _, own, theirs, flipped in sorted(new):
            for node in own:
                stricter[node].append(frozenset((*own, *theirs)))
            yield DuplicateGroup(
                how, tuple(names[node] for node in own), tuple(names[node] for node in theirs), flipped
            )
