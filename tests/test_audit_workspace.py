"""What an audit keeps, so that an interrupted one goes on."""

from pathlib import Path

import numpy as np
import pytest

from dogsgan.audit.workspace import Workspace


def test_a_stage_is_made_once(tmp_path: Path) -> None:
    calls = []

    def make() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        assert Workspace(tmp_path).stage("first", make)["a"].tolist() == [0, 1, 2]
    assert len(calls) == 1


def test_a_damaged_stage_is_made_anew(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.stage("first", lambda: {"a": np.arange(3)})
    (tmp_path / "first.npz").write_bytes(b"PK\x03\x04 cut short")
    assert workspace.stage("first", lambda: {"a": np.arange(4)})["a"].tolist() == [0, 1, 2, 3]


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workspace(tmp_path).stage("first", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_cannot_be_kept_is_made_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    workspace = Workspace(tmp_path / "file" / "workspace")
    assert workspace.stage("first", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]
    assert "what is found so far is not kept: cannot write" in capsys.readouterr().err
