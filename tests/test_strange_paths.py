"""Paths that are not UTF-8: whatever the file system holds works from end to end."""

import json
import os
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file as librarys
from tiny import RECIPE

from dogsgan.audit import audit
from dogsgan.config import DataRecipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.prepare import prepare
from dogsgan.models import sampling
from dogsgan.pipeline import run_pipeline
from dogsgan.stages import generate
from dogsgan.tensors import load_file, read_metadata, save_file

LATIN_1 = os.fsdecode(b"caf\xe9")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")


def test_a_run_in_a_folder_whose_name_is_not_utf8(tmp_path, monkeypatch):
    monkeypatch.setattr(sampling, "STATISTICS_IMAGES", 64)
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / LATIN_1 / "cache"))
    folder = tmp_path / LATIN_1
    source = draw_competition(folder / "dogs.zip", images=40, seed=1)
    report = run_pipeline(
        source, folder / "out", recipe=RECIPE, images=16, count=40, network="stand-in", device="cpu"
    )
    assert report.notes == ()
    assert report.check.ok
    assert report.audit is not None
    assert json.loads((folder / "out" / "report.json").read_text())["out"] == str(folder / "out")
    assert (folder / "out/run/losses.png").is_file()
    report = generate(folder / "out/run", folder / "more.zip", count=4, labels=folder / "labels.csv")
    assert report.count == 4


def test_pictures_whose_names_are_not_utf8(tmp_path, monkeypatch):
    """They are cropped, found to be copied, and named in every report."""
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    source = draw_competition(tmp_path / "dogs", images=40, seed=1)
    for folder in sorted(path for path in source.rglob("*") if path.is_dir()):
        for path in folder.iterdir():
            if path.is_file():
                path.rename(path.with_name(path.name.replace("_", LATIN_1, 1)))
    crops = prepare(source, tmp_path / "crops", DataRecipe(size_px=32)).crop_set
    assert LATIN_1 in crops.origin(0).image
    generated = tmp_path / "generated"
    generated.mkdir()
    for index in range(40):
        Image.fromarray(crops.pictures[index]).save(generated / f"{LATIN_1}{index}.png")
    audit(generated, source, out=tmp_path / "audit", network="stand-in", device="cpu")
    assert "\ncaf\\udce90.png," in (tmp_path / "audit/neighbours.csv").read_text(encoding="utf-8")


def test_tensors_are_the_librarys_to_the_byte(tmp_path):
    tensors = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(3, dtype=torch.int64)}
    save_file(tensors, tmp_path / LATIN_1, metadata={"x": "é"})
    librarys(tensors, tmp_path / "theirs", metadata={"x": "é"})
    assert (tmp_path / LATIN_1).read_bytes() == (tmp_path / "theirs").read_bytes()
    loaded, metadata = load_file(tmp_path / LATIN_1)
    assert metadata == read_metadata(tmp_path / LATIN_1) == {"x": "é"}
    assert {name: tensor.tolist() for name, tensor in loaded.items()} == {
        name: tensor.tolist() for name, tensor in tensors.items()
    }
