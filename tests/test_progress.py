"""Progress goes to stderr, so that what a command prints stays data."""

import io
import sys

import pytest

from dogsgan.progress import progress_bar, say


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_hands_on_everything_and_counts_it_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress_bar(range(7), description="crop", unit="dogs")) == list(range(7))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "crop: 100%" in captured.err
    assert "7/7" in captured.err
    assert "dogs/s" in captured.err


def test_a_log_file_is_not_flooded(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in progress_bar(range(20_000), description="x"):
        pass
    assert capsys.readouterr().err.count("\r") <= 3


@pytest.mark.parametrize(("stream", "interval"), [(io.StringIO, 10.0), (Terminal, 0.2)])
def test_a_terminal_is_refreshed_more_often(
    stream: type[io.StringIO], interval: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", stream())
    with progress_bar(description="x", total=3) as bar:
        assert bar.mininterval == interval


def test_a_bar_goes_on_where_something_stopped(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar(description="fetch", total=10, initial=4) as bar:
        bar.update(6)
    assert "10/10" in capsys.readouterr().err


def test_a_line_does_not_tear_a_bar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress_bar(description="train", total=3):
        say("a line of its own")
    assert "a line of its own\n" in terminal.getvalue().replace("\r", "\n")
    assert any(
        line.strip() == "a line of its own" for line in terminal.getvalue().replace("\r", "\n").split("\n")
    )
    assert capsys.readouterr().out == ""
