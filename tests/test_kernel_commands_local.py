"""`dogsgan kernel build` and `rehearse` as commands: what they print, and how they refuse."""

import argparse
import json

import pytest

from dogsgan.commands.kernel_local import add_local_commands
from dogsgan.errors import DogsganError
from dogsgan.supervise import launch


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


def test_rehearse_says_no_where_the_kernel_fails(tmp_path):
    run("build", "--preset", "demo", "--out", tmp_path / "small-dogs")
    outcome = run("rehearse", tmp_path / "small-dogs", "--minutes", "1", "--mount", "none")
    assert not outcome.yes
    assert outcome.json["problems"]
    assert "attached is another-dataset/" in outcome.text


def test_an_unknown_preset_is_refused(tmp_path):
    with pytest.raises(DogsganError, match="no preset 'cats'"):
        run("build", "--preset", "cats", "--out", tmp_path / "small-dogs")


def test_two_gpus_train_through_torchrun_and_one_without():
    one, two = (launch.command("train", {"a": 1}, processes=count) for count in (1, 2))
    assert "torch.distributed.run" not in one
    assert two[two.index("--nproc-per-node") + 1] == "2"
    assert one[-3:] == two[-3:] == ["dogsgan.supervise.worker", "train", '{"a": 1}']


def test_a_child_sees_the_gpus_it_is_given_and_no_others(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"/elsewhere:{tmp_path}")
    assert launch.environment(tmp_path, gpus=[0, 1])["CUDA_VISIBLE_DEVICES"] == "0,1"
    assert launch.environment(tmp_path, gpus=[])["CUDA_VISIBLE_DEVICES"] == ""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert "CUDA_VISIBLE_DEVICES" not in launch.environment(tmp_path, gpus=None)
    assert launch.environment(tmp_path, gpus=[])["PYTHONPATH"] == f"{tmp_path}:/elsewhere"
