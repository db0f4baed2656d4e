"""`generate`: a zip or a folder, of one breed or by seeds; batch-norm statistics that are collected once."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.models import sampling
from dogsgan.models.sampling import Sampler
from dogsgan.training.loop import train


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generate")
    train(RECIPE, crop_set(folder / "set"), folder / "run", images=16)
    return folder / "run"


def pictures_of(path: Path) -> dict[str, np.ndarray]:
    if path.is_dir():
        return {file.name: np.asarray(Image.open(file)) for file in sorted(path.glob("*.png"))}
    with zipfile.ZipFile(path) as archive:
        return {name: np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()}


def test_a_folder_holds_what_the_zip_holds(run: Path, tmp_path: Path) -> None:
    assert main(["generate", str(run), "--out", str(tmp_path / "a.zip"), "--count", "5"]) == 0
    assert main(["generate", str(run), "--out", f"{tmp_path / 'new'}/", "--count", "5"]) == 0
    zipped, loose = pictures_of(tmp_path / "a.zip"), pictures_of(tmp_path / "new")
    assert list(zipped) == list(loose) == [f"0000{index}.png" for index in range(5)]
    assert all((zipped[name] == loose[name]).all() for name in zipped)


def test_a_folder_that_holds_something_is_left_alone(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert main(["generate", str(run), "--out", str(tmp_path), "--count", "5"]) == 2
    assert "not empty: name a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out=mine.txt"], "mine.txt is there already and is no zip"),
        (["--out=run/generator.safetensors"], "is there already and is no zip"),
        (["--out=mine.txt/a.zip"], "a file or folder of another kind is in the way"),
        (["--out=mine.txt/sub/"], "a file or folder of another kind is in the way"),
        (["--out=mine.txt/"], "is there already and not empty"),
        (["--out=circle"], "its symbolic links go in a circle"),
        (["--out=a.zip", "--labels=folder"], "folder is a folder: name a file for the labels"),
        (["--out=a.zip", "--labels=mine.txt"], "mine.txt is there already and is no labels file"),
        (["--out=a.zip", "--labels=mine.txt/a.csv"], "a file or folder of another kind is in the way"),
        (["--out=a.zip", "--labels=a.zip"], "a.zip is to be the zip and the labels"),
    ],
)
def test_what_is_in_the_way_is_said_before_anything_is_sampled(
    arguments: list[str],
    message: str,
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("sampled")

    monkeypatch.setattr(Sampler, "open", never)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").symlink_to(run)
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "folder").mkdir()
    (tmp_path / "mine.txt").write_text("mine")
    weights = (run / "generator.safetensors").read_bytes()
    assert main(["generate", "run", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert (tmp_path / "mine.txt").read_text() == "mine"
    assert (run / "generator.safetensors").read_bytes() == weights
    assert not (tmp_path / "a.zip").exists()


def test_zip_and_labels_of_an_earlier_call_are_replaced(run: Path, tmp_path: Path) -> None:
    for count in ("2", "3"):
        command = ["generate", str(run), "--out", str(tmp_path / "a.zip"), "--count", count]
        assert main([*command, "--labels", str(tmp_path / "a.csv")]) == 0
        assert len(pictures_of(tmp_path / "a.zip")) == int(count)
        assert len((tmp_path / "a.csv").read_text().splitlines()) == int(count) + 1


def test_one_breed_is_what_every_picture_is_of(run: Path, tmp_path: Path) -> None:
    names = Sampler.open(run, device="cpu").class_names
    labels = tmp_path / "labels.csv"
    command = [
        "generate",
        str(run),
        "--out",
        str(tmp_path / "a.zip"),
        "--count",
        "3",
        "--labels",
        str(labels),
    ]
    assert main([*command, "--breed", names[1].upper()]) == 0
    assert list(csv.reader(labels.open()))[1:] == [[f"0000{index}.png", names[1]] for index in range(3)]
    sampler = Sampler.open(run, device="cpu")
    expected = sampler.sample(3, breed=names[1])
    assert (np.stack(list(pictures_of(tmp_path / "a.zip").values())) == expected).all()
    assert (expected != sampler.sample(3, breed=names[0])).any()


def test_an_unknown_breed_names_those_there_are(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["generate", str(run), "--out", str(tmp_path / "a.zip"), "--breed", "cat"]) == 2
    said = capsys.readouterr().err
    assert "no class is called 'cat'" in said
    assert Sampler.open(run, device="cpu").class_names[0] in said


def test_a_seed_s_picture_and_class_depend_on_the_seed_alone(run: Path, tmp_path: Path) -> None:
    for name, seeds in (("some", "3-5,12"), ("other", "0,4")):
        command = ["generate", str(run), "--out", str(tmp_path / f"{name}.zip"), "--seeds", seeds]
        assert main([*command, "--labels", str(tmp_path / f"{name}.csv")]) == 0
    some, other = pictures_of(tmp_path / "some.zip"), pictures_of(tmp_path / "other.zip")
    assert list(some) == ["seed-0003.png", "seed-0004.png", "seed-0005.png", "seed-0012.png"]
    assert list(other) == ["seed-0000.png", "seed-0004.png"]
    difference = some["seed-0004.png"].astype(int) - other["seed-0004.png"]
    assert np.abs(difference).max() <= 1  # another batch size may round otherwise
    rows = [dict(csv.reader((tmp_path / f"{name}.csv").open())) for name in ("some", "other")]
    assert rows[0]["seed-0004.png"] == rows[1]["seed-0004.png"]


@pytest.mark.parametrize("seeds", ["", "a", "5-3", "1,1", "0-2000000", "-1", "3-"])
def test_seeds_that_are_none_are_refused(seeds: str, run: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(run), "--out", str(tmp_path / "a.zip"), f"--seeds={seeds}"])
    assert ended.value.code == 2


def test_statistics_are_collected_once_for_the_same_weights(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Sampler.open(run, device="cpu", keep_statistics=True).sample(4)
    weights = (run / "generator.safetensors").read_bytes()

    def never(*_: object, **__: object) -> None:
        raise AssertionError("collected again")

    with monkeypatch.context() as patched:
        patched.setattr(sampling, "recalibrated_batch_norm_copy", never)
        again = Sampler.open(run, device="cpu").sample(4)
        with pytest.raises(AssertionError, match="collected again"):
            Sampler.open(run, device="cpu", truncation=0.5)
    assert (first == again).all()
    assert (run / "generator.safetensors").read_bytes() == weights


def test_statistics_of_other_weights_are_not_taken(run: Path, tmp_path: Path) -> None:
    Sampler.open(run, device="cpu", keep_statistics=True)
    other = tmp_path / "other"
    train(RECIPE, crop_set(tmp_path / "set"), other, images=32)
    expected = Sampler.open(other, device="cpu").sample(4)
    kept = (run / "generator.statistics.safetensors").read_bytes()
    for content in (kept, kept[:100], b""):
        (other / "generator.statistics.safetensors").write_bytes(content)
        assert (Sampler.open(other, device="cpu").sample(4) == expected).all()


def test_what_cannot_be_kept_costs_no_picture(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run / "generator.statistics.safetensors").unlink(missing_ok=True)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dogsgan.models.generator_file.save_file", full)
    assert len(Sampler.open(run, device="cpu", keep_statistics=True).sample(2)) == 2
    assert not (run / "generator.statistics.safetensors").exists()
