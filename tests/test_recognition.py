"""Recognition: which of ImageNet's classes are meant, and how often a classifier names them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dogsgan.cli import main
from dogsgan.config import DataRecipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.timm_networks import Classifier
from dogsgan.recognition import guesses_of, shares_of
from dogsgan.recognition.imagenet import (
    DOGS,
    class_set,
    imagenet_index,
    imagenet_indices,
    imagenet_wnids,
    wnids_of,
)
from dogsgan.scoring import score
from dogsgan.submission.labels import write_labels


def test_the_dogs_are_stanfords_and_the_dalmatian(shared_data: Path) -> None:
    source = open_source(shared_data / "generative-dog-images-mini")
    stanford = {imagenet_index(image.class_name or "") for image in source.images}
    assert len(stanford) == 120
    dalmatian = imagenet_wnids().index("n02110341")
    assert {*stanford, dalmatian} == set(DOGS.indices)
    by_name = {imagenet_index((image.class_name or "")[10:], within=DOGS) for image in source.images}
    assert by_name == stanford


def test_the_order_of_the_classes_and_the_dogs_among_them() -> None:
    assert list(imagenet_wnids()) == sorted(imagenet_wnids())
    assert len(imagenet_wnids()) == 1000
    assert imagenet_index("n02085620-Chihuahua") == imagenet_index("Chihuahua") == 151
    assert imagenet_index("n02116738") == imagenet_index("African_hunting dog") == 275
    assert imagenet_index("n00000000-Chihuahua") is None
    assert imagenet_index("Cardigan") is None  # a garment, too
    assert imagenet_index("Cardigan", within=DOGS) == 264
    assert DOGS.indices == (*range(151, 269), 273, 274, 275)


def test_a_class_set_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "cats.txt"
    file.write_text("n02123045\n\nPersian cat\n", encoding="utf-8")
    assert class_set(str(file)).name == "cats"
    assert class_set(str(file)).indices == (281, 283)
    file.write_text("crane\n", encoding="utf-8")
    with pytest.raises(DogsganError, match=r"line 1 of .*cats.txt names no class of ImageNet, or several"):
        class_set(str(file))
    file.write_text("\n", encoding="utf-8")
    with pytest.raises(DogsganError, match="names no class: write one"):
        class_set(str(file))
    with pytest.raises(DogsganError, match="no class set 'wolves': give dogs, or a file"):
        class_set("wolves")


def test_shares_count_first_and_five_of_the_labelled_ones() -> None:
    best = np.array([[151, 1, 2, 3, 4], [9, 8, 151, 6, 5], [0, 1, 2, 3, 4], [275, 1, 2, 3, 4]])
    shares = shares_of(best, classes=DOGS, own=[151, 151, 275, None])
    assert shares.in_classes == 0.5
    assert (shares.pictures, shares.labelled) == (4, 3)
    assert shares.first == pytest.approx(1 / 3)
    assert shares.among_five == pytest.approx(2 / 3)
    assert shares.by_index == {151: (2, 0.5, 1.0), 275: (1, 0.0, 0.0)}
    unlabelled = shares_of(best, classes=DOGS, own=[None] * 4)
    assert (unlabelled.first, unlabelled.among_five, unlabelled.labelled) == (None, None, 0)


def test_guesses_are_the_last_layer_s_and_the_probability_is_the_class_s() -> None:
    weight = torch.zeros(1000, 2)
    weight[151, 0], weight[7, 1] = 10.0, 10.0
    classifier = Classifier(weight, torch.zeros(1000))
    features = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]], np.float32)
    guesses = guesses_of(features, classifier, classes=DOGS, own=[None, None, 7])
    assert guesses.best[:, 0].tolist() == [151, 7, 7]
    assert guesses.probability is not None
    peak = np.exp(10) / (np.exp(10) + 999)
    rest = 1 / (np.exp(10) + 999)
    assert guesses.probability == pytest.approx([peak + 120 * rest, 121 * rest, peak], rel=1e-4)


@pytest.fixture(scope="module")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in class folders: two breeds by wnid, one class that ImageNet lacks."""
    folder = tmp_path_factory.mktemp("dogs")
    random = np.random.default_rng(0)
    for name in ("n02085620-Chihuahua", "n02113186-Cardigan", "gryphon"):
        (folder / name).mkdir()
        for i in range(4):
            Image.fromarray(random.integers(0, 255, (50, 60, 3), dtype=np.uint8)).save(
                folder / name / f"{i}.png"
            )
    return folder


def test_a_prepared_set_knows_its_wnids_and_so_does_a_set_made_from_it(dogs: Path, tmp_path: Path) -> None:
    first = prepare(dogs, tmp_path / "first", DataRecipe(size_px=32)).crop_set
    expected = {"Chihuahua": "n02085620", "Cardigan": "n02113186"}
    assert wnids_of(open_source(first.path)) == expected
    assert (
        wnids_of(open_source(prepare(first.path, tmp_path / "second", DataRecipe(size_px=16)).crop_set.path))
        == expected
    )
    assert wnids_of(open_source(dogs)) == expected | {
        "n02085620-Chihuahua": "n02085620",
        "n02113186-Cardigan": "n02113186",
    }


