"""Several submissions: the order, whether a difference is more than chance, and runs beside one another."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.reports import ranking
from dogsgan.reports.ranking import difference_of, rank
from dogsgan.scoring import score
from dogsgan.training.loop import train


def pictures(folder: Path, *, count: int, brightness: int, seed: int) -> Path:
    """Write pictures of random stripes around a brightness."""
    folder.mkdir()
    random = np.random.default_rng(seed)
    for index in range(count):
        stripes = random.normal(brightness, 30, (1, 32, 3)).repeat(32, axis=0)
        noise = random.normal(0, 10, (32, 32, 3))
        Image.fromarray((stripes + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{index:03}.png")
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Real pictures, two submissions of their distribution, and one that is darker."""
    top = tmp_path_factory.mktemp("ranking")
    made = {"real": (300, 128, 0), "good": (200, 128, 1), "alike": (200, 128, 2), "dark": (200, 60, 3)}
    return {
        name: pictures(top / name, count=count, brightness=brightness, seed=seed)
        for name, (count, brightness, seed) in made.items()
    }


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))


def test_the_worse_one_is_told_apart_and_the_equal_one_is_not(folders: dict[str, Path]) -> None:
    found = rank([folders[name] for name in ("dark", "good", "alike")], folders["real"], network="stand-in")
    assert found.ranked[-1].path == folders["dark"]
    assert [each.difference is None for each in found.ranked] == [True, False, False]
    alike, dark = found.ranked[1].difference, found.ranked[2].difference
    assert alike is not None
    assert dark is not None
    assert dark.is_beyond_chance
    assert not alike.is_beyond_chance
    assert dark.low <= dark.value <= dark.high
    for each in found.ranked:
        alone = score(each.path, folders["real"], network="stand-in")
        assert (each.score.fid, each.score.distance) == (alone.fid, alone.distance)


def test_the_same_pictures_twice_differ_by_nothing(folders: dict[str, Path]) -> None:
    found = rank([folders["good"], folders["good"]], folders["real"], network="stand-in")
    difference = found.ranked[1].difference
    assert difference is not None
    assert (difference.value, difference.low, difference.high) == (0, 0, 0)
    assert not difference.is_beyond_chance


def test_a_statistics_file_ranks_as_its_pictures_do(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking, "RESAMPLES", 10)
    kept, bare = tmp_path / "real.npz", tmp_path / "bare.npz"
    score(folders["good"], folders["real"], network="stand-in", save_stats=kept)
    both = [folders["dark"], folders["good"]]
    expected = rank(both, folders["real"], network="stand-in").ranked
    assert [each.difference for each in rank(both, kept, network="stand-in").ranked] == [
        each.difference for each in expected
    ]
    with np.load(kept) as statistics:
        np.savez(bare, mu=statistics["mu"], sigma=statistics["sigma"])
    found = rank(both, bare, network="stand-in")  # without features: by the Fréchet distance alone
    assert [each.value for each in found.ranked] == [each.score.fid for each in expected]
    assert "more than chance" in found.summary()


def test_the_interval_covers_the_truth_19_times_in_20() -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(300):
        a, b = random.normal(3, 1, 200), random.normal(2, 1, 200)
        means = [[random.choice(side, 200).mean() for _ in range(100)] for side in (a, b)]
        found = difference_of(np.array(means[0]), np.array(means[1]), observed=a.mean() - b.mean())
        covered += found.low <= 1 <= found.high
    assert 0.90 <= covered / 300 <= 0.99


def test_the_command_takes_several(folders: dict[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["score", str(folders["dark"]), str(folders["good"]), "--real", str(folders["real"])]
    assert main([*command, "--network", "stand-in"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith(f"best  {folders['good']}")
    assert "more than chance" in lines[2]
    assert main([*command, "--network", "stand-in", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["ranking"]
    assert [each["behind_best"] is None for each in told] == [True, False]
    assert told[1]["behind_best"]["beyond_chance"] is True


@pytest.mark.parametrize("option", [["--per-class"], ["--labels", "x.csv"], ["--save-stats", "x.npz"]])
def test_what_is_for_one_submission_is_refused(
    option: list[str], folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["score", str(folders["dark"]), str(folders["good"]), "--real", str(folders["real"])]
    assert main([*command, *option]) == 2
    assert f"{option[0]} is for one submission" in capsys.readouterr().err


def test_pictures_of_two_sizes_are_refused(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "large").mkdir()
    for index in range(3):
        Image.new("RGB", (64, 64), (index, 0, 0)).save(tmp_path / f"large/{index}.png")
    command = ["score", str(folders["good"]), str(tmp_path / "large"), "--real", str(folders["real"])]
    assert main([*command, "--network", "stand-in"]) == 2
    assert "compare pictures of one size" in capsys.readouterr().err


def test_runs_are_compared_by_recipe_and_pictures(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    crops = crop_set(tmp_path / "set")
    slower = dataclasses.replace(RECIPE.training, generator_lr=RECIPE.training.generator_lr / 10)
    train(RECIPE, crops, tmp_path / "a", images=16)
    train(dataclasses.replace(RECIPE, training=slower), crops, tmp_path / "b", images=16)
    command = ["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--real", str(folders["real"])]
    assert main([*command, "--count", "40", "--network", "stand-in"]) == 0
    said = capsys.readouterr().out
    assert f"{tmp_path / 'a'}: tiny, 16 images in" in said
    assert f"{tmp_path / 'b'}: training.generator_lr: 0.0001 -> 1e-05" in said
    assert "best" in said
    assert main([*command[:2], str(folders["real"]), "--real", str(folders["real"])]) == 2
    assert "no run in" in capsys.readouterr().err
