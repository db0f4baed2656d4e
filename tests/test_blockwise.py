"""Blocks side by side: in order, however long each takes; an error comes through; threads are given back."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from dogsgan import blockwise as module
from dogsgan.blockwise import at_once, blocks, blockwise


def test_blocks_cover_everything_once() -> None:
    assert [(block.start, block.stop) for block in blocks(7, 3)] == [(0, 3), (3, 6), (6, 7)]
    assert list(blocks(0, 3)) == []


@pytest.mark.parametrize(
    ("free_bytes", "rows"),
    [(40_000, 10), (10, 1), (10**9, 80)],  # a quarter of the memory; one at least; eight times the CPU's
)
def test_a_gpu_takes_what_a_quarter_of_its_free_memory_holds(
    monkeypatch: pytest.MonkeyPatch, free_bytes: int, rows: int
) -> None:
    module._free_bytes.cache_clear()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (free_bytes, 2 * free_bytes))
    assert at_once(10, row_bytes=1000, device=torch.device("cuda", 0)) == rows
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1, 1))
    assert at_once(10, row_bytes=1000, device=torch.device("cuda", 0)) == rows  # blocks stay the same
    assert at_once(10, row_bytes=1000, device=torch.device("cpu")) == 10
    module._free_bytes.cache_clear()


def test_another_device_gets_one_block_after_the_other() -> None:
    here = threading.current_thread()
    found = list(blockwise(lambda _: threading.current_thread(), range(3), device=torch.device("cuda")))
    assert found == [(item, here) for item in range(3)]


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
