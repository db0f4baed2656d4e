"""The commands: exit status, one line for every mistake, JSON on stdout and nothing else there."""

import json
import signal
import subprocess
import sys

import pytest
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.models.sampling import Sampler
from dogsgan.training.loop import train

COMMANDS = ["prepare", "train", "generate", "check", "score", "run", "demo", "presets", "weights"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=24, seed=1)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_s_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as exit_info:
        main([command, "--help"])
    assert exit_info.value.code == 0
    out = capsys.readouterr().out
    assert f"example: dogsgan {command}" in " ".join(out.split())
    assert "--json" in out


@pytest.mark.parametrize(
    "line",
    [
        "score nosuch --real set",
        "score set nosuch --real set",
        "compare nosuch set --real set",
        "audit nosuch --real set --out audit",
        "evaluate nosuch --data set",
        "show nosuch --out shown --real set",
        "floor nosuch",
        "study attention nosuch --out study",
        "study recipe nosuch --out study --budget 2s",
    ],
)
def test_what_is_not_there_is_named_before_missing_weights(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "empty"))
    crop_set(tmp_path / "set")
    assert main([*line.split(), "--network", "public"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ")
    assert "nosuch" in error


def test_help_imports_nothing_heavy():
    code = (
        "import sys; sys.argv = ['dogsgan', '--help']\n"
        "from dogsgan.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'numpy', 'PIL', 'scipy', 'timm', 'torchvision', 'tqdm'}\n"
        "print(sorted(heavy & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_chain_of_commands(source, tmp_path, capsys, monkeypatch):
    crops, run, zip_path = (str(tmp_path / name) for name in ("crops", "run", "images.zip"))

    def output(*arguments, status=0):
        assert main([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    prepared = output("prepare", str(source), "--out", crops, "--size", "32")
    assert prepared.keys() >= {"crops", "images", "breeds", "skipped", "policy", "size"}
    settings = [
        "data.size_px=32",
        "model.generator_attention_px=16",
        "model.discriminator_attention_px=16",
        "training.batch_size=4",
    ]
    overrides = [part for setting in settings for part in ("--set", setting)]
    trained = output("train", "--data", crops, "--run", run, "--preset", "demo", "--images", "8", *overrides)
    assert trained.keys() >= {"images_seen", "steps", "stopped_by", "run"}
    generated = output("generate", run, "--out", zip_path, "--count", "12")
    assert generated.keys() >= {"count", "path", "seconds"}
    checked = output("check", zip_path, "--count", "12", "--size", "32")
    assert checked["ok"] is True
    assert output("check", zip_path, "--size", "32", status=1)["problems"]
    scored = output("score", zip_path, "--real", str(source), "--network", "stand-in")
    assert scored.keys() >= {"network", "epsilon", "fid", "distance", "mifid", "generated", "real"}


def test_strict_turns_what_was_left_out_into_a_no(tmp_path):
    folder = tmp_path / "pictures"
    draw_competition(folder, images=4, seed=1)
    broken = next(folder.rglob("*.jpg"))
    broken.write_bytes(broken.read_bytes()[:50])
    assert main(["prepare", str(folder), "--out", str(tmp_path / "a"), "--size", "32"]) == 0
    assert main(["prepare", str(folder), "--out", str(tmp_path / "b"), "--size", "32", "--strict"]) == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["prepare", "nowhere.zip", "--out", "set"],
        ["train", "--data", "nowhere", "--run", "run", "--images", "4"],
        ["generate", "nowhere", "--out", "images.zip"],
        ["check", "nowhere.zip"],
        ["score", "nowhere.zip", "--real", "nowhere"],
        ["run", "nowhere", "--out", "out", "--images", "4"],
        ["run", "nowhere", "--out", "out", "--images", "4", "--preset", "cats"],
        ["run", "nowhere", "--out", "out", "--budget", "soon"],
        ["demo", "--out", "out", "--device", "abacus"],
    ],
    ids=" ".join,
)
def test_what_a_person_can_mend_is_one_line_and_status_2(arguments, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dogsgan.demo.draw_competition", lambda out, images: None)
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    error = captured.err.strip().splitlines()[-1]
    assert error.startswith("error: ")
    assert "bug" not in error


def test_a_missing_argument_is_one_line_and_status_2(capsys):
    with pytest.raises(SystemExit) as exit_info:
        main(["generate"])
    assert exit_info.value.code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_seed_that_no_generator_takes_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["generate", "run", "--out", "x.zip", "--seed", "99999999999999999999"])
    assert "whole number" in capsys.readouterr().err


def test_a_bug_is_one_line_too_and_a_traceback_with_debug(capsys, monkeypatch, tmp_path):
    def broken(*args, **kwargs):
        raise ZeroDivisionError("oh\nno")

    monkeypatch.setattr("dogsgan.submission.check_submission", broken)
    assert main(["check", "x.zip"]) == 2
    assert (
        capsys.readouterr().err == "error: a bug of dogsgan: ZeroDivisionError: oh no; --debug shows where\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(["check", "x.zip", "--debug"])


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(5, "Input/output error", "a\x1b.zip"),
            r"cannot use a\x1b.zip (Input/output error): check the disk",
        ),
        (
            OSError("1560 requested and 10 written"),
            "cannot use a file (1560 requested and 10 written): free some space",
        ),
        (
            PermissionError(13, "Permission denied", "a", None, "b"),
            "cannot use a and b (Permission denied): check its",
        ),
    ],
)
def test_what_the_file_system_refuses_is_no_bug(error, line, capsys, monkeypatch):
    def broken(*args, **kwargs):
        raise error

    monkeypatch.setattr("dogsgan.submission.check_submission", broken)
    assert main(["check", "x.zip"]) == 2
    assert capsys.readouterr().err.startswith(f"error: {line}")


def test_presets_are_listed_with_their_size(capsys):
    assert main(["presets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["presets"]}
    assert rows["dogs-sagan"]["generator_parameters"] == 12_926_596
    assert {"dogs-sagan", "demo"} <= rows.keys()
    assert all(row["source"] for row in rows.values())


def test_a_full_disk_is_one_line_and_leaves_no_zip(tmp_path, capsys, monkeypatch):
    train(RECIPE, crop_set(tmp_path / "set"), tmp_path / "run", images=4)

    def onto_a_full_disk(self, *args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("zipfile.ZipFile.writestr", onto_a_full_disk)
    assert (
        main(["generate", str(tmp_path / "run"), "--out", str(tmp_path / "images.zip"), "--count", "4"]) == 2
    )
    assert "disk is full" in capsys.readouterr().err.splitlines()[-1]
    assert not [path for path in tmp_path.iterdir() if "images.zip" in path.name]


def test_a_terminated_command_cleans_up(tmp_path, monkeypatch, capsys):
    train(RECIPE, crop_set(tmp_path / "set"), tmp_path / "run", images=4)
    out, batches = tmp_path / "out", Sampler.batches
    out.mkdir()

    def terminated(*arguments, **settings):
        yield from batches(*arguments, **settings)
        assert ".partial" in {path.suffix for path in out.iterdir()}
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Sampler, "batches", terminated)
    assert main(["generate", str(tmp_path / "run"), "--out", str(out / "images.zip"), "--count", "4"]) == 130
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("error: interrupted")
    assert not list(out.iterdir())


@pytest.mark.parametrize("group", [[], ["kernel"], ["study"]])
def test_without_a_command_there_is_help(group, capsys):
    assert main(group) == 0
    assert capsys.readouterr().out.startswith(" ".join(["usage: dogsgan", *group]))


@pytest.mark.parametrize("missing", ["generated", "real"])
def test_a_path_that_is_not_there_is_named_before_a_network(missing, source, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "empty"))
    paths = {"generated": str(source), "real": str(source), missing: "nosuch"}
    arguments = [paths["generated"], "--real", paths["real"], "--network", "private"]
    for command in (["score", *arguments], ["audit", *arguments, "--out", str(tmp_path / "audit")]):
        assert main(command) == 2
        assert "nosuch" in capsys.readouterr().err.splitlines()[-1], command
    assert main(["score", str(source), "--real", str(source), "--network", "private"]) == 2
    assert "--network efficientnet-lite0 needs none" in capsys.readouterr().err.splitlines()[-1]
