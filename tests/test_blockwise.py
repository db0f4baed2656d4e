"""Blocks side by side: in order, however long each takes; an error comes through; threads are given back."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from dogsgan.blockwise import blocks, blockwise


def test_blocks_cover_everything_once() -> None:
    assert [(block.start, block.stop) for block in blocks(7, 3)] == [(0, 3), (3, 6), (6, 7)]
    assert list(blocks(0, 3)) == []


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def test_results_come_in_order(threads: int) -> None:
    def square(value: int) -> int:
        time.sleep(0.002 * (value % 3))
        return value * value

    found = list(blockwise(square, range(20), description=None))
    assert found == [(value, value * value) for value in range(20)]
    assert torch.get_num_threads() == threads


def test_an_error_comes_through_and_the_rest_is_dropped(threads: int) -> None:
    started = []

    def fail(value: int) -> int:
        started.append(value)
        if value == 2:
            raise ValueError("no")
        return value

    with pytest.raises(ValueError, match="no"):
        list(blockwise(fail, range(1000), description=None))
    assert len(started) < 20
    assert torch.get_num_threads() == threads


def test_the_bar_names_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    list(blockwise(abs, [1, -2], description="pairs"))
    assert "pairs" in capsys.readouterr().err


def test_nobody_else_is_left_with_fewer_threads(threads: int) -> None:
    """Neither while a generator is looked at, nor after it was given up and not closed."""
    seen: list[int] = []

    def in_a_thread_of_its_own() -> int:
        found: list[int] = []
        other = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        other.start()
        other.join()
        return found[0]

    torch.set_num_threads(4)
    given_up = blockwise(lambda _: seen.append(torch.get_num_threads()), range(20))
    next(given_up)
    assert (torch.get_num_threads(), in_a_thread_of_its_own()) == (4, 4)
    assert seen[0] == 1, "four workers share four threads"
    again = list(blockwise(lambda _: torch.get_num_threads(), range(3), most=2))
    assert [count for _, count in again] == [2, 2, 2]
    del given_up
    assert (torch.get_num_threads(), in_a_thread_of_its_own()) == (4, 4)
