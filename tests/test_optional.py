"""What nobody asked for, or what only decorates, costs no result where it fails."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from dogsgan import cli
from dogsgan import per_class as per_class_files
from dogsgan import score as score_module
from dogsgan.audit import reading
from dogsgan.errors import DogsganError
from dogsgan.files import write_bytes
from dogsgan.progress import optional, optional_file


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DogsganError("weights.pth is damaged: fetch it again"), "(weights.pth is damaged: fetch it again)"),
        (MemoryError("no room"), "(MemoryError: no room)"),
        (RuntimeError("CUDA out of memory"), "(RuntimeError: CUDA out of memory)"),
    ],
)
def test_a_second_network_that_fails_costs_its_own_score_only(
    error: Exception, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(table: object, network: SimpleNamespace) -> tuple[str, list[str]]:
        if network.name == "private":
            raise error
        return network.name, []

    monkeypatch.setattr(reading, "generated_side_of", failing)
    monkeypatch.setattr(reading, "score_sides", lambda side, *args, **options: f"the score by {side}")
    networks = [SimpleNamespace(name=name) for name in ("stand-in", "public", "private")]
    real = SimpleNamespace(networks=networks, sides=networks, warnings=[])
    left_out: list[str] = []
    scores = reading.other_scores(SimpleNamespace(reader=None), real, left_out)  # type: ignore[arg-type]
    assert scores == ["the score by public"]
    assert left_out == [f"the score by the network private is left out {reason}"]


def test_a_plot_that_fails_costs_neither_table_nor_json(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*args: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(per_class_files, "plot_per_class", failing)
    result = SimpleNamespace(classes=(), to_json=lambda: {"per_class": {}})
    per_class_files.write_per_class(result, tmp_path)  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["per-class.csv", "per-class.json"]
    assert "per-class.png is left out (RuntimeError: no font)" in capsys.readouterr().err


def test_an_interruption_is_no_failure() -> None:
    with pytest.raises(KeyboardInterrupt), optional("this"):
        raise KeyboardInterrupt


def test_what_fails_beside_a_score_is_an_error_after_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unwritable statistics file or folder costs neither the score nor the figures of the classes."""
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    random = np.random.default_rng(0)
    for side in ("generated", "real"):
        for name in ("a", "b"):
            (tmp_path / side / name).mkdir(parents=True)
            for index in range(3):
                picture = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
                picture.save(tmp_path / side / name / f"{name}{index}.png")
    (tmp_path / "file").write_text("in the way")
    command = ["score", str(tmp_path / "generated"), "--real", str(tmp_path / "real"), "--network=stand-in"]
    unwritable = str(tmp_path / "file" / "stats.npz")
    assert cli.main([*command, "--json", "--save-stats", unwritable]) == 2
    printed = capsys.readouterr()
    assert json.loads(printed.out)["generated"] == 6
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert unwritable in errors[0]
    out = tmp_path / "file" / "out"
    assert cli.main([*command, "--per-class", "--save-stats", unwritable, "--out", str(out)]) == 2
    printed = capsys.readouterr()
    assert "MiFID" in printed.out
    assert "look at" not in printed.out
    errors = [line for line in printed.err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 3, "the statistics, the table, the JSON"


def test_a_classifier_that_fails_costs_no_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object, **options: object) -> None:
        raise RuntimeError("CUDA out of memory\nTried to allocate")

    random = np.random.default_rng(0)
    for side in ("generated", "real"):
        (tmp_path / side).mkdir()
        for index in range(3):
            picture = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
            picture.save(tmp_path / side / f"{index}.png")
    monkeypatch.setattr(score_module, "recognise", failing)
    found = score_module.score(
        tmp_path / "generated", tmp_path / "real", network="stand-in", cache_dir=tmp_path / "cache"
    )
    assert found.recognition is None
    assert "recognition is left out (RuntimeError: CUDA out of memory Tried to allocate)" in found.warnings


@pytest.mark.parametrize("action", ["nothing", "failure", "written"])
def test_an_optional_file_is_new_or_not_there(action: str, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    path.write_bytes(b"old")
    lines: list[str] = []
    with optional_file(path, lines):
        if action == "failure":
            raise ValueError("no font")
        if action == "written":
            write_bytes(path, b"new")
    assert lines == ([f"{path} is left out (ValueError: no font)"] if action == "failure" else [])
    assert path.exists() == (action == "written")
