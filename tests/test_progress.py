"""Progress goes to stderr, so that what a command prints stays data."""

import io
import sys

import pytest

from dogsgan.progress import overall_bar, progress_bar, say


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


def test_bars_within_an_overall_bar_advance_it_by_what_they_take(capsys: pytest.CaptureFixture[str]) -> None:
    rates = {"search": 2.0, "align": 4.0}
    seen = []
    with overall_bar("audit", 20.0, rates):
        for index in progress_bar(range(5), description="search"):
            seen.append(index)
        with progress_bar(description="align", total=2) as bar:
            bar.update(2)
            reached = bar._bar.n
        list(progress_bar(range(3), description="of no known length"))
    assert seen == list(range(5))
    assert reached == 5 * rates["search"] + 2 * rates["align"]
    told = capsys.readouterr().err
    assert "audit: align:  90%" in told or "audit: of no known length" in told
    assert "100%" in told
    assert told.count("\n") == 1, "one bar"


def test_an_overall_bar_never_goes_beyond_its_end_and_ends_where_something_fails() -> None:
    with overall_bar("audit", 1.0, {"search": 5.0}):
        assert list(progress_bar(range(3), description="search")) == [0, 1, 2]
    with pytest.raises(KeyError), overall_bar("audit", 1.0, {}):
        raise KeyError
    assert not isinstance(progress_bar(description="x", total=1), type(None))
    bar = progress_bar(range(2), description="own")
    assert bar.total == 2, "a bar of its own again"
    bar.close()
