"""How a run stands, and its log shown once, whatever happens to the connection."""

import json
from collections.abc import Callable

import kaggle_server
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaggle_server import KERNEL, Reply, log_of, refusal

from dogsgan.errors import DogsganError
from dogsgan.kernel.folder import parse_ref
from dogsgan.kernel.kaggle import push
from dogsgan.kernel.kaggle.client import Kaggle
from dogsgan.kernel.kaggle.push import follow_run, log_lines, status

kaggle = kaggle_server.kaggle_fixture
run = kaggle_server.run_fixture
REF = parse_ref(KERNEL)


@pytest.mark.parametrize(
    ("answered", "shown", "exit_status"),
    [
        ("QUEUED", "is queued", 0),
        ("RUNNING", "is running", 0),
        ("COMPLETE", "is complete", 0),
        ("ERROR", "failed: out of memory", 1),
        ("CANCEL_REQUESTED", "is cancelling", 0),
        ("CANCEL_ACKNOWLEDGED", "is cancelled", 1),
    ],
)
def test_every_state_is_told(kaggle, run, capsys, answered, shown, exit_status):
    kaggle.statuses = [answered]
    kaggle.failure_message = "out of memory" if answered == "ERROR" else ""
    assert run("status", KERNEL, "--json") == exit_status
    captured = capsys.readouterr()
    assert f"ann/dogs-sagan version 3 {shown}" in captured.err
    assert json.loads(captured.out)["version"] == 3


def test_the_last_lines_of_the_log_come_along(kaggle):
    kaggle.log = log_of(*(f"line {i}\n" for i in range(50)))
    assert status(KERNEL).log == tuple(f"line {i}" for i in range(45, 50))


def test_a_log_that_cannot_be_had_does_not_hide_the_state(kaggle):
    kaggle.replies["ListKernelSessionOutput"] = [refusal(404, "no output yet")]
    assert status(KERNEL).status == "complete"


def test_what_kaggle_says_cannot_steer_a_terminal(kaggle):
    kaggle.statuses, kaggle.failure_message = ["ERROR"], "bad\n\x1b]0;title\x07"
    assert "failed: bad \\x1b]0;title\\x07" in status(KERNEL).summary()


def test_a_kernel_of_another_name_is_one_line(kaggle):
    with pytest.raises(DogsganError, match="check that ann/dogs-sagam is the name in the address"):
        status("ann/dogs-sagam")


@pytest.fixture
def follow(kaggle, capsys) -> Callable[..., tuple[str, list[str]]]:
    """Follow a run to its end; return how it ended, and the lines that were shown."""

    def follow(*, fresh: bool = False) -> tuple[str, list[str]]:
        state = follow_run(Kaggle.connect(), REF, fresh=fresh)
        return state.status, capsys.readouterr().err.splitlines()

    return follow


def test_a_run_is_followed_to_its_end(kaggle, follow):
    kaggle.statuses = ["QUEUED", "RUNNING", "COMPLETE"]
    kaggle.stream = ["first\n", "second\nthird"]
    ended, shown = follow()
    assert ended == "complete"
    assert shown == [
        "ann/dogs-sagan is queued",
        "ann/dogs-sagan is running",
        "  | first",
        "  | second",
        "  | third",
        "ann/dogs-sagan is complete",
    ]


def test_a_cut_stream_goes_on_where_it_was_cut(kaggle, follow):
    kaggle.statuses = ["RUNNING", "RUNNING", "COMPLETE"]
    kaggle.stream = ["first\n", "second\n", "third\n"]
    whole = kaggle.stream_of_log({})
    cut = len(whole.content().partition(b"third")[0])
    kaggle.replies["stream_of_log"] = [Reply(whole.body, content_type=whole.content_type, cut_after=cut)]
    _, shown = follow()
    assert [line for line in shown if "|" in line] == ["  | first", "  | second", "  | third"]
    assert len([name for name, _, _ in kaggle.requests if name == "stream_of_log"]) >= 2


def test_passing_trouble_does_not_end_the_following(kaggle, follow):
    kaggle.statuses = ["RUNNING", "COMPLETE"]
    kaggle.replies["GetKernelSessionStatus"] = [refusal(503, "no"), Reply("<html>")]
    ended, shown = follow()
    assert ended == "complete"
    assert len([line for line in shown if "still following" in line]) == 2


def test_kaggle_out_of_reach_for_too_long_ends_it_with_a_line(kaggle, follow, monkeypatch):
    monkeypatch.setattr(push, "PATIENCE_S", 0.0)
    kaggle.replies["GetKernelSessionStatus"] = [refusal(503, "no")] * 100
    with pytest.raises(DogsganError, match="the run on Kaggle goes on meanwhile"):
        follow()


def test_a_log_that_cannot_be_had_does_not_end_the_following(kaggle, follow):
    kaggle.statuses = ["RUNNING", "COMPLETE"]
    kaggle.replies["stream_of_log"] = [refusal(404, "no log yet"), refusal(404, "no log")]
    assert follow()[0] == "complete"


def test_an_end_seen_once_right_after_a_push_may_be_of_the_run_before(kaggle, follow):
    kaggle.statuses = ["ERROR", "RUNNING", "COMPLETE"]
    assert follow(fresh=True)[0] == "complete"
    kaggle.statuses = ["ERROR", "ERROR"]
    assert follow(fresh=True)[0] == "failed"


def test_a_refusal_ends_the_following(kaggle, follow):
    kaggle.replies["GetKernelSessionStatus"] = [refusal(401, "expired")]
    with pytest.raises(DogsganError, match="does not accept the credentials"):
        follow()


def test_a_stored_log_is_read_in_either_form():
    assert log_lines(log_of("a\nb", "c\n\n", "d")) == ["a", "bc", "d"]
    assert log_lines("plain\ntext\n") == ["plain", "text"]
    assert log_lines(log_of("\x1b[2Jred\tx\n", "10%\r20%\r")) == ["\\x1b[2Jred x", "10%", "20%"]


@given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_any_log_can_be_shown(stored):
    assert all(line.strip() for line in log_lines(stored))
    assert log_lines("[" * 100_000)
