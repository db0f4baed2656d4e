"""What is written is complete under its name or not there, and what was there before stays until then."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dogsgan.errors import DogsganError
from dogsgan.files import (
    atomic_path,
    is_occupied,
    read_json,
    sha256_of,
    sweep,
    write_bytes,
    write_json,
    write_text,
)


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


def test_what_is_more_than_an_empty_folder_is_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "full", file="x")
    found = {name: is_occupied(tmp_path / name) for name in ("nothing", "empty", "full", "full/file")}
    assert found == {"nothing": False, "empty": False, "full": True, "full/file": True}

    def refused(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(DogsganError, match=r"cannot write .*full \(.*\): choose another place for --out"):
        is_occupied(tmp_path / "full")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
def test_a_device_or_a_pipe_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(DogsganError, match="it is a device or a pipe; name a file"):
            write_bytes(tmp_path / name, b"x")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the device that is always full is Linux's")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    with (
        pytest.raises(DogsganError, match="the disk is full"),
        atomic_path(tmp_path / "a"),
        Path("/dev/full").open("wb", buffering=0) as full,
    ):
        full.write(b"x")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.EIO, "check the disk, then run the command again"),
        (errno.ESTALE, "check the disk"),
        (errno.EMFILE, "raise the limit with `ulimit -n`"),
        (errno.EBUSY, "choose a folder inside it"),
        (errno.ENAMETOOLONG, "choose a shorter name"),
        (errno.ELOOP, "symbolic links go in a circle"),
    ],
)
def test_every_error_of_the_system_has_its_line(code: int, remedy: str, tmp_path: Path) -> None:
    line = rf"cannot write .*/a \({os.strerror(code)}\): .*{remedy}"
    with pytest.raises(DogsganError, match=line), atomic_path(tmp_path / "a"):
        raise OSError(code, os.strerror(code))


def test_a_write_that_the_disk_took_a_part_of_is_explained(tmp_path: Path) -> None:
    """NumPy's error has no number."""
    line = r"cannot write .*/a \(1560 requested and 10 written\): the disk is probably full; free some space"
    with pytest.raises(DogsganError, match=line), atomic_path(tmp_path / "a"):
        raise OSError("1560 requested and 10 written")


def test_what_cannot_be_read_meanwhile_is_not_said_to_be_unwritable(tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match=r"cannot use /elsewhere/b\.jpg"), atomic_path(tmp_path / "a"):
        raise OSError(errno.EIO, "Input/output error", "/elsewhere/b.jpg")


def test_a_lost_connection_is_no_error_of_the_file_system(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), atomic_path(tmp_path / "a"):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("folder", [False, True])
@pytest.mark.parametrize("dangling", [False, True])
def test_a_link_stays_and_what_it_points_to_is_written(folder: bool, dangling: bool, tmp_path: Path) -> None:
    disk, link = tmp_path / "disk", tmp_path / "out" / "link"
    disk.mkdir()
    link.parent.mkdir()
    link.symlink_to("../disk/deeper/target")
    if not dangling:
        (disk / "deeper").mkdir()
        if folder:
            fill(disk / "deeper/target", old="old")
        else:
            (disk / "deeper/target").write_text("old")
    with atomic_path(link) as partial:
        assert partial.parent == disk / "deeper"
        fill(partial, new="new") if folder else partial.write_text("new")
    assert link.is_symlink()
    assert contents(disk) == {f"deeper/target{'/new' if folder else ''}": "new"}
    assert list(link.parent.iterdir()) == [link]


def test_links_in_a_circle_are_explained(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(DogsganError, match=r"cannot write .*/a: its symbolic links go in a circle"):
        write_text(tmp_path / "a", "x")


def test_leftovers_of_killed_processes_are_swept_and_what_is_being_written_stays(tmp_path: Path) -> None:
    fill(tmp_path / ".set.0123abcd.partial", half="half")
    fill(tmp_path / ".set.0123abce.old", old="old")
    (tmp_path / ".a.zip.0123abcd.partial").write_text("half")
    (tmp_path / ".a.zip.0123abcd.lock").write_text("")
    (tmp_path / ".mine.partial").write_text("a person's")
    fill(tmp_path / "set", there="there")
    with atomic_path(tmp_path / "live") as partial:
        partial.write_text("live")
        write_text(tmp_path / "other", "other")
    assert contents(tmp_path) == {
        "live": "live",
        "other": "other",
        "set/there": "there",
        ".mine.partial": "a person's",
    }


def test_a_folder_whose_replacement_was_killed_comes_back(tmp_path: Path) -> None:
    fill(tmp_path / ".set.0123abcd.old", old="old")
    fill(tmp_path / ".set.0123abcd.partial", new="new")
    sweep(tmp_path)
    assert contents(tmp_path) == {"set/old": "old"}


def test_what_another_process_writes_is_not_swept(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from dogsgan.files import atomic_path\n"
        "with atomic_path(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); print('ready', flush=True); sys.stdin.readline()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
        sweep(tmp_path)
        assert [text for text in contents(tmp_path).values() if text] == ["half"]
        writer.stdin.write("\n")
        writer.stdin.flush()
        writer.wait()
    assert contents(tmp_path) != {}
    sweep(tmp_path)
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("length", [244, 255])
def test_a_name_may_be_as_long_as_the_file_system_allows(length: int, tmp_path: Path) -> None:
    write_text(tmp_path / ("é" * (length // 2)), "x")
    assert list(contents(tmp_path).values()) == ["x"]


def test_text_with_names_that_are_not_utf8_is_written(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "caf\udce9, half \ud800")
    assert (tmp_path / "a").read_bytes() == b"caf\\udce9, half \\ud800"


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


def test_a_folder_is_written_by_a_name_without_letters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(fill(tmp_path / "folder", old="old"))
    with pytest.raises(DogsganError, match="of another kind is in the way"):
        write_text(Path(), "new")
    with pytest.raises(DogsganError, match="cannot write /: name a file or a folder in it"):
        write_text(Path("/"), "new")
    with atomic_path(Path()) as partial:
        fill(partial, new="new")
    assert contents(tmp_path) == {"folder/new": "new"}


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
