"""Cores are counted as the scheduler grants them; threads give their results in order, a few items ahead."""

import os
import threading
from collections.abc import Iterator

import pytest

from dogsgan.cores import in_threads, usable_cores


def test_affinity_counts_not_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 8}, raising=False)
    assert usable_cores() == 3


@pytest.mark.parametrize(("machine", "expected"), [(6, 6), (None, 1)])
def test_without_affinity_the_machine_counts(
    machine: int | None, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: machine)
    assert usable_cores() == expected


def test_threads_give_results_in_order_however_long_each_takes() -> None:
    first_may_end = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert first_may_end.wait(10)
        else:
            first_may_end.set()  # the second is done first
        return item * item

    assert list(in_threads(work, range(20), workers=2, ahead=4)) == [item * item for item in range(20)]


def test_threads_take_no_more_items_than_a_few_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            taken.append(item)
            yield item

    results = in_threads(lambda item: item, items(), workers=2, ahead=4)
    assert [next(results), next(results)] == [0, 1]
    assert len(taken) == 5  # four ahead of the first, and one more when it was handed out


def test_what_waits_is_given_up_with_the_results() -> None:
    started: list[int] = []
    free = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item:
            assert free.wait(10)
        return item

    results = in_threads(work, range(100), workers=1, ahead=50)
    next(results)
    threading.Timer(0.05, free.set).start()
    results.close()  # type: ignore[attr-defined]
    assert len(started) < 5


def test_an_error_of_the_work_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        list(in_threads(lambda item: 1 // item, [1, 0, 2], workers=2, ahead=2))
