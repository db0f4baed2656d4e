"""A built kernel: one small file to read and edit, the same bytes for the same input, sound metadata."""

import ast
import dataclasses
import json
import os
import subprocess
import sys

import pytest
from packed import unpack
from tiny import RECIPE

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.kernel.build import MAX_BYTES, PLACEHOLDER_USER, build_kernel, field_meanings, package_sources
from dogsgan.kernel.folder import BUDGET_VARIABLE, COUNT_VARIABLE, Settings, code_of_notebook, read_metadata
from dogsgan.presets import PRESETS, preset


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """Nobody's name is configured."""
    monkeypatch.delenv("KAGGLE_USERNAME", raising=False)
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "no-config"))


def values_of(code: str) -> dict:
    return {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(code).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.Dict)
    }


@pytest.mark.parametrize("as_notebook", [False, True])
def test_the_same_input_gives_the_same_bytes(tmp_path, as_notebook):
    for folder in ("a", "b"):
        build_kernel(RECIPE, tmp_path / folder / "tiny-dogs", user="ann", as_notebook=as_notebook)
    files = sorted(path.name for path in (tmp_path / "a" / "tiny-dogs").iterdir())
    assert files == ["kernel-metadata.json", "tiny-dogs.ipynb" if as_notebook else "tiny-dogs.py"]
    for name in files:
        a, b = ((tmp_path / folder / "tiny-dogs" / name).read_bytes() for folder in ("a", "b"))
        assert a == b
        assert len(a) < MAX_BYTES / 2


@pytest.mark.parametrize(("name", "as_notebook"), [("demo", True), *((name, False) for name in PRESETS)])
def test_the_head_holds_the_recipe_as_plain_values(tmp_path, name, as_notebook):
    report = build_kernel(preset(name), tmp_path / "a-kernel", count=5, budget="90m", as_notebook=as_notebook)
    text = (tmp_path / "a-kernel" / report.code_file).read_text()
    values = values_of(code_of_notebook(text) if as_notebook else text)
    assert Recipe.from_json(values["RECIPE"]) == preset(name)
    assert (values["COUNT"], values["BUDGET"], values["SEED"]) == (5, "90m", 0)
    small, model = Recipe.from_json(values["CPU_RECIPE"]).model, preset(name).model
    assert small == model if model.architecture != "sagan" else small.generator_width <= 16
    settings = Settings.from_values(values)
    assert settings.recipe == preset(name)
    assert settings.budget_s == 5400


def test_a_recipe_that_no_gpu_there_holds_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DogsganError, match="of a GPU that has 1, and no batch fits"):
        build_kernel(RECIPE, tmp_path / "tiny-dogs", gpu_memory_gb=1.0)
    assert not (tmp_path / "tiny-dogs").exists()


def test_both_forms_hold_the_package_as_it_is_here(tmp_path):
    for as_notebook in (False, True):
        report = build_kernel(RECIPE, tmp_path / "tiny-dogs", as_notebook=as_notebook)
        text = (tmp_path / "tiny-dogs" / report.code_file).read_text()
        package = values_of(code_of_notebook(text) if as_notebook else text)["PACKAGE"]
        assert sorted(unpack(package).values()) == sorted(package_sources().values())
    assert [path.suffix for path in (tmp_path / "tiny-dogs").glob("tiny-dogs.*")] == [".ipynb"]


def test_every_value_of_a_recipe_says_what_it_means_where_config_does():
    meanings = field_meanings()
    assert meanings["training", "batch_size"] == ""
    assert "half-life" in meanings["training", "ema_halflife_images"].lower()
    assert {section for section, _ in meanings} >= {"data", "model", "training"}


