"""The data are found wherever Kaggle ever mounted them; where they are not, what is there is said."""

import zipfile

import pytest

from dogsgan.data.sources import open_source
from dogsgan.data.synthetic import draw_competition
from dogsgan.errors import DogsganError
from dogsgan.kernel.inside.mounts import find_data
from dogsgan.kernel.staging import MOUNTS, lay_out

IMAGES = 6


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=IMAGES, seed=1)


@pytest.mark.parametrize("mount", sorted(set(MOUNTS) - {"none"}))
def test_every_mount_is_found_and_holds_the_same_pictures(source, mount, tmp_path):
    lay_out(source, tmp_path / "input", mount=mount)
    found = find_data(tmp_path / "input", tmp_path / "scratch")
    opened, original = open_source(found.path), open_source(source)
    assert opened.kind == "competition"
    assert [image.boxes for image in opened.images] == [image.boxes for image in original.images]
    assert [opened.read(image) for image in opened.images] == [
        original.read(image) for image in original.images
    ]
    assert f"{IMAGES} pictures, {IMAGES} annotations" in found.description
    assert str(tmp_path / "input") in found.description


def test_a_folder_deep_down_is_found(source, tmp_path):
    lay_out(source, tmp_path / "input" / "datasets" / "somebody", mount="competition")
    assert find_data(tmp_path / "input", tmp_path).path.name == "generative-dog-images"


def test_stanford_s_own_layout_is_found(source, tmp_path):
    root = tmp_path / "input" / "stanford-dogs"
    with zipfile.ZipFile(source) as archive:
        for name in archive.namelist():
            if "annotation/Annotation/" in name:
                breed, stem = name.split("/")[-2:]
                (root / "Annotation" / breed).mkdir(parents=True, exist_ok=True)
                (root / "Annotation" / breed / stem).write_bytes(archive.read(name))
                (root / "Images" / breed).mkdir(parents=True, exist_ok=True)
                (root / "Images" / breed / f"{stem}.jpg").write_bytes(
                    archive.read(f"all-dogs/all-dogs/{stem}.jpg")
                )
    found = find_data(tmp_path / "input", tmp_path)
    assert open_source(found.path).kind == "stanford"


def test_what_is_attached_and_what_was_looked_for_are_listed(source, tmp_path):
    lay_out(source, tmp_path / "input", mount="none")
    with pytest.raises(DogsganError) as error:
        find_data(tmp_path / "input", tmp_path)
    assert "another-dataset/table.csv" in str(error.value)
    assert "all-dogs/ beside annotation/" in str(error.value)
    assert "competition_sources" in str(error.value)


def test_nothing_at_all_is_said(tmp_path):
    with pytest.raises(DogsganError, match="does not exist"):
        find_data(tmp_path / "input", tmp_path)


def test_an_empty_mount_is_passed_over(source, tmp_path):
    empty = tmp_path / "input" / "generative-dog-images"
    (empty / "all-dogs").mkdir(parents=True)
    (empty / "annotation").mkdir()
    lay_out(source, tmp_path / "input" / "other", mount="zip")
    assert find_data(tmp_path / "input", tmp_path).path.name == "generative-dog-images.zip"


def test_a_broken_zip_is_passed_over(tmp_path):
    folder = tmp_path / "input" / "generative-dog-images"
    folder.mkdir(parents=True)
    (folder / "all-dogs.zip").write_bytes(b"PK\x03\x04 not really")
    (folder / "Annotation.zip").write_bytes(b"")
    (folder / "other.zip").write_bytes(b"PK")
    with pytest.raises(DogsganError, match=r"generative-dog-images/all-dogs\.zip"):
        find_data(tmp_path / "input", tmp_path / "scratch")


def test_pictures_without_boxes_do_for_a_recipe_without_classes(tmp_path):
    folder = tmp_path / "input" / "cats"
    folder.mkdir(parents=True)
    (folder / "cat.png").write_bytes(b"")
    assert find_data(tmp_path / "input", tmp_path, with_boxes=False).path == tmp_path / "input"
    with pytest.raises(DogsganError):
        find_data(tmp_path / "input", tmp_path)


def test_a_name_in_the_zips_never_leads_out(tmp_path):
    folder = tmp_path / "input" / "generative-dog-images"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "all-dogs.zip", "w") as archive:
        archive.writestr("../../evil/n02085620_1.jpg", b"x")
    with zipfile.ZipFile(folder / "Annotation.zip", "w") as archive:
        archive.writestr("../../../n02085620-Chihuahua/n02085620_1", b"<annotation/>")
    found = find_data(tmp_path / "input", tmp_path / "scratch")
    with zipfile.ZipFile(found.path) as archive:
        assert sorted(archive.namelist()) == [
            "all-dogs/all-dogs/n02085620_1.jpg",
            "annotation/Annotation/n02085620-Chihuahua/n02085620_1",
        ]
    assert not (tmp_path / "evil").exists()


def test_real_data_are_found(shared_data, tmp_path):
    folder = tmp_path / "input" / "competitions" / "generative-dog-images"
    folder.parent.mkdir(parents=True)
    folder.symlink_to(shared_data / "generative-dog-images-mini")
    assert find_data(tmp_path / "input", tmp_path).description.startswith("510 pictures, 511 annotations")
