"""Every part of a kernel is over soon enough for the next, for any budget and any measured time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsgan.supervise.session import Clock

HOURS = 3600.0


def nine_hours(*, startup_s=15.0, finishing_s=200.0) -> Clock:
    clock = Clock(started=1000.0, budget_s=9 * HOURS, finishing_s=finishing_s)
    clock.note_startup(startup_s)
    return clock


@pytest.mark.parametrize("on_gpu", [True, False])
@given(
    budget_s=st.floats(60, 9 * HOURS),
    startup_s=st.floats(0.5, 60),
    finishing_s=st.floats(0.1, 3000),
)
def test_the_order_of_the_times_is_always_the_same(on_gpu, budget_s, startup_s, finishing_s):
    clock = Clock(started=0.0, budget_s=budget_s, finishing_s=finishing_s)
    clock.note_startup(startup_s)
    stops = clock.training_stops_at(on_gpu=on_gpu)
    assert clock.ends_at < budget_s
    assert clock.last_call_at < budget_s
    assert stops + clock.grace_s + 1.5 * finishing_s + 3 * startup_s <= clock.ends_at
    assert stops <= clock.first_try_stops_at()
    own_s = 0.0 if on_gpu else 1.25 * finishing_s  # at least, taken off by the trainer
    assert clock.training_budget_s(on_gpu=on_gpu) - own_s < stops  # so it ends before it is asked to


def test_nine_hours_go_to_training_but_for_a_few_percent():
    clock = nine_hours()
    assert clock.training_budget_s(on_gpu=True) > 0.97 * 9 * HOURS


def test_the_slowest_start_counts_once_one_is_measured():
    clock = Clock(started=0.0, budget_s=100.0)
    assumed = clock.startup_s
    clock.note_startup(3.0)
    assert clock.startup_s == 3.0 < assumed
    clock.note_startup(7.0)
    clock.note_startup(2.0)
    assert clock.startup_s == 7.0
