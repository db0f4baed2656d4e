"""What nobody asked for, or what only decorates, costs no result where it fails."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from dogsgan.audit import auditing
from dogsgan.errors import DogsganError
from dogsgan.per_class import files as per_class_files
from dogsgan.progress import optional


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
    def failing(*args: object, network: str, **options: object) -> str:
        if network == "private":
            raise error
        return f"the score by {network}"

    monkeypatch.setattr(auditing, "score", failing)
    monkeypatch.setattr(auditing, "_at_hand", lambda *args: True)
    inputs = SimpleNamespace(generated_path=tmp_path, real_path=tmp_path)
    network = SimpleNamespace(name="stand-in")
    scores, left_out = auditing._other_scores(network, inputs, "cpu", tmp_path, 64)  # type: ignore[arg-type]
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
