"""The data are found wherever Kaggle ever mounted them; where they are not, what is there is said."""

import dataclasses
import zipfile

import pytest
from kaggle_mounts import MOUNTS, mount
from tiny import RECIPE

from dogsgan.config import DataRecipe, Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.data.layouts import CELEBA, DIGITS
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.kernel.mounts import find_data, layout_for
from dogsgan.kernel.rehearse import lay_out

IMAGES = 6
DATA = {
    None: DataRecipe(),
    DIGITS: DataRecipe(channels=1, policy="whole"),
    CELEBA: DataRecipe(policy="center-9"),
}


def find(root, scratch, *, with_boxes=True, sought=None, recipe_name="tiny"):
    model = dataclasses.replace(RECIPE.model, conditional=with_boxes)
    return find_data(root, scratch, Recipe(name=recipe_name, data=DATA[sought], model=model))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=IMAGES, seed=1)


@pytest.mark.parametrize("name", [*MOUNTS, "dataset"])
def test_every_mount_is_found_and_holds_the_same_pictures(source, name, tmp_path):
    if name == "dataset":
        lay_out(source, tmp_path / "input", mount=name)
    else:
        mount(source, tmp_path / "input", name)
    found = find(tmp_path / "input", tmp_path / "scratch")
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
    assert find(tmp_path / "input", tmp_path).path.name == "generative-dog-images"


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
    found = find(tmp_path / "input", tmp_path)
    assert open_source(found.path).kind == "stanford"


def test_what_is_attached_and_what_was_looked_for_are_listed(source, tmp_path):
    lay_out(source, tmp_path / "input", mount="none")
    with pytest.raises(DogsganError) as error:
        find(tmp_path / "input", tmp_path)
    assert "another-dataset/table.csv" in str(error.value)
    assert "all-dogs/ beside annotation/" in str(error.value)
    assert "competition_sources" in str(error.value)


def test_nothing_at_all_is_said(tmp_path):
    with pytest.raises(DogsganError, match="does not exist"):
        find(tmp_path / "input", tmp_path)


def test_an_empty_mount_is_passed_over(source, tmp_path):
    empty = tmp_path / "input" / "generative-dog-images"
    (empty / "all-dogs").mkdir(parents=True)
    (empty / "annotation").mkdir()
    mount(source, tmp_path / "input" / "other", "zip")
    assert find(tmp_path / "input", tmp_path).path.name == "generative-dog-images.zip"


def test_a_broken_zip_is_passed_over(tmp_path):
    folder = tmp_path / "input" / "generative-dog-images"
    folder.mkdir(parents=True)
    (folder / "all-dogs.zip").write_bytes(b"PK\x03\x04 not really")
    (folder / "Annotation.zip").write_bytes(b"")
    (folder / "other.zip").write_bytes(b"PK")
    with pytest.raises(DogsganError, match=r"generative-dog-images/all-dogs\.zip"):
        find(tmp_path / "input", tmp_path / "scratch")


def test_pictures_without_boxes_do_for_a_recipe_without_classes(tmp_path):
    folder = tmp_path / "input" / "cats"
    folder.mkdir(parents=True)
    (folder / "cat.png").write_bytes(b"")
    assert find(tmp_path / "input", tmp_path, with_boxes=False).path == tmp_path / "input"
    with pytest.raises(DogsganError):
        find(tmp_path / "input", tmp_path)


def test_a_name_in_the_zips_never_leads_out(tmp_path):
    folder = tmp_path / "input" / "generative-dog-images"
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "all-dogs.zip", "w") as archive:
        archive.writestr("../../evil/n02085620_1.jpg", b"x")
    with zipfile.ZipFile(folder / "Annotation.zip", "w") as archive:
        archive.writestr("../../../n02085620-Chihuahua/n02085620_1", b"<annotation/>")
    found = find(tmp_path / "input", tmp_path / "scratch")
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
    assert find(tmp_path / "input", tmp_path).description.startswith("510 pictures, 511 annotations")


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return draw_digits(tmp_path_factory.mktemp("drawn") / "digits", images=20)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_digits_are_found_beside_the_competition_s_files_where_a_recipe_is_for_them(
    source, digits, tmp_path, packed
):
    root = tmp_path / "input"
    lay_out(source, root, mount="competition")
    given = digits
    if packed:
        given = tmp_path / "mnist.zip"
        with zipfile.ZipFile(given, "w") as archive:
            for path in digits.iterdir():
                archive.write(path, path.name)
    assert lay_out(given, root) == "dataset"
    for with_boxes in (True, False):
        found = find(root, tmp_path / "scratch", with_boxes=with_boxes, sought=DIGITS)
        assert "(MNIST) in" in found.description
        assert len(open_source(found.path).images) == 20
    assert open_source(find(root, tmp_path / "scratch").path).kind == "competition"


