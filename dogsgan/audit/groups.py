"""Groups of equal pictures, made from pairs, without chains that join what is not equal."""

from typing import NamedTuple

import numpy as np


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
