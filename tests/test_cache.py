"""The cache is a convenience: without it things take longer, and work."""

import json
import pwd

import numpy as np
import pytest
from PIL import Image

from dogsgan import cache
from dogsgan.audit import audit
from dogsgan.cli import main
from dogsgan.config import Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.errors import DogsganError
from dogsgan.features.weights import fetch_weights, find_weights
from dogsgan.kernel.build import build_kernel
from dogsgan.scoring import score


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user of whom the system knows nothing, as in a container with a foreign number."""

    def unknown(number):
        raise KeyError("getpwuid(): uid not found")

    for name in ("HOME", "DOGSGAN_CACHE", "XDG_CACHE_HOME", "KAGGLE_CONFIG_DIR", "KAGGLE_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    cache._passing.cache_clear()


@pytest.fixture
def pictures(tmp_path):
    """Ten generated pictures, and the real ones."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 16, 16, 3), dtype=np.uint8)
    (tmp_path / "generated").mkdir()
    for index, picture in enumerate(noise):
        Image.fromarray(picture).save(tmp_path / f"generated/{index:02}.png")
    return tmp_path / "generated", draw_competition(tmp_path / "dogs.zip", images=40, seed=1)


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_scores_and_audits(pictures, tmp_path, capsys):
    assert score(*pictures, network="stand-in", device="cpu").fid > 0
    found = audit(*pictures, out=tmp_path / "audit", network="stand-in", device="cpu", null_sample=20)
    assert len(found.findings) == 10
    assert capsys.readouterr().err.count("DOGSGAN_CACHE can name a folder for that") == 1


@pytest.mark.usefixtures("homeless")
def test_a_user_without_a_home_builds_kernels_and_is_told_where_weights_could_go(tmp_path):
    build_kernel(Recipe(), tmp_path / "some-kernel")
    with pytest.raises(DogsganError, match="no weights for the network public"):
        find_weights("public")
    with pytest.raises(
        DogsganError, match="no home folder to keep weights in: set DOGSGAN_CACHE to a folder"
    ):
        fetch_weights("public", url="http://127.0.0.1:9/")


def test_where_the_cache_cannot_be_written_an_audit_works_in_its_own_folder(
    pictures, tmp_path, monkeypatch, capsys
):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "file"))
    found = audit(*pictures, out=tmp_path / "audit", network="stand-in", device="cpu", null_sample=20)
    assert len(found.findings) == 10
    said = capsys.readouterr().err
    assert "features of the real side are not cached: cannot write" in said
    assert "not kept for the next call: cannot write" in said
    assert "or name another cache folder with DOGSGAN_CACHE" in said
    assert not [path for path in (tmp_path / "audit").rglob("*") if path.suffix in (".npy", ".u8", ".lock")]


@pytest.fixture
def filled(tmp_path, monkeypatch):
    """A cache of two parts in a folder where somebody keeps other things, too."""
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    for name, size in (("features/a.npz", 1000), ("audit/views-1/views.u8", 2000), ("mine.txt", 5)):
        (tmp_path / "cache" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / name).write_bytes(b"x" * size)
    return tmp_path / "cache"


def test_the_cache_is_listed(filled, capsys):
    assert main(["cache", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["folder"] == str(filled)
    sizes = {part["name"]: (part["files"], part["bytes"]) for part in told["parts"]}
    assert sizes == {"weights": (0, 0), "features": (1, 1000), "guesses": (0, 0), "audit": (1, 2000)}


@pytest.mark.parametrize(("named", "left"), [([], {"mine.txt"}), (["audit"], {"mine.txt", "features"})])
def test_clearing_removes_what_is_ours_alone(named, left, filled, capsys):
    assert main(["cache", "--clear", *named]) == 0
    assert {path.name for path in filled.iterdir()} == left
    assert "removed from" in capsys.readouterr().out


def test_clearing_takes_a_link_away_and_not_what_it_names(filled, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/precious.npz").write_bytes(b"x")
    (filled / "weights").symlink_to(tmp_path / "elsewhere")
    assert main(["cache", "--clear", "weights"]) == 0
    assert not (filled / "weights").exists()
    assert (tmp_path / "elsewhere/precious.npz").exists()


def test_a_part_that_is_none_is_refused(filled, capsys):
    assert main(["cache", "--clear", "everything"]) == 2
    assert "there are weights, features, guesses, audit" in capsys.readouterr().err
    assert (filled / "features").exists()


@pytest.mark.usefixtures("homeless")
def test_without_a_home_there_is_no_cache_to_show(capsys):
    assert main(["cache"]) == 2
    assert "DOGSGAN_CACHE can name a folder" in capsys.readouterr().err
