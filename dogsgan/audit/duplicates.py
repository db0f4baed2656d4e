"""Duplicates: the same picture twice, in the submission, the training set, or one in each.

Three senses, from strict to loose: the same bytes in the file, the same pixels at the generated size (or
those of the mirror image), the same perceptual hash (or that of the mirror image; see `perceptual_hash`).
Against the training set every form counts in which it could have been copied.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from dogsgan.audit.copies.perceptual_hash import (
    SAME_PICTURE_BITS,
    SAME_SCENE_BITS,
    HashedPictures,
    Matches,
    matches_between,
)
from dogsgan.audit.equals import (
    Collection,
    Found,
    Keyed,
    SamePicture,
    by_file,
    by_pixels,
    same_pictures,
    sets_of_equals,
    with_same_key,
)
from dogsgan.audit.groups import Edges, Group, group_numbers, star_groups
from dogsgan.audit.result import DuplicateGroup

SENSES = ("bytes", "pixels", "perceptual hash")


@dataclass(frozen=True, eq=False)
class Duplicates:
    """What is the same picture as what."""

    groups: tuple[DuplicateGroup, ...]
    """Those with a generated picture, strictest sense first, then largest first, then by name.

    A looser group is listed only where it adds a picture to the stricter ones, and repeats theirs then. So a
    picture can be in several, and those of its bytes are always told.
    """
    same_pixels: dict[int, "SamePicture"]
    """The generated pictures, by index, that are a training picture by their bytes or their pixels."""
    training_groups: np.ndarray
    """P int64: equal numbers for training pictures that are the same picture in any of the three senses."""
    training_scenes: np.ndarray
    """P int64: the same, wider: also for photographs of one burst.

    Too wide for simple drawings: of MNIST's digits a third would be in a group (see `perceptual_hash`).
    """


def find_duplicates(
    generated: Collection, training: Collection, *, show_progress: bool = False
) -> Duplicates:
    """Find the same pictures, mirror images included, and group them.

    Views are read in blocks and may be mapped from disk; all must have the generated pictures' size. Memory
    beyond them: about 400 MB for 85,000 views and 10,000 generated pictures.
    """
    _check(generated, training)

    def label(text: str) -> str | None:
        return f"duplicates: {text}" if show_progress else None

    files = by_file(generated), by_file(training)
    pixels = (
        by_pixels(generated, label("pixels of generated pictures")),
        by_pixels(training, label("pixels of training views")),
    )
    equals = sets_of_equals(pixels[0])
    firsts = np.array([members[0] for members in equals], dtype=np.int64)
    own = HashedPictures(
        generated.views, rows=firsts, owner=firsts, description=label("hashes of generated pictures")
    )
    theirs = HashedPictures(
        training.views,
        rows=np.arange(len(training.views)),
        owner=training.picture_of_view,
        description=label("hashes of training views"),
    )
    inside = matches_between(
        theirs, theirs, bits=SAME_SCENE_BITS, description=label("training with training")
    )
    scenes = _training_edges(inside, theirs, files[1], pixels[1])
    groups = _up_to(scenes, SAME_PICTURE_BITS)
    among = matches_between(own, own, bits=SAME_PICTURE_BITS, description=label("generated with generated"))
    across = matches_between(
        own, theirs, bits=SAME_PICTURE_BITS, description=label("generated with training")
    )
    count = len(training.names)
    alike = _looking_alike(equals, among, _by_picture(across, theirs), groups, count)
    found = (with_same_key(*files), with_same_key(*pixels), alike)
    return Duplicates(
        groups=tuple(_listed(found, generated.names, training.names)),
        same_pixels=same_pictures(files, pixels),
        training_groups=group_numbers(groups, count),
        training_scenes=group_numbers(scenes, count),
    )


def _check(generated: Collection, training: Collection) -> None:
    for side in (generated, training):
        if len(side.names) != len(side.files) or len(side.views) != len(side.picture_of_view):
            raise ValueError(
                f"{len(side.names)} names, {len(side.files)} files, {len(side.views)} views of "
                f"{len(side.picture_of_view)} pictures"
            )
    if generated.views.shape[1:] != training.views.shape[1:]:
        raise ValueError(
            f"generated {generated.views.shape} and training {training.views.shape} differ in size"
        )
    if not np.array_equal(generated.picture_of_view, np.arange(len(generated.names))):
        raise ValueError("a generated picture has one view, itself")


def _by_picture(matches: Matches, training: HashedPictures) -> Matches:
    """Replace views by their pictures."""
    return matches._replace(right=training.owner[matches.right].astype(np.int64))


def _training_edges(inside: Matches, training: HashedPictures, *keyed: Keyed) -> Edges:
    """Return which training pictures are the same, those with the same bytes or pixels at distance 0."""
    pairs = [
        (members[0], member)
        for by_key in keyed
        for members in by_key.values()
        if len(members) > 1
        for member in members[1:]
        if member.picture != members[0].picture
    ]
    ends = np.array([[one.picture, other.picture] for one, other in pairs], dtype=np.int64).reshape(-1, 2).T
    flipped = np.array([one.mirrored != other.mirrored for one, other in pairs], dtype=bool)
    hashed = _by_picture(inside._replace(left=training.owner[inside.left].astype(np.int64)), training)
    return Edges(
        np.concatenate([ends[0], hashed.left]),
        np.concatenate([ends[1], hashed.right]),
        np.concatenate([flipped, hashed.flipped]),
        np.concatenate([np.zeros(len(pairs), dtype=np.int64), hashed.bits]),
    )


def _up_to(edges: Edges, bits: int) -> Edges:
    return Edges(*(values[edges.distance <= bits] for values in edges))


def _looking_alike(
    equals: list[list[int]], among: Matches, across: Matches, inside: Edges, training_count: int
) -> list[Found]:
    """Group generated pictures and the training pictures they match; `inside` joins the latter.

    The graph's nodes are sets of generated pictures with equal pixels, then training pictures.
    """
    offset = len(equals)
    matched = np.zeros(training_count, dtype=bool)
    matched[across.right] = True
    between = matched[inside.left] & matched[inside.right]
    edges = Edges(
        np.concatenate([among.left, across.left, offset + inside.left[between]]),
        np.concatenate([among.right, offset + across.right, offset + inside.right[between]]),
        np.concatenate([among.flipped, across.flipped, inside.flipped[between]]),
        np.concatenate([among.bits, across.bits, inside.distance[between]]),
    )
    return [_unfolded(group, equals) for group in star_groups(edges, offset + training_count)]


def _unfolded(group: Group, equals: list[list[int]]) -> Found:
    offset = len(equals)
    own = sorted(picture for node in group.members if node < offset for picture in equals[node])
    theirs = tuple(node - offset for node in group.members if node >= offset)
    return Found(tuple(own), theirs, group.flipped)


def _listed(
    found: Iterable[list[Found]], generated: Sequence[str], training: Sequence[str]
) -> list[DuplicateGroup]:
    """Name the groups, strictest sense first, without those that add nothing to a stricter one."""
    listed = []
    stricter: dict[int, list[tuple[set[int], set[int]]]] = defaultdict(list)
    for how, groups in zip(SENSES, found, strict=True):
        new = [
            group
            for group in groups
            if group.generated
            and not any(
                own.issuperset(group.generated) and theirs.issuperset(group.training)
                for own, theirs in stricter[group.generated[0]]
            )
        ]
        for group in sorted(new, key=lambda group: (-len(group.generated) - len(group.training), group)):
            sets = set(group.generated), set(group.training)
            for picture in group.generated:
                stricter[picture].append(sets)
            listed.append(
                DuplicateGroup(
                    how=how,
                    generated=tuple(generated[picture] for picture in group.generated),
                    training=tuple(training[picture] for picture in group.training),
                    flipped=group.flipped,
                )
            )
    return listed
