"""The demo: a valid zip and an audit from pictures drawn on the spot, in colour and in grey."""

import dataclasses
import zipfile

import children
import pytest
from PIL import Image
from tiny import RECIPE

from dogsgan import demo as demo_module
from dogsgan import presets
from dogsgan.data.sources import open_source
from dogsgan.demo import demo, hurried
from dogsgan.errors import DogsganError
from dogsgan.presets import PRESETS, Preset, preset

in_process = children.in_process_fixture


@pytest.fixture(autouse=True)
def _few_of_everything(monkeypatch, tmp_path, in_process):
    monkeypatch.setattr(demo_module, "DOGS", 30)
    monkeypatch.setattr(demo_module, "DIGITS", 60)
    monkeypatch.setattr(demo_module, "SCORED", 20)
    monkeypatch.setattr(demo_module, "AUDITED", 12)
    monkeypatch.setattr(demo_module, "COMPARED", 20)
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))


def with_preset(monkeypatch, recipe):
    monkeypatch.setitem(presets.PRESETS, recipe.name, Preset(recipe, "a test"))


def test_it_ends_with_a_valid_zip_of_dogs(tmp_path):
    report = demo(tmp_path / "out", images=32, count=30, device="cpu")
    assert report.check.ok, report.check.summary()
    assert report.score is not None
    assert (report.score.network, report.score.generated) == ("efficientnet-lite0", 20)
    assert report.audit.submitted == 30
    assert len(report.audit.findings) == 12
    assert open_source(tmp_path / "out" / "drawn-dogs.zip").kind == "competition"


def test_a_grey_preset_is_trained_on_drawn_digits(tmp_path, monkeypatch, capsys):
    """Of 32 px, which gives MNIST's 28 a border."""
    recipe = RECIPE.with_overrides(["data.channels=1"])
    with_preset(monkeypatch, dataclasses.replace(recipe, name="grey"))
    report = demo(tmp_path / "out", preset_name="grey", images=32, count=30, device="cpu")
    assert report.check.ok, report.check.summary()
    assert (report.check.size_px, report.check.channels) == (32, 1)
    assert report.audit is not None
    assert report.score == report.audit.scores[0]
    with Image.open(tmp_path / "out" / "samples.png") as grid:
        assert grid.width > 16 * 32
    with zipfile.ZipFile(tmp_path / "out" / "images.zip") as archive:
        pictures = [Image.open(archive.open(name)) for name in archive.namelist()]
    assert [picture.mode for picture in pictures] == ["L"] * 30
    assert open_source(tmp_path / "out" / "drawn-digits").kind == "mnist"
    assert "grey in a hurry" in capsys.readouterr().err


def test_what_would_take_longer_than_the_budget_is_refused_before_anything_is_drawn(tmp_path, monkeypatch):
    with_preset(monkeypatch, dataclasses.replace(RECIPE, name="slow"))
    with pytest.raises(DogsganError, match=r"slow takes .* smaller --count"):
        demo(tmp_path / "out", preset_name="slow", count=1_000_000, budget_s=10.0, device="cpu")
    assert not (tmp_path / "out").exists()


def test_an_unknown_preset_is_refused(tmp_path):
    with pytest.raises(DogsganError, match="no preset 'dog'"):
        demo(tmp_path / "out", preset_name="dog")


@pytest.mark.parametrize("name", PRESETS)
def test_a_hurry_leaves_data_and_networks_alone(name):
    recipe = hurried(preset(name))
    assert (recipe.data, recipe.model) == (preset(name).data, preset(name).model)
    assert recipe.training.loss == preset(name).training.loss
    assert recipe.training.batch_size <= 32
    assert recipe.name != name
