"""Paths that are not UTF-8: whatever the file system holds works from end to end."""

import json
import os
import sys

import children
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file as librarys
from tiny import RECIPE

from dogsgan.audit import audit
from dogsgan.data.cropset import CropSet
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.pipeline import run_pipeline
from dogsgan.stages import generate
from dogsgan.tensors import load_file, read_metadata, save_file
from dogsgan.training import loop
from dogsgan.training.run_folder import plot_losses

LATIN_1 = os.fsdecode(b"caf\xe9")
in_process = children.in_process_fixture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")


def test_a_run_and_an_audit_where_no_name_is_utf8(tmp_path, monkeypatch, in_process):
    """Pictures of such names are cropped, found to be copied, and named in every report."""
    folder = tmp_path / LATIN_1
    monkeypatch.setenv("DOGSGAN_CACHE", str(folder / "cache"))
    monkeypatch.setattr(loop, "plot_losses", plot_losses)
    source = draw_competition(folder / "dogs", images=40, seed=1)
    for path in [path for path in source.rglob("*") if path.is_file()]:
        path.rename(path.with_name(path.name.replace("_", LATIN_1, 1)))
    settings = {"recipe": RECIPE, "network": "stand-in", "device": "cpu", "audited": False}
    report = run_pipeline(source, folder / "out", images=16, count=20, **settings)
    assert report.notes == ()
    assert report.check.ok
    assert json.loads((folder / "out" / "report.json").read_text())["out"] == str(folder / "out")
    assert (folder / "out/run/losses.png").is_file()
    assert generate(folder / "out/run", folder / "m.zip", count=4, labels=folder / "labels.csv").count == 4

    crops = CropSet.open(folder / "out" / "crops")
    assert LATIN_1 in crops.origin(0).image
    generated = folder / "generated"
    generated.mkdir()
    for index in range(10):
        Image.fromarray(crops.pictures[index]).save(generated / f"{LATIN_1}{index}.png")
    audit(generated, source, out=folder / "audit", network="stand-in", device="cpu", null_sample=20)
    assert "\ncaf\\udce90.png," in (folder / "audit/neighbours.csv").read_text(encoding="utf-8")


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
