"""What an audit keeps, so that an interrupted one goes on."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from dogsgan.audit.workspace import GrowingArray, Workspace, blocks
from dogsgan.errors import DogsganError


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


def test_a_growing_array_goes_on_after_the_last_keep(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")
    array.append(np.ones((4, 2)))
    array.keep()
    array.append(np.full((3, 2), 7.0))  # not kept: lost with the process
    del array
    again = GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")
    assert again.done == 4
    assert not again.complete
    again.append(np.full((6, 2), 2.0))
    again.keep()
    last = GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")
    assert last.complete
    assert last.array[:, 0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2, 2, 2]


@pytest.mark.parametrize(("rows", "shape"), [(11, (2,)), (10, (3,))])
def test_an_array_of_another_shape_begins_anew(tmp_path: Path, rows: int, shape: tuple[int, ...]) -> None:
    array = GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")
    array.append(np.ones((4, 2)))
    array.keep()
    del array
    assert GrowingArray(tmp_path / "rows.npy", rows=rows, shape=shape, dtype="float32").done == 0


def test_two_audits_do_not_fill_one_array(tmp_path: Path) -> None:
    first = GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")
    first.append(np.ones((4, 2)))
    with pytest.raises(DogsganError, match=r"another audit is writing .*: wait until it is done"):
        GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")
    first.append(np.ones((6, 2)))
    first.keep()
    assert (GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32").array == 1).all()


def test_a_complete_array_is_only_read(tmp_path: Path) -> None:
    array = GrowingArray(tmp_path / "rows.npy", rows=1, shape=(2,), dtype="float32")
    array.append(np.ones((1, 2)))
    array.keep()
    again = GrowingArray(tmp_path / "rows.npy", rows=1, shape=(2,), dtype="float32")
    assert again.complete
    assert not again.array.flags.writeable


def test_a_full_disk_is_told_before_a_row_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(DogsganError, match=r"cannot write .* \(No space left on device\): free space"):
        GrowingArray(tmp_path / "rows.npy", rows=10, shape=(2,), dtype="float32")


def test_blocks_cover_everything_once() -> None:
    assert [(block.start, block.stop) for block in blocks(7, 3)] == [(0, 3), (3, 6), (6, 7)]
    assert list(blocks(0, 3)) == []
