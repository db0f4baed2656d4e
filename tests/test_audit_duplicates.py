"""The same pictures: by bytes, pixels and perceptual hash, in the submission and against the training set."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import drawn_pictures, halved_and_back, saved_as_jpeg
from PIL import Image

from dogsgan.audit.duplicates import Collection, Duplicates, file_digests, find_duplicates
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
