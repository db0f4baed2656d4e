"""Standard streams that are closed, full or gone: the work goes on, and the exit status tells the truth."""

import errno
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from tiny import RECIPE, crop_set

from dogsgan import console
from dogsgan.cli import main
from dogsgan.console import STDERR, STDOUT, close_streams, open_streams, print_result
from dogsgan.kernel.main import KernelLog
from dogsgan.progress import progress_bar, say
from dogsgan.submission.writing import encode_png
from dogsgan.supervise.children import answer
from dogsgan.training.loop import train

FAILURES = [
    BrokenPipeError(errno.EPIPE, "Broken pipe"),
    OSError(errno.EIO, "Input/output error"),
    OSError(errno.ENOSPC, "No space left on device"),
    BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
    ValueError("I/O operation on closed file"),
]


class Failing:
    """A stream that fails at every call."""

    encoding = "utf-8"

    def __init__(self, error):
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error

    def isatty(self):
        raise self.error

    def fileno(self):
        raise self.error


STREAMS = [Failing(error) for error in FAILURES] + [None]


@pytest.fixture(params=STREAMS, ids=lambda stream: str(stream and stream.error))
def no_streams(request, monkeypatch):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, request.param)


def test_what_nobody_can_read_stops_nothing(no_streams):
    say("a line")
    for _ in progress_bar(range(3), description="work"):
        pass
    with progress_bar(description="work", total=3) as bar:
        bar.set_postfix({"D": 1})
        bar.update(3)
    assert STDERR.write("three") == 5
    STDOUT.flush()


@pytest.mark.parametrize("stream", STREAMS[::5])
def test_a_run_goes_on_when_its_terminal_is_gone(stream, monkeypatch, tmp_path):
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, stream)
    report = train(RECIPE, crop_set(tmp_path / "set"), tmp_path / "run", images=8)
    assert report.images_seen == 8


def test_a_kernel_s_log_needs_no_page(no_streams, tmp_path):
    KernelLog(tmp_path / "kernel.log", started=0.0).say("a line")
    assert (tmp_path / "kernel.log").read_text().endswith(" a line\n")


def test_a_child_whose_parent_is_gone_still_ends_well(monkeypatch):
    def gone(number, data):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(os, "write", gone)
    answer({"images_seen": 3})


def test_a_line_of_a_signal_s_handler_does_not_wait_for_the_one_being_written(monkeypatch, tmp_path):
    path = tmp_path / "stderr"
    with path.open("wb") as file:
        reentered = Failing(RuntimeError("reentrant call inside <_io.BufferedWriter>"))
        monkeypatch.setattr(reentered, "fileno", file.fileno)
        monkeypatch.setattr(sys, "stderr", reentered)
        STDERR.write("heard\n")
    assert path.read_text() == "heard\n"


def test_a_lost_result_is_an_error_and_a_reader_that_left_is_none(monkeypatch, capsys):
    cases = {errno.ENOSPC: 2, errno.EFBIG: 2, errno.EIO: 2, errno.EPIPE: 0}
    for number, status in cases.items():
        open_streams()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", Failing(OSError(number, os.strerror(number))))
            print_result("the result")
            assert close_streams(0) == status, errno.errorcode[number]
        said = capsys.readouterr().err
        assert ("error: the result could not be written to stdout" in said) == (status == 2)
        assert said.count("\n") == (status == 2)
    open_streams()
    assert close_streams(1) == 1


@pytest.fixture(scope="module")
def one_picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("zip") / "images.zip"
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("0.png", encode_png(pixels))
    return path


def shell(line, *, zip_path="", **environment):
    """Run a line of sh in which DOGSGAN stands for the command."""
    return subprocess.run(
        ["sh", "-c", line.replace("DOGSGAN", f"{sys.executable} -m dogsgan").replace("ZIP", str(zip_path))],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


needs_dev_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


@needs_dev_full
@pytest.mark.parametrize(
    "arguments", ["--version", "--help", "check ZIP --count 1", "check ZIP --count 1 --json"]
)
def test_a_full_stdout_is_one_line_and_status_2(arguments, one_picture):
    done = shell(f"DOGSGAN {arguments} > /dev/full", zip_path=one_picture)
    assert done.returncode == 2
    assert "error: the result could not be written" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("arguments", ["--help", "check ZIP --count 1 --json"])
def test_a_reader_that_leaves_is_no_error(arguments, one_picture):
    line = f"{{ DOGSGAN {arguments}; echo status $? >&2; }} | true"
    done = shell(line, zip_path=one_picture)
    assert done.stderr.splitlines()[-1] == "status 0"
    assert "error" not in done.stderr
    assert "Exception ignored" not in done.stderr


@needs_dev_full
@pytest.mark.parametrize(
    ("redirected", "count", "status"),
    [("2>&-", 1, 0), (">&-", 1, 0), ("<&- >&- 2>&-", 2, 1), ("2> /dev/full", 1, 0), ("2> /dev/full", 2, 1)],
)
def test_closed_and_full_streams_leave_the_exit_status_alone(redirected, count, status, one_picture):
    done = shell(f"DOGSGAN check ZIP --count {count} {redirected}", zip_path=one_picture)
    assert done.returncode == status, done.stderr
    assert "rror" not in done.stderr
    assert "ignored" not in done.stderr


@needs_dev_full
def test_an_error_keeps_its_status_where_it_cannot_be_said():
    for redirected in ("2>&-", "2> /dev/full"):
        assert shell(f"DOGSGAN check nowhere.zip {redirected}").returncode == 2
        assert shell(f"DOGSGAN check {redirected}").returncode == 2


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path):
    """Else what a library prints on descriptor 2 lands in the first file that the command opens."""
    code = (
        "import os\nfrom dogsgan.console import open_streams\nopen_streams()\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w')\nassert file.fileno() > 2, file.fileno()\n"
        "os.write(2, b'a warning')\n"
    )
    subprocess.run(["sh", "-c", f'{sys.executable} -c "$0" <&- >&- 2>&-', code], check=True)
    assert (tmp_path / "file").read_text() == ""


def test_letters_that_the_encoding_lacks_are_escaped(one_picture, tmp_path):
    odd = tmp_path / "γ.zip"
    odd.write_bytes(one_picture.read_bytes())
    done = shell("DOGSGAN check ZIP --count 1", zip_path=odd, PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert "\\u03b3.zip: ok" in done.stdout


def test_a_stream_of_another_program_is_left_as_it_is(capsys):
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out.startswith("dogsgan ")
    assert console.STDOUT.encoding