def test_a_package_that_was_changed_is_refused_before_it_is_used(tmp_path):
    report = build_kernel(RECIPE, tmp_path / "tiny-dogs")
    path = tmp_path / "tiny-dogs" / report.code_file
    text = path.read_text()
    start = text.index('PACKAGE = """') + 200
    path.write_text(text[:start] + ("A" if text[start] != "A" else "B") + text[start + 1 :])
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert (
        done.stderr.strip()
        == "error: the package in this file was changed or cut short: build the kernel anew"
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("COUNT = 10000", "COUNT = -1", "COUNT = -1 cannot be used"),
        ('BUDGET = "9h"', 'BUDGET = "15h"', "BUDGET = '15h' cannot be used"),
        ('"batch_size": 4', '"batch_size": 1', "training.batch_size = 1 makes no sense"),
        ('"batch_size": 4', '"batch_sise": 4', "has no field 'batch_sise'"),
        ("TRUNCATION = 1.0", "TRUNCATION = 7.0", "truncation 7 makes no sense"),
    ],
)
def test_a_value_edited_into_nonsense_is_one_line(tmp_path, old, new, message):
    report = build_kernel(RECIPE, tmp_path / "tiny-dogs")
    path = tmp_path / "tiny-dogs" / report.code_file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    done = subprocess.run(
        [sys.executable, path], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
    assert list((tmp_path / "temporary").iterdir()) == []  # the unpacked package is gone, too


@pytest.mark.parametrize(
    ("settings", "truncation", "named"),
    [
        (["model.generator_attention_px=9"], 1.0, "generator_attention_px=9"),
        (["data.size_px=30"], 1.0, "size_px=30"),
        ([], 0.5, "for normal noise"),
    ],
)
def test_a_recipe_that_cannot_be_built_or_sampled_makes_no_kernel(tmp_path, settings, truncation, named):
    recipe = preset("mnist-gan").with_overrides(settings)
    with pytest.raises(DogsganError, match=named):
        build_kernel(recipe, tmp_path / "digits", truncation=truncation)
    assert not (tmp_path / "digits").exists()


def test_every_field_of_the_metadata_is_set(tmp_path):
    report = build_kernel(RECIPE, tmp_path / "tiny-dogs", user="ann", datasets=("bob/cats",))
    metadata = json.loads((tmp_path / "tiny-dogs" / "kernel-metadata.json").read_text())
    assert metadata == {
        "id": "ann/tiny-dogs",
        "title": "tiny dogs",
        "code_file": "tiny-dogs.py",
        "language": "python",
        "kernel_type": "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_tpu": False,
        "enable_internet": False,
        "machine_shape": "NvidiaTeslaT4",
        "docker_image_pinning_type": "original",
        "keywords": [],
        "dataset_sources": ["bob/cats"],
        "competition_sources": ["generative-dog-images"],
        "kernel_sources": [],
        "model_sources": [],
    }
    assert str(read_metadata(report.folder).ref) == report.id


def test_the_kernel_that_is_continued_is_attached_and_named(tmp_path):
    report = build_kernel(RECIPE, tmp_path / "more-dogs", user="ann", continue_from="ann/tiny-dogs")
    metadata = json.loads((tmp_path / "more-dogs" / "kernel-metadata.json").read_text())
    assert metadata["kernel_sources"] == ["ann/tiny-dogs"]
    values = values_of((tmp_path / "more-dogs" / report.code_file).read_text())
    assert Settings.from_values(values).continue_from == "ann/tiny-dogs"
    assert "goes on with the run that ann/tiny-dogs left" in report.summary()
    with pytest.raises(DogsganError, match="ann/more-dogs cannot go on with itself"):
        build_kernel(RECIPE, tmp_path / "more-dogs", user="ann", continue_from="ann/more-dogs")


def test_the_name_comes_from_the_client_s_configuration_and_its_key_goes_nowhere(tmp_path, monkeypatch):
    config = tmp_path / "config"
    config.mkdir()
    (config / "kaggle.json").write_text(json.dumps({"username": "ann", "key": "0123456789abcdef"}))
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(config))
    report = build_kernel(RECIPE, tmp_path / "tiny-dogs")
    assert report.id == "ann/tiny-dogs"
    written = [path.read_text() for path in (tmp_path / "tiny-dogs").iterdir()]
    assert not any("0123456789abcdef" in text for text in [*written, report.summary()])


def test_without_a_name_a_placeholder_says_what_to_do(tmp_path):
    report = build_kernel(RECIPE, tmp_path / "tiny-dogs")
    assert report.id == f"{PLACEHOLDER_USER}/tiny-dogs"
    assert "--user" in report.summary()


def test_crops_are_the_same_for_both_recipes(tmp_path):
    wide = preset("dogs-sagan").with_overrides(["data.policy=context", "data.size_px=128"])
    report = build_kernel(wide, tmp_path / "big-dogs")
    values = values_of((tmp_path / "big-dogs" / report.code_file).read_text())
    assert values["CPU_RECIPE"]["data"] == values["RECIPE"]["data"]
    assert report.cpu_recipe == "dogs-best-cpu"
    values["CPU_RECIPE"]["data"]["size_px"] = 32  # as an edit might have it
    assert Settings.from_values(values).cpu_recipe.data == Settings.from_values(values).recipe.data


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"budget": "10h"}, "BUDGET = '10h' cannot be used: .* 9h or less, which is what Kaggle grants"),
        ({"budget": "5s"}, "BUDGET = '5s' cannot be used: write 20s or more"),
        ({"slug": "dogs"}, "cannot be a kernel's address"),
        ({"slug": "Dogs and cats"}, "cannot be a kernel's address"),
        ({"user": "an n"}, "not a Kaggle user name"),
        ({"datasets": ("cats",)}, "names no dataset"),
        ({"continue_from": "dogs"}, "names no kernel"),
    ],
)
def test_what_kaggle_would_refuse_is_refused_here(tmp_path, settings, message):
    with pytest.raises(DogsganError, match=message):
        build_kernel(RECIPE, tmp_path / "tiny-dogs", **settings)
    assert not (tmp_path / "tiny-dogs").exists()


def test_an_unconditional_recipe_has_an_unconditional_one_for_the_cpu(tmp_path):
    recipe = preset("dogs-sagan")
    recipe = dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, conditional=False))
    report = build_kernel(recipe, tmp_path / "dogs-plain")
    values = values_of((tmp_path / "dogs-plain" / report.code_file).read_text())
    assert values["CPU_RECIPE"]["model"]["conditional"] is False


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("COUNT", (10, 0), "COUNT"),
        ("BUDGET", "nine hours", "^BUDGET = 'nine hours' cannot"),
        ("BUDGET", "15h", "9h or less"),
    ],
)
def test_what_a_rehearsal_replaces_is_checked_all_the_same(monkeypatch, name, value, message):
    monkeypatch.setenv(BUDGET_VARIABLE, "60s")
    monkeypatch.setenv(COUNT_VARIABLE, "5")
    values = {"RECIPE": RECIPE.to_json(), "COUNT": 10, "BUDGET": "9h"}
    settings = Settings.from_values(values)
    assert (settings.budget_s, settings.count) == (60.0, 5)
    with pytest.raises(DogsganError, match=message):
        Settings.from_values({**values, name: value})
