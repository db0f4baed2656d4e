"""The budget covers what comes after training."""

import time

import pytest

from dogsgan.errors import DogsganError
from dogsgan.training.deadline import FIXED_RESERVE_S, MARGIN, Deadline, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("9h", 32400), ("1h30m", 5400), ("45m", 2700), ("30s", 30), ("90", 90), ("0.5h", 1800), (" 2H ", 7200)],
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-3", "h", "9x", "1h-", "nan", "inf", "9 hours", "1e99"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(DogsganError, match="no duration"):
        parse_duration(text)


def test_what_was_measured_is_kept_back_with_a_margin():
    deadline = Deadline(1000, started=time.monotonic() - 100)
    for seconds in (900, 200, 180, 150):
        deadline.note_finishing(seconds)  # the slowest of the last three counts
    deadline.note_saving(10)
    assert deadline.reserve_s == MARGIN * 210 + FIXED_RESERVE_S
    assert deadline.training_left_s() == pytest.approx(900 - deadline.reserve_s, abs=1)


def test_by_another_clock_the_budget_is_that_of_training_alone():
    now = [50.0]
    deadline = Deadline(100, clock=lambda: now[0])
    deadline.note_saving(10)
    now[0] = 90.0
    assert deadline.reserve_s == 0
    assert deadline.training_left_s() == 60


def test_without_a_budget_there_is_no_end():
    assert Deadline(None).training_left_s() == float("inf")
