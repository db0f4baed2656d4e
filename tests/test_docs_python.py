"""The examples of docs/python.md do what the page says, one after the other."""

import re
from pathlib import Path

import numpy as np
import pytest
from tiny import RECIPE

import dogsgan
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.weights import find_weights
from dogsgan.stages import generate
from dogsgan.submission import check_submission
from dogsgan.submission.labels import read_labels
from dogsgan.training.loop import train

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("python")
    drawn = prepare(draw_competition(folder / "dogs", images=40), folder / "drawn", RECIPE.data).crop_set
    names = ["Chihuahua", *drawn.class_names[1:]]
    write_crop_set(folder / "set", drawn.pictures, drawn.labels, class_names=names)
    train(RECIPE, CropSet.open(folder / "set"), folder / "out/run", images=16)
    generate(folder / "out/run", folder / "out/images.zip", count=24)
    return folder


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DOGSGAN_CACHE", str(folder / "cache"))
    monkeypatch.setattr("dogsgan.features.networks.LITE0", "stand-in")  # what `auto` means, quickly


def test_the_examples_run() -> None:
    known: dict[str, object] = {}
    for number, example in enumerate(EXAMPLES, start=1):
        exec(compile(example, f"example {number} of {PAGE.name}", "exec"), known)
    names = dogsgan.load("out/run").class_names
    assert np.shape(known["pictures"]) == (16, 32, 32, 3)
    assert np.shape(known["chihuahuas"]) == (16, 32, 32, 3)
    assert len(known["always_the_same"]) == 3  # type: ignore[arg-type]
    assert "Chihuahua" in names
    assert known["report"].images_seen == 16  # type: ignore[attr-defined]


def test_an_array_scores_as_the_zip_of_its_pictures(tmp_path: Path) -> None:
    pictures = dogsgan.load("out/run").sample(20, seed=1)
    generate(Path("out/run"), tmp_path / "a.zip", count=20, seed=1)
    by_zip = dogsgan.score_pictures(tmp_path / "a.zip", "dogs", network="stand-in")
    by_array = dogsgan.score_pictures(pictures, "dogs", network="stand-in")
    assert (by_array.fid, by_array.distance) == (by_zip.fid, by_zip.distance)


def test_every_path_may_be_a_string() -> None:
    generate("out/run", "strings.zip", count=2, labels="strings.csv")  # type: ignore[arg-type]
    assert check_submission("strings.zip", count=2, size_px=32).ok  # type: ignore[arg-type]
    assert read_labels("strings.csv").keys() == {"00000.png", "00001.png"}  # type: ignore[arg-type]
    assert len(open_source("dogs").images) == 40  # type: ignore[arg-type]
    with pytest.raises(DogsganError, match="no weights for the network public"):
        find_weights("public", cache_dir="string-cache")  # type: ignore[arg-type]


@pytest.mark.parametrize("pictures", [np.zeros((2, 3, 32, 32), np.uint8), np.zeros((2, 32, 32, 3))])
def test_arrays_that_are_no_pictures_are_refused(pictures: np.ndarray) -> None:
    with pytest.raises(DogsganError, match="give uint8 batches"):
        dogsgan.score_pictures(pictures, "dogs", network="stand-in")
