"""Two classes that people call alike stay two: in sets, generator files, labels, and figures per class."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_sources import jpeg, lay_out

from dogsgan.config import DataRecipe
from dogsgan.data.class_names import class_index, distinct, names_for_people
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source

BIRD, MACHINE, PUG = "n02012849-crane", "n03126707-crane", "n09110958-pug"
FILES = {
    f"{folder}/{i}.png": jpeg(shade=9 * i + number)
    for number, folder in enumerate((BIRD, MACHINE, PUG))
    for i in (1, 2)
}


def test_a_set_keeps_two_classes_of_one_name_apart(tmp_path: Path) -> None:
    crop_set = prepare(lay_out(tmp_path / "x", FILES), tmp_path / "set", DataRecipe()).crop_set
    assert crop_set.class_names == (BIRD, MACHINE, "pug")
    assert crop_set.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert json.loads((tmp_path / "set/set.json").read_text())["class_names"] == [BIRD, MACHINE, "pug"]
    again = prepare(tmp_path / "set", tmp_path / "again", DataRecipe(size_px=16)).crop_set
    assert again.class_names == crop_set.class_names
    assert again.labels.tolist() == crop_set.labels.tolist()


def earlier(crop_set: CropSet) -> CropSet:
    """Make of a set what earlier versions wrote: two classes of one name."""
    path = crop_set.path / "set.json"
    manifest = json.loads(path.read_text())
    manifest["class_names"] = manifest.pop("names_in_fingerprint")
    path.write_text(json.dumps(manifest))
    return CropSet.open(crop_set.path)


def test_sets_of_earlier_versions_keep_their_fingerprint_and_get_distinct_names(tmp_path: Path) -> None:
    today = prepare(lay_out(tmp_path / "x", FILES), tmp_path / "set", DataRecipe()).crop_set
    before = write_crop_set(
        tmp_path / "before", today.pictures, today.labels, class_names=["crane", "crane", "pug"]
    )
    assert today.fingerprint == before.fingerprint  # as runs have recorded it
    before.verify()
    assert before.class_names == ("crane (class 0)", "crane (class 1)", "pug")
    opened = earlier(today)
    opened.verify()
    assert opened.class_names == (BIRD, MACHINE, "pug")
    assert len({image.class_name for image in open_source(opened.path).images}) == 3


def test_labels_and_figures_have_both(tmp_path: Path) -> None:
    from dogsgan.stages import save_labels
    from dogsgan.submission.labels import matched_classes, read_labels

    source = lay_out(tmp_path / "x", FILES)
    names = prepare(source, tmp_path / "set", DataRecipe()).crop_set.class_names
    save_labels(tmp_path / "labels.csv", count=6, class_names=names)
    labels = list(read_labels(tmp_path / "labels.csv").values())
    assert labels == [BIRD, MACHINE, "pug"] * 2
    for real in (source, tmp_path / "set"):
        generated, shown = matched_classes(labels, [image.class_name for image in open_source(real).images])
        assert generated == [BIRD, MACHINE, "pug"] * 2
        assert shown == [BIRD] * 2 + [MACHINE] * 2 + ["pug"] * 2


@pytest.mark.parametrize(
    ("generated", "real", "matched"),
    [
        ([BIRD, MACHINE], [BIRD, PUG], ["crane", MACHINE]),  # the other crane is not the one that is there
        (["crane", "pug"], [BIRD, MACHINE, PUG], ["crane", "pug"]),  # either could be meant
        ([BIRD, MACHINE, PUG], ["crane", "pug"], [BIRD, MACHINE, "pug"]),
        ([BIRD, PUG], ["crane", "pug"], ["crane", "pug"]),
        ([" crane ", PUG], [BIRD, PUG], ["crane", "pug"]),
        (["crane", BIRD, PUG], ["crane", BIRD, PUG], ["crane", BIRD, "pug"]),
    ],
)
def test_classes_are_matched_one_to_one(generated: list[str], real: list[str], matched: list[str]) -> None:
    from dogsgan.submission.labels import matched_classes

    assert matched_classes(generated, real)[0] == matched  # type: ignore[arg-type]


ONE, TWO = "B\u00e4r", "Ba\u0308r"  # the same name as Linux and as macOS write it


def test_names_that_only_unicode_s_form_tells_apart_are_one_class(tmp_path: Path) -> None:
    folders = (ONE, TWO, "Pug", "pug")
    files = {f"{folder}/{i}.png": jpeg(shade=9 * i) for folder in folders for i in (1, 2)}
    report = prepare(lay_out(tmp_path / "x", files), tmp_path / "set", DataRecipe())
    if len(list((tmp_path / "x").iterdir())) < len(folders):
        pytest.skip("this file system takes some of the names for one")
    assert report.crop_set.class_names == (ONE, "Pug", "pug")
    assert report.crop_set.labels.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    assert f"folders whose names look the same are one class: {ONE}" in report.summary()


def test_a_class_is_found_by_either_form_of_its_name() -> None:
    from dogsgan.submission.labels import matched_classes

    assert class_index(TWO, ["Pug", ONE]) == class_index(ONE, ["Pug", TWO]) == 1
    assert matched_classes([TWO, "Pug"], [ONE, "Pug"])[0] == [ONE, "Pug"]
    assert matched_classes([ONE, "Pug"], [TWO, "Pug"])[0] == [TWO, "Pug"]
    assert matched_classes(["Pug ", "Pug"], ["Pug ", "Pug"])[0] == ["Pug ", "Pug"]


@pytest.mark.parametrize("name", ["Pug", "pug", "Pug ", ONE, TWO])
def test_an_exact_name_is_found_beside_others_like_it(name: str) -> None:
    names = ["Pug", "pug", "Pug ", ONE, TWO]
    assert names[class_index(name, names)] == name


FOLDERS = st.lists(st.from_regex(r"(n0000000[12]-){0,2}[ab_ ]{1,2}", fullmatch=True), unique=True, max_size=8)


@given(FOLDERS)
def test_no_two_folders_share_a_name(folders: list[str]) -> None:
    names = names_for_people(folders)
    assert list(names) == folders
    assert len(set(names.values())) == len(folders)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("abc")), max_size=6))
def test_distinct_names_are_distinct_and_what_was_stays(classes: list[tuple[str, str]]) -> None:
    names, folders = [name for name, _ in classes], [folder for _, folder in classes]
    found = distinct(names, folders)
    assert len(set(found)) == len(names)
    assert all(new == old for new, old in zip(found, names, strict=True) if names.count(old) == 1)
