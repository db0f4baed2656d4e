"""`dogsgan kernel build` and `rehearse` as commands: what they print, and how they refuse."""

import argparse
import json

import pytest

from dogsgan.commands.kernel_local import add_local_commands
from dogsgan.errors import DogsganError


def run(*arguments):
    parser = argparse.ArgumentParser()
    add_local_commands(parser.add_subparsers())
    args = parser.parse_args(list(map(str, arguments)))
    return args.function(args)


def test_build_takes_preset_and_settings(tmp_path):
    folder = tmp_path / "small-dogs"
    outcome = run(
        "build",
        "--preset",
        "demo",
        "--set",
        "training.batch_size=8",
        "--user",
        "ann",
        "--out",
        folder,
        "--notebook",
    )
    assert outcome.yes
    assert outcome.json["id"] == "ann/small-dogs"
    assert json.loads((folder / "kernel-metadata.json").read_text())["kernel_type"] == "notebook"
    assert 'batch_size\\": 8,' in (folder / "small-dogs.ipynb").read_text()
    json.dumps(outcome.json)
    assert "dogsgan kernel rehearse" in outcome.text


def test_the_notebook_is_a_valid_one(tmp_path):
    nbformat = pytest.importorskip("nbformat")
    run("build", "--preset", "demo", "--out", tmp_path / "small-dogs", "--notebook")
    nbformat.validate(nbformat.read(tmp_path / "small-dogs" / "small-dogs.ipynb", as_version=4))


def test_missing_data_fail_a_rehearsal_at_once_and_it_names_what_is_attached(tmp_path):
    run("build", "--preset", "demo", "--out", tmp_path / "small-dogs")
    outcome = run("rehearse", tmp_path / "small-dogs", "--minutes", "1", "--mount", "none")
    assert not outcome.yes
    assert outcome.json["problems"]
    assert (outcome.json["ended"], outcome.json["status"]) == ("exited", 1)
    assert "images.zip" not in outcome.json["files"]
    assert "attached is another-dataset/" in outcome.text
    assert "another-dataset/table.csv" in outcome.text


def test_the_built_folder_of_the_kernel_that_is_continued_says_the_recipe(tmp_path):
    first, second, third = (tmp_path / f"{name}-dogs" for name in ("first", "second", "third"))
    run("build", "--preset", "demo", "--set", "training.batch_size=8", "--user", "ann", "--out", first)
    outcome = run("build", "--continue-from", first, "--user", "ann", "--out", second)
    assert outcome.json["continue_from"] == "ann/first-dogs"
    assert '"batch_size": 8,' in (second / "second-dogs.py").read_text()
    with pytest.raises(DogsganError, match=r"its own recipe, demo \(training.batch_size: 8 -> 16\)"):
        run("build", "--continue-from", first, "--preset", "demo", "--out", third)
    run("build", "--continue-from", second, "--preset", "dogs-sagan-cpu", "--user", "ann", "--out", third)


def test_an_unknown_preset_is_refused(tmp_path):
    with pytest.raises(DogsganError, match="no preset 'cats'"):
        run("build", "--preset", "cats", "--out", tmp_path / "small-dogs")
