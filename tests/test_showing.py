"""`show`: what each picture holds, and that one that fails costs itself only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.data.sources import open_source
from dogsgan.models.sampling import Sampler
from dogsgan.reports import showing
from dogsgan.reports.showing import COLUMNS, NEAREST, spherical_mean
from dogsgan.training.loop import train

SIDE = 2 * 32
"""Of a drawn picture in px."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("showing")
    train(RECIPE, crop_set(folder / "set"), folder / "run", images=16)
    return folder / "run"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(showing, "TRUNCATIONS", (0.5, 1.0))
    monkeypatch.setattr(showing, "STOPS", 3)
    monkeypatch.setattr(showing, "FRAMES_BETWEEN", 2)
    monkeypatch.setattr(showing, "NEAREST_ROWS", 3)


def place(path: Path, row: int, column: int) -> np.ndarray:
    """Return a picture of a grid, as drawn."""
    top, left = (2 + number * (SIDE + 2) for number in (row, column))
    return np.asarray(Image.open(path))[top : top + SIDE, left : left + SIDE]


def enlarged(picture: np.ndarray) -> np.ndarray:
    return picture.repeat(2, axis=0).repeat(2, axis=1)


def test_each_row_is_what_it_is_said_to_be(run: Path, tmp_path: Path) -> None:
    assert (
        main(["show", str(run), "--out", str(tmp_path / "shown"), "--breed", "class 2", "--seed", "5"]) == 0
    )
    expected = Sampler.open(run, device="cpu").sample(COLUMNS, breed="class 2", seed=5)
    breeds = tmp_path / "shown/breeds.png"
    assert (place(breeds, 0, 3) == enlarged(expected[3])).all()
    assert Image.open(breeds).height == 2 + SIDE + 2
    calm = Sampler.open(run, device="cpu", truncation=0.5).sample(COLUMNS, seed=5)
    assert (place(tmp_path / "shown/truncation.png", 0, 1) == enlarged(calm[1])).all()
    film = Image.open(tmp_path / "shown/interpolation.gif")
    assert (film.n_frames, film.size) == (6, (4 * SIDE, 2 * SIDE))


def test_the_nearest_real_picture_of_a_copy_is_the_copied_one(run: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    copied = Sampler.open(run, device="cpu").sample(3)
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    for index, picture in enumerate([*noise, copied[1]]):
        Image.fromarray(picture).save(tmp_path / f"real/{index}.png")
    command = ["show", str(run), "--out", str(tmp_path / "shown"), "--real", str(tmp_path / "real")]
    assert main([*command, "--network", "stand-in"]) == 0
    nearest = tmp_path / "shown/nearest.png"
    assert (place(nearest, 1, 0) == place(nearest, 1, 1)).all()
    assert Image.open(nearest).width == 2 + (NEAREST + 1) * (SIDE + 2)


def test_one_that_fails_costs_itself_only(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(showing, "_save_gif", broken)
    assert main(["show", str(run), "--out", str(tmp_path / "shown")]) == 2
    printed = capsys.readouterr()
    assert "interpolation.gif" not in printed.out
    assert "breeds.png" in printed.out
    assert "interpolation.gif" in printed.err
    files = {path.name for path in (tmp_path / "shown").iterdir()}
    assert files == {"breeds.png", "truncation.png"}


def test_a_network_that_cannot_be_used_is_refused_before_anything_is_drawn(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["show", str(run), "--out", str(tmp_path / "shown"), "--real", str(run.parent / "set")]
    assert main([*command, "--network", "nosuch"]) == 2
    assert "no such network: 'nosuch'" in capsys.readouterr().err
    assert not (tmp_path / "shown").exists()


def test_what_was_drawn_or_generated_among_training_pictures_is_not_one_of_them(
    run: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "mine.png")
    assert main(["show", str(run), "--out", str(tmp_path / "shown")]) == 0
    assert main(["show", str(run), "--out", str(tmp_path)]) == 0
    assert main(["generate", str(run), "--out", f"{tmp_path / 'new'}/", "--count", "3"]) == 0
    assert [image.name for image in open_source(tmp_path).images] == ["mine.png"]
    assert len(open_source(tmp_path / "new").images) == 3  # somebody asked for it


def test_the_arc_begins_and_ends_where_it_should_and_keeps_its_length() -> None:
    a, b = torch.nn.functional.normalize(
        torch.randn(2, 5, 16, generator=torch.Generator().manual_seed(0)), dim=2
    )
    torch.testing.assert_close(spherical_mean(a, b, share=0), a)
    torch.testing.assert_close(spherical_mean(a, b, share=1), b)
    torch.testing.assert_close(spherical_mean(a, b, share=0.3).norm(dim=1), torch.ones(5))
