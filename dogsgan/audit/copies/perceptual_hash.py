"""Perceptual hashes, by the ImageHash library: pictures that look the same although their pixels differ.

A hash of 64 bits finds the candidates among all pairs, one of 256 bits confirms them. Measured on 84,296
views of Stanford Dogs at 64 px, mirror images included: of 7.1 billion pairs of different pictures 6,162
differ in at most 10 of 64 bits, and most of those show two dogs. In 256 bits 104 then differ in at most 32
(one photograph, saved again, recoloured, mirrored or reframed by a hair, or two of a burst that hardly
differ) and 85 in 33 to 56 (one photograph or burst); the first dogs of different places are 64 bits apart. At
32 bits all of 1,500 views are found again after JPEG, scaling, blur of 1 px, noise of 8 grey levels and
changed light, a crop of 62 of 64 px in 90%, a shift by 1 px in 52%.

Simple drawings are more alike: of 2,000 unseen digits of MNIST 52 match one of 10,000 or each other at 32
bits; and at 56 bits 39% of the 10,000 match another.

A picture of one colour, of a plain gradient or of two flat halves has too few frequencies for a hash:
unrelated ones are alike. Of any other picture half the bits are set, for they compare with the median. Where
they are not, the picture takes no part here.
"""

import imagehash
import numpy as np
import torch
from PIL import Image

from dogsgan.audit.groups import Edges
from dogsgan.blockwise import blocks
from dogsgan.progress import progress_bar

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


class HashedPictures:
    """The hashes of M of the pictures V×S×S×3 uint8; those of 256 bits are made when a pair asks for them.

    `rows`, M, says which pictures; `owner`, M, what each is a form of: forms of one are not matched with each
    other. `description` heads a progress bar.
    """

    def __init__(
        self, pictures: np.ndarray, *, rows: np.ndarray, owner: np.ndarray, description: str = "hashes"
    ) -> None:
        self.owner = np.asarray(owner, dtype=np.int64)
        self._pictures, self._rows = pictures, np.asarray(rows)
        self.coarse = np.empty((2, len(rows), _COARSE_SIDE**2), dtype=np.int8)  # as they are, mirrored
        self._fine = np.empty((2, len(rows), _FINE_SIDE**2 // 8), dtype=np.uint8)
        self._has_fine = np.zeros((2, len(rows)), dtype=bool)
        for index in progress_bar(range(len(rows)), description=description):
            for side in (0, 1):
                self.coarse[side, index] = self._bits(index, side, _COARSE_SIDE)
        set_bits = (self.coarse[0] > 0).sum(axis=1)
        self.informative = np.abs(set_bits - _COARSE_SIDE**2 // 2) <= _UNBALANCED_BITS

    def __len__(self) -> int:
        return len(self._rows)

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


def matches_between(
    left: HashedPictures, right: HashedPictures, *, bits: int, description: str = "matches"
) -> Edges:
    """Return an edge for each two owners that differ in at most `bits` of 256, the left ones also mirrored.

    Where both sides are the same object each pair is found once, without those of one owner. Of more than 64
    matches of one left picture the closest 64 are kept. Every candidate of 64 bits is looked at, in tiles;
    memory beyond the hashes: about 250 MB, and 32 bytes for each match.
    """
    found, held = [np.empty((4, 0), dtype=np.int64)], 0
    tiles = [
        (side, rows, columns)
        for side in (0, 1)
        for rows in blocks(len(left), _ROWS_AT_ONCE)
        for columns in blocks(len(right), _COLUMNS_AT_ONCE)
        if left is not right or columns.stop - 1 > rows.start  # some of it is above the diagonal
    ]
    buffer = torch.empty(_ROWS_AT_ONCE * _COLUMNS_AT_ONCE)
    for side, rows, columns in progress_bar(tiles, description=description, unit="blocks"):
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
