"""Pictures that are the same picture: in the submission, between it and the training set, and in that itself.

Three senses, from strict to loose: the same bytes in the file, the same pixels at the generated size (or
those of the mirror image), the same perceptual hash (or that of the mirror image; see `perceptual_hash`).
Against the training set every form counts in which it could have been copied.
"""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.copies.perceptual_hash import (
    SAME_PICTURE_BITS,
    SAME_SCENE_BITS,
    HashedPictures,
    Matches,
    matches_between,
)
from dogsgan.audit.groups import Edges, Group, group_numbers, star_groups
from dogsgan.audit.result import DuplicateGroup
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.progress import progress_bar

SENSES = ("bytes", "pixels", "perceptual hash")
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


class SamePicture(NamedTuple):
    """The training picture that a generated picture is; if there are several, one that is no mirror image."""

    picture: int
    view: int | None
    """The view whose pixels are equal; None where only the files are."""
    mirrored: bool
    """Whether the generated picture is the view's mirror image."""


class _Member(NamedTuple):
    """Where something was found: a picture of one side, which way round, and in which of its views."""

    picture: int
    mirrored: bool
    view: int | None = None


class _Found(NamedTuple):
    """A group by indices: generated pictures and training pictures, each sorted."""

    generated: tuple[int, ...]
    training: tuple[int, ...]
    flipped: bool


_Keyed = dict[Hashable, list[_Member]]


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

    files = _by_file(generated), _by_file(training)
    pixels = (
        _by_pixels(generated, label("pixels of generated pictures")),
        _by_pixels(training, label("pixels of training views")),
    )
    equals = _sets_of_equals(pixels[0])
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
    found = (_with_same_key(*files), _with_same_key(*pixels), alike)
    return Duplicates(
        groups=tuple(_listed(found, generated.names, training.names)),
        same_pixels=_same_pictures(files, pixels),
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


def _by_file(side: Collection) -> _Keyed:
    keyed: _Keyed = defaultdict(list)
    for picture, digest in enumerate(side.files):
        if digest is not None:
            keyed[digest].append(_Member(picture, False))
    return keyed


def _by_pixels(side: Collection, description: str | None) -> _Keyed:
    """Return pictures by a digest of their views' pixels that is the same for a mirror image."""
    keyed: _Keyed = defaultdict(list)
    starts: Iterable[int] = range(0, len(side.views), _PICTURES_AT_ONCE)
    if description is not None:
        starts = progress_bar(starts, description=description, unit="blocks")
    for start in starts:
        plain = np.array(side.views[start : start + _PICTURES_AT_ONCE])
        mirrored = torch.from_numpy(plain).flip(2).numpy()
        for offset, (one, other) in enumerate(zip(plain, mirrored, strict=True)):
            digests = hashlib.sha256(one).digest(), hashlib.sha256(other).digest()
            picture = int(side.picture_of_view[start + offset])
            keyed[min(digests)].append(_Member(picture, digests[0] > digests[1], start + offset))
    return keyed


def _with_same_key(generated: _Keyed, training: _Keyed) -> list[_Found]:
    found = []
    for key, own in generated.items():
        theirs = training.get(key, [])
        members = [member.picture for member in own]
        others = sorted({member.picture for member in theirs})
        if len(members) + len(others) > 1:
            ways = {member.mirrored for member in [*own, *theirs]}
            found.append(_Found(tuple(sorted(members)), tuple(others), len(ways) > 1))
    return found


def _same_pictures(files: tuple[_Keyed, _Keyed], pixels: tuple[_Keyed, _Keyed]) -> dict[int, SamePicture]:
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


def _meeting(generated: _Keyed, training: _Keyed) -> Iterator[tuple[_Member, list[_Member]]]:
    """Yield each generated picture with what has its key among the training pictures."""
    for key, own in generated.items():
        if key in training:
            for member in own:
                yield member, training[key]


def _sets_of_equals(pixels: _Keyed) -> list[list[int]]:
    """Return the pictures with equal pixels, as sorted lists in the order of their first ones."""
    return sorted(sorted(member.picture for member in members) for members in pixels.values())


def _by_picture(matches: Matches, training: HashedPictures) -> Matches:
    """Replace views by their pictures."""
    return matches._replace(right=training.owner[matches.right].astype(np.int64))


def _training_edges(inside: Matches, training: HashedPictures, *keyed: _Keyed) -> Edges:
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
) -> list[_Found]:
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


def _unfolded(group: Group, equals: list[list[int]]) -> _Found:
    offset = len(equals)
    own = sorted(picture for node in group.members if node < offset for picture in equals[node])
    theirs = tuple(node - offset for node in group.members if node >= offset)
    return _Found(tuple(own), theirs, group.flipped)


def _listed(
    found: Iterable[list[_Found]], generated: Sequence[str], training: Sequence[str]
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
