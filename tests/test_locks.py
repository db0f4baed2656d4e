"""One process at a time writes to a folder, and a dead one blocks nobody."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dogsgan import files
from dogsgan.errors import DogsganError
from dogsgan.files import LOCK_FILE, hold, try_lock

HOLDING = (
    "import sys; from pathlib import Path; from dogsgan.files import hold\n"
    "with hold(Path(sys.argv[1])):\n"
    "    print('held', flush=True); sys.stdin.read()"
)


def test_another_process_is_named_and_once_it_was_killed_blocks_nobody(tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLDING, str(run)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with (
            pytest.raises(DogsganError, match=rf"{run} is in use by process {other.pid} on \S+: wait"),
            hold(run),
        ):
            pass
        other.kill()
        other.wait()
    with hold(run):
        assert json.loads((run / LOCK_FILE).read_bytes())["pid"] == os.getpid()
    assert list(run.iterdir()) == []


def test_a_folder_that_was_made_for_nothing_goes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="refused"), hold(tmp_path / "a/b"):
        raise ValueError("refused")
    assert list(tmp_path.iterdir()) == []


def test_one_process_may_hold_a_folder_twice(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with hold(tmp_path):
        with hold(tmp_path / "link"):
            pass
        assert try_lock(tmp_path / LOCK_FILE) is None
    assert list(tmp_path.iterdir()) == [tmp_path / "link"]


def test_a_lock_beside_a_folder_does_not_make_it(tmp_path: Path) -> None:
    with hold(tmp_path / "set", beside=True):
        assert [path.name for path in tmp_path.iterdir()] == [".set.lock"]
    assert list(tmp_path.iterdir()) == []


def test_what_was_made_stays_once_it_holds_something(tmp_path: Path) -> None:
    with hold(tmp_path / "a/b/c"):
        (tmp_path / "a/file").write_text("x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["file"]


def test_a_file_system_without_locks_is_told_of_and_the_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refusing(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(files.fcntl, "flock", refusing)
    with hold(tmp_path / "run"):
        assert list((tmp_path / "run").iterdir()) == []
    assert "run cannot be locked (No locks available): see to it that nothing else" in capsys.readouterr().err


def test_a_system_without_locks_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(files, "fcntl", None)
    with hold(tmp_path):
        pass
    assert "cannot be locked (this system has no file locks)" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["file/below", "nul\0"])
def test_a_folder_that_cannot_be_made_is_explained(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DogsganError, match="cannot write"), hold(tmp_path / name):
        pass
