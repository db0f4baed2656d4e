"""Sources that are almost in a known layout: read where that is safe, else said, and no box or class lost."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from test_layouts_digits import FILES as DIGITS
from test_sources import EXPECTED, POODLE, PUG, competition, facts, jpeg, lay_out, stanford, zip_up

import dogsgan
from dogsgan.cli import main
from dogsgan.config import DataRecipe
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError


def renamed(files: dict[str, bytes], *pairs: tuple[str, str]) -> dict[str, bytes]:
    for old, new in pairs:
        files = {name.replace(old, new): content for name, content in files.items()}
    return files


READ = {
    "backslashes": renamed(competition("data/"), ("/", "\\")),
    "backslashes, Stanford": renamed(stanford(), ("/", "\\")),
    "other letters": renamed(
        competition(), ("all-dogs", "All_Dogs"), ("annotation/Annotation", "ANNOTATIONS")
    ),
    "annotations deeper": renamed(competition(), ("annotation/", "annotation/annotation/old/Annotation/")),
    "other names": renamed(
        competition("x/"), ("all-dogs/all-dogs", "pics"), ("annotation/Annotation", "boxes")
    ),
    "Stanford, other names": renamed(stanford("x/"), ("Images", "train"), ("Annotation", "boxes")),
    "pictures by breed": renamed(stanford(), ("Images", "all-dogs")),
    "Images without breeds": renamed(competition(), ("all-dogs/all-dogs", "Images")),
    "XML": {k + ".xml" * ("Annotation" in k): v for k, v in competition().items()},
}


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("case", READ)
def test_boxes_are_found_under_other_names(case: str, as_zip: bool, tmp_path: Path) -> None:
    path = tmp_path / "x"
    source = open_source(zip_up(path, READ[case]) if as_zip else lay_out(path, READ[case]))
    assert facts(source) == EXPECTED
    assert "3 pictures, 4 boxes, 2 breeds" in source.description
    assert [item.name for item in source.skipped] == []


def test_annotations_without_breed_folders_keep_the_breeds_numbers(tmp_path: Path) -> None:
    files = renamed(
        competition(), (f"Annotation/{PUG}/", "Annotation/"), (f"Annotation/{POODLE}/", "Annotation/")
    )
    source = open_source(lay_out(tmp_path, files))
    assert [(name, boxes) for name, _, boxes in facts(source)] == [(n, b) for n, _, b in EXPECTED]
    assert [image.class_name for image in source.images] == ["n02110958", "n02113624", "n02113624"]


ONLY_PICTURES = {name: content for name, content in competition("x/").items() if "all-dogs" in name}
ONLY_STANFORD = {name: content for name, content in stanford("x/").items() if "Images" in name}
REFUSED = {
    "no annotations": (ONLY_PICTURES, "put annotation/ beside all-dogs/"),
    "no annotations, flat": (
        renamed(ONLY_PICTURES, ("all-dogs/all-dogs", "all-dogs")),
        "put annotation/ beside",
    ),
    "packed annotations": (ONLY_PICTURES | {"x/Annotation.zip": b"PK"}, "x/Annotation.zip is still packed"),
    "Stanford's tar": (ONLY_STANFORD | {"x/annotation.tar": b""}, "x/annotation.tar is still packed"),
    "both packed beside a picture": (
        {"all-dogs.zip": b"PK", "Annotation.zip": b"PK", "logo.png": jpeg()},
        "Annotation.zip and all-dogs.zip are still packed",
    ),
    "both packed": ({"all-dogs.zip": b"PK", "Annotation.zip": b"PK"}, "unpack into one folder"),
    "Images alone": (ONLY_STANFORD, "put Annotation/ beside Images/"),
    "others' annotations": (
        {f"pics/{i}.jpg": jpeg() for i in range(3)} | {f"b/{PUG}/n02110958_7": b""},
        "belong to none of its pictures",
    ),
    "classes in splits": (
        {
            f"x/{split}/{name}/{i}.jpg": jpeg()
            for split in ("train", "test")
            for name in "ab"
            for i in range(5)
        },
        "give one of x/test, x/train",
    ),
    "no labels": (
        {k: v for k, v in DIGITS.items() if k != "train-labels-idx1-ubyte"},
        "no labels to train-images-idx3-ubyte",
    ),
    "labels under another name": (
        {k.replace("train-labels", "train-label-labels"): v for k, v in DIGITS.items() if "train" in k},
        "no labels to train-images-idx3-ubyte",
    ),
    "no training images": (
        {k: v for k, v in DIGITS.items() if k != "train-images-idx3-ubyte"},
        "train-labels-idx1-ubyte and not its images",
    ),
    "only labels": ({"train-labels-idx1-ubyte": b""}, "without the images"),
}


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("case", REFUSED)
def test_no_box_or_class_is_lost_in_silence(
    case: str, as_zip: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files, said = REFUSED[case]
    path = zip_up(tmp_path / "x.zip", files) if as_zip else lay_out(tmp_path / "x", files)
    assert main(["prepare", str(path), "--out", str(tmp_path / "set")]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(("files", "count"), [(ONLY_PICTURES, 3), (ONLY_STANFORD, 3)])
def test_without_boxes_the_pictures_can_be_taken_whole(
    files: dict[str, bytes], count: int, tmp_path: Path
) -> None:
    report = prepare(lay_out(tmp_path / "x", files), tmp_path / "set", DataRecipe(policy="whole"))
    assert len(report.crop_set) == count
    assert "no boxes" in report.summary()


def test_celeba_is_known_by_its_split_file_too(tmp_path: Path) -> None:
    files = {f"faces/{i:06d}.jpg": jpeg() for i in range(4)}
    files["list_eval_partition.txt"] = b"000000.jpg 0\n000001.jpg 0\n000002.jpg 1\n000003.jpg 2\n"
    source = open_source(lay_out(tmp_path, files))
    assert (source.kind, [image.name for image in source.images]) == ("celeba", ["000000.jpg", "000001.jpg"])


# What systems leave beside pictures

CLASSES = {f"{name}/{i}.jpg": jpeg(shade=i) for name in ("daisy", "rose", "tulip") for i in range(6)}
LEFT_BESIDE = (
    "@eaDir/0.jpg/SYNOPHOTO_THUMB_XL.jpg", "__MACOSX/._0.jpg", "._0.jpg", ".DS_Store", "Thumbs.db",
    ".ipynb_checkpoints/0-checkpoint.jpg", ".thumbnails/0.jpg", "#recycle/0.jpg", "$RECYCLE.BIN/0.jpg",
    ".git/x.png", "lost+found/0.jpg", "desktop.ini", ".AppleDouble/0.jpg", ".Trash-1000/files/0.jpg",
    ".@__thumb/0.jpg", "@Recycle/0.jpg", "System Volume Information/0.jpg", "THUMBS.DB", "0.jpg@SynoEAStream",
)  # fmt: skip


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("left", LEFT_BESIDE)
def test_what_systems_leave_changes_nothing(left: str, as_zip: bool, tmp_path: Path) -> None:
    def opened(files: dict[str, bytes], name: str):  # type: ignore[no-untyped-def]
        return open_source(zip_up(tmp_path / name, files) if as_zip else lay_out(tmp_path / name, files))

    cluttered = CLASSES | {f"{place}{left}": jpeg() for place in ("", "daisy/", "rose/")}
    clean, source = opened(CLASSES, "clean"), opened(cluttered, "cluttered")
    assert source.images == clean.images
    assert source.skipped == []
    assert source.description == clean.description
    assert source.fingerprint() == clean.fingerprint()


def test_a_picture_outside_the_class_folders_is_left_out_and_said(tmp_path: Path) -> None:
    for stray in ("cover.png", "other/deep/1.png", "../x/readme.gif"):
        files = {f"flowers/{name}": content for name, content in CLASSES.items()} | {stray: jpeg()}
        source = open_source(zip_up(tmp_path / "x.zip", files))
        assert (source.kind, len(source.images)) == ("classes", 18)
        assert {image.class_name for image in source.images} == {"daisy", "rose", "tulip"}
        assert [(item.name, item.reason) for item in source.skipped] == [(stray, "outside the class folders")]
        assert f"1 outside the class folders left out, such as {stray}" in source.description


def test_a_picture_deeper_in_a_class_folder_is_of_that_class(tmp_path: Path) -> None:
    source = open_source(lay_out(tmp_path, CLASSES | {"rose/old/1.jpg": jpeg()}))
    assert {i.name: i.class_name for i in source.images}["rose/old/1.jpg"] == "rose"
    assert len(source.images) == 19
    assert "1 lie deeper than in a class folder, such as rose/old/1.jpg" in source.description


def test_a_stray_picture_takes_no_breed_away(tmp_path: Path) -> None:
    files = {f"{split}/{PUG}/{i}.jpg": jpeg() for split in ("train", "val") for i in range(4)}
    source = open_source(lay_out(tmp_path, files | {"train/logo.png": jpeg()}))
    assert {image.class_name for image in source.images} == {PUG}
    assert [item.name for item in source.skipped] == ["train/logo.png"]


def test_why_folders_are_not_classes_is_said(tmp_path: Path) -> None:
    thumbs = {f"{name}/small/{i}.jpg": jpeg() for name in ("daisy", "rose", "tulip") for i in range(6)}
    source = open_source(lay_out(tmp_path, CLASSES | thumbs))
    assert source.kind == "pictures"
    assert "not taken for classes, because 18 pictures lie higher or deeper" in source.description


# What dogsgan wrote itself


def a_run_in(folder: Path) -> None:
    """Lay out what `run`, `audit`, `score --per-class`, `show` and studies leave."""
    png = jpeg()
    names = (
        "run/recipe.json", "run/log.jsonl", "run/samples/000000064.png", "run/losses.png",
        "run/checkpoints/last.pt", "samples.png", "images.zip", "labels.csv", "report.json", "generate.json",
        *(f"shown/{name}" for name in ("breeds.png", "truncation.png", "interpolation.gif", "nearest.png")),
        "best.png", "worst.png", "recipes/settings.json", "recipes/recipe.json", "recipes/samples/fast.png",
        "begun/recipe.json", "begun/reals.png", "begun/init.png",
        "audit/report.html", "audit/audit.json", "audit/neighbours.csv", "audit/flagged.png",
        "classes/per-class.csv", "classes/per-class.json", "classes/per-class.png",
        "study/settings.json", "study/attention.csv", "study/attention.png", "study/samples/a-seed-0.png",
        "kernel/kernel.log", "kernel/crops.png", "kernel/samples.png",
    )  # fmt: skip
    lay_out(folder, dict.fromkeys(names, png))
    write_crop_set(folder / "crops", np.zeros((1, 16, 16, 3), np.uint8))
    lay_out(folder / "crops", {"contact-sheet.png": png})


@pytest.mark.parametrize("place", ["out", "daisy/out", ""])
def test_own_outputs_inside_a_source_are_no_part_of_it(place: str, tmp_path: Path) -> None:
    before = open_source(lay_out(tmp_path / "pics", CLASSES))
    a_run_in(tmp_path / "pics" / place)
    after = open_source(tmp_path / "pics")
    assert after.images == before.images
    assert after.skipped == before.skipped == []
    assert after.fingerprint() == before.fingerprint()
    assert after.description.startswith(f"{before.description}; what dogsgan wrote there is left out: ")
    assert "\n" not in after.description
    with zipfile.ZipFile(tmp_path / "pics.zip", "w") as archive:
        for file in (tmp_path / "pics").rglob("*"):
            archive.write(file, file.relative_to(tmp_path / "pics"))
    assert open_source(tmp_path / "pics.zip").fingerprint() == before.fingerprint()


def test_every_picture_that_the_package_names_is_known_as_its_own() -> None:
    """Who adds an output picture adds it to `own_files`, too, or it becomes a training picture."""
    package = Path(dogsgan.__file__).parent
    named = {
        name
        for file in package.rglob("*.py")
        for name in re.findall(r'"([\w-]+\.(?:png|gif|jpg|webp))"', file.read_text())
    }
    assert {"best.png", "flagged.png", "init.png", "losses.png", "samples.png"} <= named
    in_a_set_or_run = {"contact-sheet.png", "evaluation.png", "init.png", "losses.png", "reals.png"}
    known = (package / "data" / "storage.py").read_text()
    assert [name for name in sorted(named - in_a_set_or_run) if f'"{name}"' not in known] == []


def test_the_grids_of_a_run_that_was_removed_are_no_source(tmp_path: Path) -> None:
    before = open_source(lay_out(tmp_path, {"1.png": jpeg()}))
    lay_out(tmp_path, {"generate.json": b"{}", "samples.png": jpeg(), "best.png": jpeg()})
    assert open_source(tmp_path).images == before.images


def test_pictures_beside_own_outputs_stay(tmp_path: Path) -> None:
    lay_out(tmp_path, {"1.png": jpeg(), "report.json": b"", "samples.png": jpeg(), "recipe.json": b""})
    assert [image.name for image in open_source(tmp_path).images] == ["1.png", "samples.png"]


def test_an_output_folder_alone_is_no_source(tmp_path: Path) -> None:
    a_run_in(tmp_path)
    with pytest.raises(DogsganError, match=r"what dogsgan wrote there is left out: audit/audit\.json"):
        open_source(tmp_path)


def test_a_zip_with_backslashes_is_prepared_as_any_other(tmp_path: Path) -> None:
    plain = prepare(zip_up(tmp_path / "a.zip", competition()), tmp_path / "a", DataRecipe()).crop_set
    other = prepare(zip_up(tmp_path / "b.zip", READ["backslashes"]), tmp_path / "b", DataRecipe()).crop_set
    assert CropSet.open(other.path).fingerprint == plain.fingerprint
