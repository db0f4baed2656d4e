"""The floor: how far real crops of each policy are from real whole pictures."""

import json
from pathlib import Path

import pytest

from dogsgan.cli import main
from dogsgan.config import DataRecipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.prepare import prepare
from dogsgan.errors import DogsganError
from dogsgan.floor import POLICIES, floor


@pytest.fixture(scope="module")
def dogs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=120, seed=0)


def test_whole_pictures_are_nearest_to_whole_pictures(dogs: Path, capsys) -> None:
    command = ["floor", str(dogs), "--network", "stand-in", "--json"]
    assert main(command) == 0
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert (found["network"], found["competition"], found["whole"]) == ("stand-in", False, 60)
    distances = {each["policy"]: each["fid"] for each in found["policies"]}
    assert set(distances) == set(POLICIES)
    assert list(distances.values()) == sorted(distances.values())
    assert next(iter(distances)) == "whole"
    assert distances["whole"] < distances["whole:0.5,square:0.5"] < distances["square"]
    assert "by stand-in (not the competition's network)" in captured.err


def test_policies_and_counts_are_as_asked(dogs: Path) -> None:
    found = floor(dogs, policies=["square", "center-40"], count=7, size_px=32, network="stand-in")
    assert {each.policy: each.crops for each in found.policies} == {"square": 7, "center-40": 7}
    assert (found.whole, found.size_px) == (7, 32)
    assert found == floor(dogs, policies=["square", "center-40"], count=7, size_px=32, network="stand-in")


def test_what_has_no_floor_is_refused(dogs: Path, tmp_path: Path) -> None:
    crops = prepare(dogs, tmp_path / "crops", DataRecipe(size_px=32)).crop_set.path
    with pytest.raises(DogsganError, match="crops already: give the source"):
        floor(crops, network="stand-in")
    with pytest.raises(DogsganError, match="no crop policy 'round'"):
        floor(dogs, policies=["round"], network="stand-in")
    with pytest.raises(DogsganError, match="1 whole pictures can be had"):
        floor(dogs, count=1, network="stand-in")
