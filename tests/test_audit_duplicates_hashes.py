"""Perceptual hashes: what they match, what they must not, and that tiles and limits change nothing."""

import numpy as np
import pytest
from drawn_pictures import drawn_pictures, halved_and_back, saved_as_jpeg

from dogsgan.audit import duplicates
from dogsgan.audit.duplicates import Edges, HashedPictures, matches_between


def hashed(pictures: np.ndarray, owner: np.ndarray | None = None) -> HashedPictures:
    rows = np.arange(len(pictures))
    return HashedPictures(pictures, rows=rows, owner=rows if owner is None else owner)


def pairs(matches: Edges) -> list[tuple[int, int, bool]]:
    return sorted(zip(matches.left.tolist(), matches.right.tolist(), matches.flipped.tolist(), strict=True))


def test_a_picture_saved_again_scaled_or_brightened_matches_itself_and_no_other() -> None:
    pictures = drawn_pictures(40, seed=1)
    for change in (
        lambda picture: picture,
        lambda picture: saved_as_jpeg(picture, quality=40),
        halved_and_back,
        lambda picture: (picture * 0.8).astype(np.uint8),
    ):
        copies = np.stack([change(picture) for picture in pictures])
        found = matches_between(hashed(copies), hashed(pictures), bits=32)
        assert pairs(found) == [(index, index, False) for index in range(40)]


def test_mirror_images_match_and_are_said_to_be_such() -> None:
    pictures = drawn_pictures(30, seed=2)
    found = matches_between(hashed(pictures[:10, :, ::-1]), hashed(pictures), bits=32)
    assert pairs(found) == [(index, index, True) for index in range(10)]
    assert found.distance.max() <= 4


def test_one_side_with_itself_gives_each_pair_once_and_no_forms_of_one_picture() -> None:
    pictures = drawn_pictures(12, seed=3)
    together = np.concatenate([pictures, pictures[[4, 7]], pictures[[2]][:, :, ::-1]])
    owner = np.r_[np.arange(12), 4, 12, 13]
    side = hashed(together, owner)
    assert pairs(matches_between(side, side, bits=32)) == [(2, 13, True), (7, 12, False)]


def test_pictures_that_tell_nothing_take_no_part() -> None:
    y = np.mgrid[:32, :32][0][..., None].repeat(3, axis=2)
    plain = [np.full((32, 32, 3), level) for level in (0, 90, 255)]
    gradients = [40 + factor * y for factor in (2, 4, 6)]
    halves = [np.where(y < height, 200, 60) for height in (10, 16, 22)]
    empty = hashed(np.stack([*plain, *gradients, *halves]).astype(np.uint8))
    assert not empty.informative.any()
    assert len(matches_between(empty, empty, bits=64).left) == 0
    assert hashed(drawn_pictures(50, seed=4)).informative.all()


@pytest.mark.parametrize("block", [1, 3, 7, 100])
def test_tiles_find_what_one_look_at_everything_finds(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = drawn_pictures(20, seed=5)
    copies = np.stack([saved_as_jpeg(picture, quality=60) for picture in pictures])
    together = np.concatenate([pictures, copies[::2], copies[1::2, :, ::-1]])
    side = hashed(together)
    expected = pairs(matches_between(side, side, bits=32))
    assert len(expected) == 20
    monkeypatch.setattr(duplicates, "_ROWS_AT_ONCE", block)
    monkeypatch.setattr(duplicates, "_COLUMNS_AT_ONCE", block + 2)
    monkeypatch.setattr(duplicates, "_MOST_HELD", 2)
    monkeypatch.setattr(duplicates, "_CONFIRMED_AT_ONCE", 5)
    assert pairs(matches_between(side, side, bits=32)) == expected


def test_many_that_look_the_same_keep_the_closest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "_MOST_OF_A_ROW", 3)
    picture = drawn_pictures(1, seed=6)[0]
    qualities = [95, 80, 60, 40, 20, 10]
    copies = np.stack([saved_as_jpeg(picture, quality=quality) for quality in qualities])
    found = matches_between(hashed(picture[None]), hashed(copies), bits=256)
    everything = HashedPictures(copies, rows=np.arange(6), owner=np.arange(6))
    differing = hashed(picture[None]).fine(np.array([0]), mirrored=False) ^ everything.fine(
        np.arange(6), mirrored=False
    )
    bits = np.unpackbits(differing, axis=1).sum(axis=1)
    assert sorted(found.distance.tolist()) == sorted(bits.tolist())[:3]
    assert found.distance.tolist() == bits[found.right].tolist()


def test_only_the_asked_rows_are_hashed() -> None:
    pictures = drawn_pictures(6, seed=7)
    some = HashedPictures(pictures, rows=np.array([5, 1]), owner=np.array([50, 10]))
    assert pairs(matches_between(some, hashed(pictures), bits=32)) == [(10, 1, False), (50, 5, False)]


def test_nothing_matches_nothing() -> None:
    none = hashed(np.empty((0, 16, 16, 3), dtype=np.uint8))
    assert len(matches_between(none, none, bits=32).left) == 0
    assert len(matches_between(none, hashed(drawn_pictures(3)), bits=32).left) == 0