def test_an_old_set_without_folders_falls_back_to_names(dogs: Path, tmp_path: Path) -> None:
    crop_set = prepare(dogs, tmp_path / "set", DataRecipe(size_px=32)).crop_set
    manifest = json.loads((crop_set.path / "set.json").read_text())
    del manifest["provenance"]["class_folders"]
    (crop_set.path / "set.json").write_text(json.dumps(manifest))
    source = open_source(crop_set.path)
    assert CropSet.open(crop_set.path).fingerprint == crop_set.fingerprint
    assert wnids_of(source) == {}
    names = [image.class_name for image in source.images]
    found = imagenet_indices(names, wnids=wnids_of(source), within=DOGS)
    assert found == {"Chihuahua": 151, "Cardigan": 264}


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("generated")
    random = np.random.default_rng(1)
    labels = []
    for i, name in enumerate(["Chihuahua", "Cardigan", "gryphon"] * 2):
        (folder / "pictures").mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(
            folder / "pictures" / f"{i}.png"
        )
        labels.append((f"{i}.png", name))
    write_labels(folder / "labels.csv", labels)
    return folder


def test_a_score_tells_what_its_network_recognises_beside_real_crops(
    generated: Path, dogs: Path, tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    command = ["score", str(generated / "pictures"), "--real", str(dogs), "--json"]
    assert main([*command, "--labels", str(generated / "labels.csv")]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["network"] == "efficientnet-lite0"
    assert not found["competition"]
    recognition = found["recognition"]
    assert recognition["classes"] == "dogs"
    assert recognition["generated"]["pictures"] == recognition["real"]["pictures"] == 6
    assert recognition["generated"]["labelled"] == 4
    assert recognition["in_classes"] == recognition["generated"]["in_classes"]
    assert 0 <= recognition["first"] <= recognition["among_five"] <= 1
    assert recognition["real_crops"] == "square crops of the boxes at 32 px"
    assert "first guess one of dogs" in captured.err
    kept = next((tmp_path / "cache" / "guesses").iterdir())
    with np.load(kept) as real:
        assert (
            shares_of(real["best"], classes=DOGS, own=[None] * 6).in_classes
            == recognition["real"]["in_classes"]
        )
        np.savez(kept, best=np.full_like(real["best"], 151), names=real["names"])
    assert main(command) == 0
    again = json.loads(capsys.readouterr().out)["recognition"]
    assert again["generated"]["labelled"] == 0
    assert again["first"] is None
    assert again["real"]["in_classes"] == 1.0  # from the cache, which says Chihuahua throughout


def test_a_prepared_set_is_compared_as_it_is(generated: Path, dogs: Path, tmp_path: Path) -> None:
    crops = prepare(dogs, tmp_path / "crops", DataRecipe(size_px=32)).crop_set.path
    found = score(generated / "pictures", crops, cache_dir=tmp_path / "cache").recognition
    assert found is not None
    assert found.real is not None
    assert (found.real.pictures, found.real.labelled > 0) == (6, True)
    assert found.real_crops == "crops of the prepared set (square)"
    assert not (tmp_path / "cache" / "guesses").exists()


def test_each_class_has_its_share(generated: Path, dogs: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    command = ["score", str(generated / "pictures"), "--real", str(dogs), "--json", "--per-class"]
    out = tmp_path / "out"
    assert main([*command, "--labels", str(generated / "labels.csv"), "--out", str(out)]) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    classes = {each["class"]: each for each in found["per_class"]["classes"]}
    assert 0 <= classes["Chihuahua"]["first"] <= classes["Chihuahua"]["among_five"] <= 1
    assert classes["gryphon"]["first"] is None
    assert classes["gryphon"]["reasons"]["first"] == "ImageNet has no class of this name"
    figures = [each["figure"] for each in found["per_class"]["correlations_with_real"]]
    assert figures == ["kernel_distance", "equal_precision", "equal_recall", "first"]
    with (out / "per-class.csv").open(newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    assert float(rows["Cardigan"]["among_five"]) == classes["Cardigan"]["among_five"]
    assert "named first" in captured.err
    assert Image.open(out / "per-class.png").size == (1600, 440)


def test_options_of_recognition_need_a_network_with_classes(generated: Path, dogs: Path, capsys) -> None:
    command = ["score", str(generated / "pictures"), "--real", str(dogs), "--network", "stand-in"]
    for option in (["--labels", "x"], ["--classes", "dogs"], ["--classes", "dogs", "--per-class"]):
        labels = ["--labels", str(generated / "labels.csv")] if "--per-class" in option else []
        assert main([*command, *option, *labels]) == 2
        assert "a network that names classes, and stand-in does not" in capsys.readouterr().err


def test_recognition_tells_real_dogs_from_noise(shared_data: Path, tmp_path: Path) -> None:
    """Real crops at 64 px are dogs to the network, nine in ten at least; noise is none."""
    mini = shared_data / "generative-dog-images-mini"
    folder = tmp_path / "noise"
    folder.mkdir()
    for i in range(24):
        noise = np.random.default_rng(i).integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{i}.png")
    crops = tmp_path / "some"
    sources = sorted((mini / "all-dogs" / "all-dogs").glob("*.jpg"))[:24]
    annotations = {path.name: path for path in (mini / "annotation").rglob("n*_*")}
    for path in sources:
        annotation = annotations[path.stem]
        target = crops / "annotation" / "Annotation" / annotation.parent.name / annotation.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(annotation.read_bytes())
        picture = crops / "all-dogs" / "all-dogs" / path.name
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(path.read_bytes())
    found = score(folder, crops, cache_dir=tmp_path / "cache").recognition
    assert found is not None
    assert found.real is not None
    assert found.generated.in_classes < 0.2
    assert found.real.in_classes > 0.85
    assert (found.real.first or 0) > 0.5
    assert (found.real.among_five or 0) > 0.8
