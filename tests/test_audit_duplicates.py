"""The same pictures, by bytes, pixels and perceptual hash: what matches what, and the groups made of it."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import drawn_pictures, halved_and_back, saved_as_jpeg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dogsgan.audit import duplicates
from dogsgan.audit.duplicates import (
    Collection,
    Duplicates,
    Edges,
    HashedPictures,
    file_digests,
    find_duplicates,
    group_numbers,
    matches_between,
    star_groups,
)
from dogsgan.audit.result import DuplicateGroup
from dogsgan.data.cropset import write_crop_set
from dogsgan.data.pictures import decode_picture
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError


def side(
    pictures: np.ndarray,
    letter: str,
    *,
    files: list[bytes | None] | None = None,
    picture_of_view: np.ndarray | None = None,
) -> Collection:
    owners = np.arange(len(pictures)) if picture_of_view is None else picture_of_view
    names = [f"{letter}{index}" for index in range(int(owners.max()) + 1)] if len(owners) else []
    return Collection(names, files or [None] * len(names), pictures, owners)


def group(how: str, generated: str, training: str = "", *, flipped: bool = False) -> DuplicateGroup:
    return DuplicateGroup(how, tuple(generated.split()), tuple(training.split()), flipped)


def test_honest_pictures_are_in_no_group() -> None:
    found = find_duplicates(side(drawn_pictures(40, seed=1), "g"), side(drawn_pictures(60, seed=2), "t"))
    assert found.groups == ()
    assert found.training_groups.tolist() == list(range(60))


def test_the_same_bytes_are_found_in_the_submission_and_against_the_training_set() -> None:
    pictures = drawn_pictures(8, seed=3)
    generated = side(pictures[:4], "g", files=[b"one", b"two", b"one", None])
    training = side(pictures[4:], "t", files=[b"two", None, b"three", b"one"])
    assert find_duplicates(generated, training).groups == (
        group("bytes", "g0 g2", "t3"),
        group("bytes", "g1", "t0"),
    )


def test_the_same_pixels_are_found_mirrored_too() -> None:
    pictures = drawn_pictures(9, seed=4)
    generated = np.stack([pictures[0], pictures[1], pictures[0], pictures[2][:, ::-1], pictures[3]])
    found = find_duplicates(side(generated, "g"), side(pictures[2:], "t"))
    assert found.groups == (
        group("pixels", "g0 g2"),
        group("pixels", "g3", "t0", flipped=True),
        group("pixels", "g4", "t1"),
    )


def test_a_picture_that_is_its_own_mirror_image_is_not_called_flipped() -> None:
    half = drawn_pictures(1, seed=5)[0][:, :16]
    symmetric = np.concatenate([half, half[:, ::-1]], axis=1)
    found = find_duplicates(side(symmetric[None], "g"), side(symmetric[None], "t"))
    assert found.groups == (group("pixels", "g0", "t0"),)


def test_copies_that_were_saved_again_or_scaled_are_found_mirrored_too() -> None:
    pictures = drawn_pictures(30, seed=6)
    copies = np.stack(
        [
            saved_as_jpeg(pictures[11], quality=40),
            halved_and_back(pictures[12]),
            saved_as_jpeg(pictures[13][:, ::-1], quality=60),
        ]
    )
    generated = np.concatenate([drawn_pictures(5, seed=7), copies])
    assert find_duplicates(side(generated, "g"), side(pictures, "t")).groups == (
        group("perceptual hash", "g5", "t11"),
        group("perceptual hash", "g6", "t12"),
        group("perceptual hash", "g7", "t13", flipped=True),
    )


def test_every_form_of_a_training_picture_counts() -> None:
    views = drawn_pictures(10, seed=8)
    generated = np.stack([views[3], saved_as_jpeg(views[8], quality=50)])
    training = side(views, "t", picture_of_view=np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4]))
    assert find_duplicates(side(generated, "g"), training).groups == (
        group("pixels", "g0", "t1"),
        group("perceptual hash", "g1", "t4"),
    )


def test_a_looser_group_is_listed_only_where_it_adds_a_picture() -> None:
    pictures = drawn_pictures(6, seed=9)
    again = saved_as_jpeg(pictures[0], quality=50)
    generated = side(
        np.stack([pictures[0], pictures[0], pictures[1], again]), "g", files=[b"a", b"a", b"b", b"c"]
    )
    training = side(pictures[1:], "t", files=[b"b", b"d", b"e", b"f", b"g"])
    assert find_duplicates(generated, training).groups == (
        group("bytes", "g0 g1"),
        group("bytes", "g2", "t0"),
        group("perceptual hash", "g0 g1 g3"),
    )


def test_duplicates_inside_the_training_set_share_a_number() -> None:
    pictures = drawn_pictures(8, seed=10)
    views = np.concatenate(
        [
            pictures,
            saved_as_jpeg(pictures[2], quality=50)[None],
            pictures[5][None, :, ::-1],
            drawn_pictures(2, seed=11),
        ]
    )
    files: list[bytes | None] = [bytes([index]) for index in range(12)]
    files[11] = files[7]
    found = find_duplicates(side(drawn_pictures(3, seed=12), "g"), side(views, "t", files=files))
    assert found.groups == ()
    assert found.training_groups.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 2, 5, 10, 7]


def test_a_copy_of_a_picture_that_is_twice_in_the_training_set_is_grouped_with_both() -> None:
    pictures = drawn_pictures(6, seed=13)
    views = np.concatenate([pictures, saved_as_jpeg(pictures[3], quality=70)[None]])
    copy = saved_as_jpeg(pictures[3], quality=30)
    found = find_duplicates(side(copy[None], "g"), side(views, "t"))
    assert found.groups == (group("perceptual hash", "g0", "t3 t6"),)


def test_copies_that_differ_from_each_other_are_one_group_around_what_they_copy() -> None:
    base, cloud, other_cloud = drawn_pictures(3, size_px=64, seed=20).astype(float)
    copies = [base + 0.24 * (cloud - 128), base + 0.24 * (other_cloud - 128)]
    generated = np.stack(copies).clip(0, 255).astype(np.uint8)
    alone = find_duplicates(side(generated, "g"), side(drawn_pictures(3, size_px=64), "t"))
    assert alone.groups == ()
    twice = np.stack([base.astype(np.uint8), saved_as_jpeg(base.astype(np.uint8), quality=70)])
    found = find_duplicates(side(generated, "g"), side(twice, "t"))
    assert found.groups == (group("perceptual hash", "g0 g1", "t0 t1"),)


def test_plain_pictures_are_the_same_only_where_their_pixels_are() -> None:
    y = np.mgrid[:32, :32][0][..., None].repeat(3, axis=2)
    skies = np.stack([np.where(y < height, 210, 70) for height in range(8, 24)]).astype(np.uint8)
    colours = np.stack([np.full((32, 32, 3), level) for level in (0, 9, 0, 200)]).astype(np.uint8)
    found = find_duplicates(side(np.concatenate([colours, skies[:8]]), "g"), side(skies[8:], "t"))
    assert found.groups == (group("pixels", "g0 g2"),)
    assert found.training_groups.tolist() == list(range(8))


def test_a_generator_that_draws_one_picture_all_the_time_is_told_once() -> None:
    one = drawn_pictures(1, seed=14)
    found = find_duplicates(side(np.repeat(one, 500, axis=0), "g"), side(drawn_pictures(4, seed=15), "t"))
    assert [len(item.generated) for item in found.groups] == [500]


def test_names_are_told_in_order_and_twice_the_same() -> None:
    pictures = drawn_pictures(12, seed=16)
    random = np.random.default_rng(0)
    generated = pictures[random.integers(0, 12, 40)]
    found = [find_duplicates(side(generated, "g"), side(pictures, "t")) for _ in range(2)]
    assert found[0].groups == found[1].groups
    sizes = [len(item.generated) for item in found[0].groups]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(sizes) == 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    pictures = drawn_pictures(2, seed=17)
    for name, picture in (("a.png", pictures[0]), ("b.png", pictures[1]), ("c.png", pictures[0])):
        Image.fromarray(picture).save(folder / name)
    return folder


def test_files_are_told_apart_by_their_bytes_in_a_folder_and_in_a_zip(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, path.name)
    names = ["c.png", "b.png", "a.png"]
    digests = file_digests(open_source(folder), names)
    assert digests[0] == digests[2] != digests[1]
    assert file_digests(open_source(tmp_path / "pictures.zip"), names) == digests


def test_a_file_that_is_gone_is_named(folder: Path) -> None:
    source = open_source(folder)
    (folder / "b.png").unlink()
    with pytest.raises(DogsganError, match=r"b\.png"):
        file_digests(source, ["a.png", "b.png"])


def test_a_prepared_set_has_no_files(tmp_path: Path) -> None:
    write_crop_set(tmp_path / "set", drawn_pictures(3))
    source = open_source(tmp_path / "set")
    assert file_digests(source, [image.name for image in source.images]) == [None, None, None]


def test_copies_of_real_dogs_are_found_and_other_dogs_are_not(shared_data: Path) -> None:
    source = open_source(shared_data / "generative-dog-images-mini")
    dogs = np.stack(
        [
            np.asarray(
                decode_picture(source.read(image), image.name, min_size=(80, 80)).resize(
                    (64, 64), Image.Resampling.LANCZOS
                )
            )
            for image in source.images
        ]
    )
    names = [image.name for image in source.images]
    unseen, training = dogs[1::2], dogs[::2]
    copies = [
        saved_as_jpeg(training[0], quality=40),
        halved_and_back(training[50]),
        saved_as_jpeg(training[100][:, ::-1], quality=75),
        (training[150] * 0.75).astype(np.uint8),
    ]
    found: Duplicates = find_duplicates(
        Collection(
            ["g0", "g1", "g2", "g3", *names[1::2]],
            [None] * 4 + file_digests(source, names[1::2]),
            np.stack([*copies, *unseen]),
            np.arange(4 + len(unseen)),
        ),
        Collection(names[::2], file_digests(source, names[::2]), training, np.arange(len(training))),
    )
    # The first is one file under two breeds, in the competition's data as in Stanford's.
    assert found.groups == (
        group("bytes", "n02095314_80.jpg", "n02093991_114.jpg"),
        group("perceptual hash", "g0", names[0]),
        group("perceptual hash", "g1", names[100]),
        group("perceptual hash", "g2", names[200], flipped=True),
        group("perceptual hash", "g3", names[300]),
    )


def test_each_picture_is_told_by_itself_whether_it_is_a_mirror_image() -> None:
    """A mirrored twin in the submission, or in the training set, says nothing of the others in the group."""
    pictures = drawn_pictures(6, seed=20)
    training = np.stack([pictures[0], pictures[1], pictures[1][:, ::-1], pictures[2]])
    generated = np.stack(
        [
            pictures[0][:, ::-1],
            pictures[0],
            pictures[1][:, ::-1],
            pictures[1],
            pictures[2][:, ::-1],
            pictures[3],
        ]
    )
    found = find_duplicates(side(generated, "g"), side(training, "t"))
    told = {index: (same.picture, same.view, same.mirrored) for index, same in found.same_pixels.items()}
    assert told == {
        0: (0, 0, True),
        1: (0, 0, False),
        2: (2, 2, False),
        3: (1, 1, False),
        4: (3, 3, True),
    }


def test_the_picture_with_the_same_file_goes_before_one_with_the_same_pixels() -> None:
    picture = drawn_pictures(1, seed=21)
    twice = np.concatenate([picture, picture])
    training = Collection(("a", "b"), (b"a", b"b"), twice, np.arange(2))
    generated = Collection(("x", "y"), (b"b", b"y"), twice, np.arange(2))
    same = find_duplicates(generated, training).same_pixels
    assert (same[0].picture, same[1].picture) == (1, 0)


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


def edges_of(pairs: list[tuple[int, int, bool, int]]) -> Edges:
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 4).T
    return Edges(columns[0], columns[1], columns[2] == 1, columns[3])


PAIRS = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.booleans(), st.integers(0, 9)), max_size=40
)


@given(PAIRS)
def test_every_group_has_one_that_all_are_joined_to_and_all_with_an_edge_are_in_one(
    pairs: list[tuple[int, int, bool, int]],
) -> None:
    joined = {(a, b) for a, b, _, _ in pairs if a != b} | {(b, a) for a, b, _, _ in pairs if a != b}
    groups = star_groups(edges_of(pairs), 12)
    assert {index for group in groups for index in group.members} == {a for a, _ in joined}
    for group in groups:
        assert len(group.members) >= 2
        assert any(
            all(center == other or (center, other) in joined for other in group.members)
            for center in group.members
        )


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_the_edges_changes_nothing(
    pairs: list[tuple[int, int, bool, int]], random: object
) -> None:
    turned = [(b, a, flipped, distance) for a, b, flipped, distance in pairs]
    random.shuffle(turned)  # type: ignore[attr-defined]
    assert star_groups(edges_of(pairs), 12) == star_groups(edges_of(turned), 12)


@given(PAIRS)
def test_what_has_no_edge_keeps_its_own_number(pairs: list[tuple[int, int, bool, int]]) -> None:
    numbers = group_numbers(edges_of(pairs), 12)
    alone = set(range(12)) - {index for a, b, _, _ in pairs if a != b for index in (a, b)}
    for index in alone:
        assert numbers[index] == index
        assert (numbers == index).sum() == 1
    for index in set(range(12)) - alone:
        assert (numbers == numbers[index]).sum() >= 2


def test_a_row_of_pictures_that_change_little_by_little_is_not_one_group() -> None:
    row = [(index, index + 1, False, 5) for index in range(30)]
    groups = star_groups(edges_of(row), 31)
    assert max(len(group.members) for group in groups) == 3


def test_what_is_like_all_others_is_in_the_middle() -> None:
    assert star_groups(edges_of([(4, 2, False, 1), (2, 7, True, 1), (2, 0, False, 3)]), 8) == [
        ((0, 2, 4, 7), True)
    ]


def test_one_that_is_left_over_goes_with_the_closest_the_right_way_round() -> None:
    pairs = [(0, 1, False, 9), (0, 2, False, 9), (0, 3, False, 9), (3, 4, True, 2), (3, 4, False, 8)]
    assert star_groups(edges_of([*pairs, (1, 4, False, 4)]), 5) == [
        ((0, 1, 2, 3), False),
        ((3, 4), True),
    ]


def test_a_left_over_one_gets_the_number_of_the_group_of_the_closest() -> None:
    numbers = group_numbers(edges_of([(5, 6, False, 1), (5, 7, False, 1), (7, 2, False, 1)]), 9)
    assert numbers.tolist() == [0, 1, 5, 3, 4, 5, 5, 5, 8]