def test_celeba_is_found_beside_the_competition_s_files(source, tmp_path):
    root = tmp_path / "input"
    lay_out(source, root, mount="competition")
    folder = root / "celeba-dataset" / "img_align_celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    (folder / "000001.jpg").write_bytes(b"")
    found = find(root, tmp_path / "scratch", with_boxes=False, sought=CELEBA)
    assert found.path == root / "celeba-dataset"


def test_a_recipe_for_digits_takes_dogs_where_there_are_no_digits(source, tmp_path):
    lay_out(source, tmp_path / "input", mount="competition")
    found = find(tmp_path / "input", tmp_path / "scratch", sought=DIGITS)
    assert open_source(found.path).kind == "competition"


def test_what_a_recipe_is_for_is_said_where_there_is_nothing(tmp_path):
    with pytest.raises(DogsganError, match=r"looked for train-images.* .MNIST.; .* dataset_sources"):
        find(tmp_path / "input", tmp_path / "scratch", sought=DIGITS)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (DataRecipe(), None),
        (DataRecipe(policy="center"), None),
        (DataRecipe(policy="center-160"), CELEBA),
        (DataRecipe(channels=1, size_px=28, policy="whole"), DIGITS),
        (DataRecipe(channels=1), None),  # dogs in grey
    ],
)
def test_what_a_recipe_s_crops_are_made_for(data, kind):
    assert layout_for(data) is kind


def lay_out_pictures(folder):
    folder.mkdir(parents=True)
    (folder / "1.png").write_bytes(b"")
    return folder


@pytest.mark.parametrize("places", [("mnist", "fashion"), ("datasets/me/mnist", "fashion")])
def test_of_two_sets_of_digits_none_is_chosen(digits, tmp_path, places):
    for place in places:
        (tmp_path / "input" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "input" / place).symlink_to(digits)
    with pytest.raises(DogsganError, match=r"several data sets .*fashion.*attach only the one"):
        find(tmp_path / "input", tmp_path / "scratch", sought=DIGITS, recipe_name="mnist-gan")


@pytest.mark.parametrize("place", ["xrays", "datasets/me/xrays"])
def test_a_grey_recipe_of_other_pictures_is_not_trained_on_digits(digits, tmp_path, place):
    root = tmp_path / "input"
    root.mkdir()
    (root / "mnist").symlink_to(digits)
    lay_out_pictures(root / place)
    with pytest.raises(DogsganError, match=r"several data sets that are attached \(.*mnist.*xrays"):
        find(root, tmp_path / "scratch", with_boxes=False, sought=DIGITS, recipe_name="my lungs")
    assert find(root, tmp_path, sought=DIGITS, recipe_name="mnist-gan").path == root / "mnist"
    (root / "mnist").unlink()
    found = find(root, tmp_path / "scratch", with_boxes=False, sought=DIGITS, recipe_name="my lungs")
    assert "1 pictures without boxes" in found.description


@pytest.mark.parametrize("places", [("cats", "cars"), ("datasets/me/cats", "datasets/you/cars")])
def test_pictures_of_two_data_sets_are_not_mixed(tmp_path, places):
    for place in places:
        lay_out_pictures(tmp_path / "input" / place)
    with pytest.raises(DogsganError, match="several data sets"):
        find(tmp_path / "input", tmp_path / "scratch", with_boxes=False)


def test_the_same_digits_in_a_deeper_folder_are_one_data_set(digits, tmp_path):
    (tmp_path / "input/mnist/MNIST").mkdir(parents=True)
    (tmp_path / "input/mnist/MNIST/raw").symlink_to(digits)
    found = find(tmp_path / "input", tmp_path / "scratch", with_boxes=False, sought=DIGITS)
    assert len(open_source(found.path).images) == 20
