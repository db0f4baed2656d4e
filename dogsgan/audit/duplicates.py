"""Duplicates: the same picture twice, in the submission, the training set, or one in each.

Three senses, from strict to loose: the same bytes in the file, the same pixels at the generated size (or
those of the mirror image), the same perceptual hash (or that of the mirror image). Against the training set
every form counts in which it could have been copied.

Perceptual hashes are those of the ImageHash library: one of 64 bits finds the candidates among all pairs, one
of 256 bits confirms them. Measured on 84,296 views of Stanford Dogs at 64 px, mirror images included: of 7.1
billion pairs of different pictures 6,162 differ in at most 10 of 64 bits, and most of those show two dogs. In
256 bits 104 then differ in at most 32 (one photograph, saved again, recoloured, mirrored or reframed by a
hair, or two of a burst that hardly differ) and 85 in 33 to 56 (one photograph or burst); the first dogs of
different places are 64 bits apart. At 32 bits all of 1,500 views are found again after JPEG, scaling, blur of
1 px, noise of 8 grey levels and changed light, a crop of 62 of 64 px in 90%, a shift by 1 px in 52%. Simple
drawings are more alike: of 2,000 unseen digits of MNIST 52 match one of 10,000 or each other at 32 bits; and
at 56 bits 39% of the 10,000 match another.

A picture of one colour, of a plain gradient or of two flat halves has too few frequencies for a hash:
unrelated ones are alike. Of any other picture half the bits are set, because they compare with the median.
Where they are not, no hash of the picture is compared.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import imagehash
import numpy as np
import torch
from PIL import Image

from dogsgan.audit.result import DuplicateGroup
from dogsgan.blockwise import blocks
from dogsgan.data.sources import Source
from dogsgan.progress import progress_bar

_SENSES = ("bytes", "pixels", "perceptual hash")
_PICTURES_AT_ONCE = 256
SAME_PICTURE_BITS = 32  # of 256
_COARSE_SIDE, _FINE_SIDE = 8, 16
_CANDIDATE_BITS = 10  # of 64
_UNBALANCED_BITS = 4  # more than that from half of 64 set: too few frequencies
_ROWS_AT_ONCE, _COLUMNS_AT_ONCE = 2048, 4096
HASHES_AT_ONCE = _ROWS_AT_ONCE * _COLUMNS_AT_ONCE
"""Pairs of pictures that an item of the progress bar compares."""
_CONFIRMED_AT_ONCE = 1 << 18
_MOST_OF_A_ROW = 64  # matches kept: bounds the memory where all pictures look the same
_MOST_HELD = 1 << 20  # matches waiting to be thinned out to that
_BITS_OF_BYTE = np.array([value.bit_count() for value in range(256)], dtype=np.uint8)


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


class Edges(NamedTuple):
    """Pairs of `count` things, M each; a pair may be there more than once, in either order."""

    left: np.ndarray
    right: np.ndarray
    flipped: np.ndarray
    """Whether the two are mirror images of each other."""
    distance: np.ndarray
    """How far apart they are, integers from 0."""


class Group(NamedTuple):
    """Things that are all the same as one of them. Sorted; no chain: each has an edge to that one."""

    members: tuple[int, ...]
    flipped: bool
    """Whether some are mirror images of it."""


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
    count = len(generated.names)  # nodes of the graphs are generated pictures, then training pictures
    files = _by_file(generated, training)
    pixels = _by_pixels(generated, training)
    equals = {own[0].picture: [seen.picture for seen in own] for own, _ in pixels.values() if own}
    firsts = np.array(list(equals), dtype=np.int64)
    every = np.arange(len(training.views))
    own = HashedPictures(generated.views, rows=firsts, owner=firsts, name="generated pictures")
    theirs = HashedPictures(
        training.views, rows=every, owner=count + training.picture_of_view, name="training views"
    )
    inside = matches_between(theirs, theirs, bits=bits, name="training with training")
    among = matches_between(own, own, bits=bits, name="generated with generated")
    across = matches_between(own, theirs, bits=bits, name="generated with training")
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
    for how, groups in zip(_SENSES, found, strict=True):
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


class HashedPictures:
    """The hashes of M of the pictures V×S×S×3 uint8; those of 256 bits are made when a pair asks for them.

    `rows`, M, says which pictures; `owner`, M, what each is a form of: forms of one are not matched with each
    other. `name` is for the progress bar.
    """

    def __init__(self, pictures: np.ndarray, *, rows: np.ndarray, owner: np.ndarray, name: str = "") -> None:
        self.owner = np.asarray(owner, dtype=np.int64)
        self._pictures, self._rows = pictures, rows
        self.coarse = np.empty((2, len(rows), _COARSE_SIDE**2), dtype=np.int8)  # as they are, mirrored
        self._fine = np.empty((2, len(rows), _FINE_SIDE**2 // 8), dtype=np.uint8)
        self._has_fine = np.zeros((2, len(rows)), dtype=bool)
        for index in progress_bar(range(len(rows)), description=f"duplicates: hashes of {name}"):
            for side in (0, 1):
                self.coarse[side, index] = self._bits(index, side, _COARSE_SIDE)
        set_bits = (self.coarse[0] > 0).sum(axis=1)
        self.informative = np.abs(set_bits - _COARSE_SIDE**2 // 2) <= _UNBALANCED_BITS

    def fine(self, indices: np.ndarray, *, mirrored: bool) -> np.ndarray:
        """Return the hashes of 256 bits of some pictures, M×32 uint8."""
        side = int(mirrored)
        for index in np.unique(indices[~self._has_fine[side, indices]]).tolist():
            self._fine[side, index] = np.packbits(self._bits(index, side, _FINE_SIDE) > 0)
            self._has_fine[side, index] = True
        return np.asarray(self._fine[side, indices])

    def _bits(self, index: int, side: int, hash_side: int) -> np.ndarray:
        """Return −1 and 1 for the bits of one picture, or of its mirror image where `side` is 1."""
        pixels = self._pictures[self._rows[index]]
        pixels = pixels[:, ::-1] if side else pixels
        hashed = imagehash.phash(Image.fromarray(np.ascontiguousarray(pixels)), hash_size=hash_side)
        return np.where(hashed.hash.reshape(-1), 1, -1).astype(np.int8)


def matches_between(left: HashedPictures, right: HashedPictures, *, bits: int, name: str = "") -> Edges:
    """Return an edge for each two owners that differ in at most `bits` of 256, the left ones also mirrored.

    Where both sides are the same object each pair is found once, without those of one owner. Of more than 64
    matches of one left picture the closest 64 are kept. Every candidate of 64 bits is looked at, in tiles;
    memory beyond the hashes: about 250 MB, and 32 bytes for each match.
    """
    found, held = [np.empty((4, 0), dtype=np.int64)], 0
    tiles = [
        (side, rows, columns)
        for side in (0, 1)
        for rows in blocks(len(left.owner), _ROWS_AT_ONCE)
        for columns in blocks(len(right.owner), _COLUMNS_AT_ONCE)
        if left is not right or columns.stop - 1 > rows.start  # some of it is above the diagonal
    ]
    buffer = torch.empty(_ROWS_AT_ONCE * _COLUMNS_AT_ONCE)
    for side, rows, columns in progress_bar(tiles, description=f"duplicates: {name}", unit="blocks"):
        pairs = _candidates(left.coarse[side, rows], right.coarse[0, columns], buffer)
        pairs += [[rows.start], [columns.start]]
        found.append(_confirmed(left, right, pairs, side=side, bits=bits))
        held += found[-1].shape[1]
        if held > _MOST_HELD:
            found, held = [_closest_of_each_row(np.concatenate(found, axis=1))], 0
    one, other, sides, distance = _closest_of_each_row(np.concatenate(found, axis=1))
    return Edges(left.owner[one], right.owner[other], sides == 1, distance)


def _candidates(rows: np.ndarray, columns: np.ndarray, buffer: torch.Tensor) -> np.ndarray:
    """Return the pairs of ±1 hashes that differ in few of 64 bits, as indices 2×M.

    `buffer` holds at least as many float32 as there are pairs: new memory for each tile costs as much as the
    product, and so does looking at every pair rather than at the rows that have one.
    """
    agreement = torch.mm(
        torch.from_numpy(rows.astype(np.float32)),
        torch.from_numpy(columns.astype(np.float32)).T,
        out=buffer[: len(rows) * len(columns)].view(len(rows), len(columns)),
    )  # exact: small integers
    enough = _COARSE_SIDE**2 - 2 * _CANDIDATE_BITS
    with_some = (agreement.amax(dim=1) >= enough).nonzero().squeeze(1)
    pairs = torch.nonzero(agreement[with_some] >= enough)
    return np.stack([with_some[pairs[:, 0]].numpy(), pairs[:, 1].numpy()])


def _confirmed(
    left: HashedPictures, right: HashedPictures, pairs: np.ndarray, *, side: int, bits: int
) -> np.ndarray:
    """Return 4×M (left, right, side, bits) of those pairs that 256 bits confirm."""
    wanted = left.informative[pairs[0]] & right.informative[pairs[1]]
    if left is right:
        wanted &= (pairs[0] < pairs[1]) & (left.owner[pairs[0]] != right.owner[pairs[1]])
    pairs = pairs[:, wanted]
    parts = [np.empty((4, 0), dtype=np.int64)]
    for part in blocks(pairs.shape[1], _CONFIRMED_AT_ONCE):
        one, other = pairs[:, part]
        differing = left.fine(one, mirrored=side == 1) ^ right.fine(other, mirrored=False)
        count = _BITS_OF_BYTE[differing].sum(axis=1, dtype=np.int64)
        kept = np.stack([one, other, np.full_like(one, side), count])[:, count <= bits]
        parts.append(_closest_of_each_row(kept))
    return np.concatenate(parts, axis=1)


def _closest_of_each_row(pairs: np.ndarray) -> np.ndarray:
    """Return 4×M pairs in the order of the left picture, then of the distance, at most 64 of each."""
    ordered = pairs[:, np.lexsort((pairs[1], pairs[3], pairs[0]))]
    _, first, counts = np.unique(ordered[0], return_index=True, return_counts=True)
    rank = np.arange(ordered.shape[1]) - np.repeat(first, counts)
    return ordered[:, rank < _MOST_OF_A_ROW]


def joined(*edges: Edges) -> Edges:
    """Return all of them."""
    return Edges(*(np.concatenate(part) for part in zip(*edges, strict=True)))


def star_groups(edges: Edges, count: int) -> list[Group]:
    """Return groups that cover everything that has an edge.

    A group is one thing and what has an edge to it, so two of its members are at most two edges apart; with
    connected components a row of pictures that change little by little would be one group. What has the most
    edges takes its group first, at a tie the smaller index. One that is left over, since all that it is like
    are in groups already, is grouped with the closest of them, which then is in two groups.
    """
    one, other, flipped, distance = _both_ways(edges)
    begin = np.searchsorted(one, np.arange(count + 1))
    degree = np.diff(begin)
    grouped = np.zeros(count, dtype=bool)
    groups = []
    for center in np.argsort(-degree, kind="stable")[: np.count_nonzero(degree)].tolist():
        if grouped[center]:
            continue
        around = slice(begin[center], begin[center + 1])
        joining = np.flatnonzero(~grouped[other[around]])
        if len(joining) == 0:
            joining = np.argmin(distance[around], keepdims=True)
        members = np.sort(np.append(other[around][joining], center))
        grouped[members] = True
        groups.append(Group(tuple(members.tolist()), bool(flipped[around][joining].any())))
    return groups


def group_numbers(edges: Edges, count: int) -> np.ndarray:
    """Return a number for each of `count` things, equal within a star group: the index of one of them.

    A thing that is left over (see `star_groups`) has the number of the group that the closest one is in.
    """
    numbers = np.arange(count)
    settled = np.zeros(count, dtype=bool)
    for group in star_groups(edges, count):
        members = np.array(group.members)
        known = members[settled[members]]
        numbers[members] = numbers[known].min() if len(known) else members.min()
        settled[members] = True
    return numbers


def _both_ways(edges: Edges) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return (one, other, flipped, distance) for both directions of each pair once, its smallest distance.

    Sorted by `one`, then by `other`.
    """
    one, other, flipped, distance = joined(edges, edges._replace(left=edges.right, right=edges.left))
    order = np.lexsort((flipped, distance, other, one))
    one, other, flipped, distance = one[order], other[order], flipped[order], distance[order]
    first = np.ones(len(one), dtype=bool)
    first[1:] = (one[1:] != one[:-1]) | (other[1:] != other[:-1])
    first &= one != other
    return one[first], other[first], flipped[first], distance[first]
