"""What is written is complete under its name or not there, and what was there before stays until then."""

import errno
import os
import shutil
from pathlib import Path

import pytest

from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, sha256_of, write_bytes, write_json, write_text


def fill(folder: Path, **files: str) -> Path:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Return every file below, hidden ones too, with its text."""
    return {
        str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if not path.is_dir()
    }


def test_the_name_appears_when_the_file_is_complete(tmp_path: Path) -> None:
    target = tmp_path / "new/deep/file"
    with atomic_path(target) as partial:
        partial.write_text("half")
        assert not target.exists()
        assert partial.parent == target.parent  # a rename is atomic on one file system only
    assert contents(tmp_path) == {"new/deep/file": "half"}


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), SystemExit(1), GeneratorExit()])
@pytest.mark.parametrize("folder", [False, True])
def test_whatever_ends_the_writing_leaves_what_was_there(
    error: BaseException, folder: bool, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    fill(target, old="old") if folder else target.write_text("old")
    before = contents(tmp_path)

    def interrupted() -> None:
        with atomic_path(target) as partial:
            fill(partial, new="half") if folder else partial.write_text("half")
            raise error

    with pytest.raises(type(error)):
        interrupted()
    assert contents(tmp_path) == before


def test_a_folder_replaces_a_folder_whole(tmp_path: Path) -> None:
    target = fill(tmp_path / "set", old="old", both="old")
    with atomic_path(target) as partial:
        fill(partial, new="new", both="new")
        assert contents(target) == {"old": "old", "both": "old"}
    assert contents(tmp_path) == {"set/new": "new", "set/both": "new"}


def test_a_folder_that_cannot_be_put_in_place_gives_the_old_one_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = fill(tmp_path / "set", old="old")
    rename = Path.rename

    def failing(self: Path, to: Path) -> Path:
        if self.suffix == ".partial":
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as partial:
        fill(partial, new="new")
    assert contents(tmp_path) == {"set/old": "old"}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (errno.ENOSPC, "the disk is full while writing .*model.bin: free some space"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "cannot write .*model.bin: permission denied; choose a folder"),
        (errno.EROFS, "permission denied"),
    ],
)
def test_trouble_with_the_disk_is_explained(
    code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills up when the bytes are to reach it, after the file's own write seemed to succeed."""
    target = tmp_path / "model.bin"
    target.write_text("old")

    def failing(descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(DogsganError, match=message):
        write_bytes(target, b"new")
    assert contents(tmp_path) == {"model.bin": "old"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with (
        pytest.raises(DogsganError, match="the disk is full"),
        atomic_path(tmp_path / "a"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert contents(tmp_path) == {}


def test_other_errors_of_the_system_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), atomic_path(tmp_path / "a"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_one_may_not_write_to(tmp_path: Path) -> None:
    locked = fill(tmp_path / "locked")
    locked.chmod(0o500)
    try:
        with pytest.raises(DogsganError, match="permission denied"):
            write_text(locked / "a", "x")
    finally:
        locked.chmod(0o700)


def test_another_kind_of_thing_in_the_way_is_explained_and_kept(tmp_path: Path) -> None:
    fill(tmp_path / "folder", old="old")
    (tmp_path / "file").write_text("old")
    before = contents(tmp_path)
    for target in (tmp_path / "folder", tmp_path / "file/below"):
        with pytest.raises(DogsganError, match="of another kind is in the way"):
            write_text(target, "new")
    with (
        pytest.raises(DogsganError, match="of another kind is in the way"),
        atomic_path(tmp_path / "file") as partial,
    ):
        fill(partial, new="new")
    assert contents(tmp_path) == before


def test_a_leftover_that_cannot_be_removed_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = fill(tmp_path / "set", old="old")

    def refusing(path: Path) -> None:
        raise PermissionError(errno.EACCES, "no")

    monkeypatch.setattr(shutil, "rmtree", refusing)
    with atomic_path(target) as partial:
        fill(partial, new="new")
    assert contents(target) == {"new": "new"}


def test_json_and_hashes(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"breed": "Größe", "numbers": [1, 2.5, None]})
    assert read_json(path) == {"breed": "Größe", "numbers": [1, 2.5, None]}
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path)["numbers"] == [1, 2.5, None]
    write_bytes(path, b"abc")
    assert sha256_of(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_unreadable_json_is_explained(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DogsganError, match="not a readable JSON file"):
        read_json(path)
    with pytest.raises(DogsganError, match="no such file"):
        read_json(tmp_path / "other.json")
