"""Blocks side by side: in order, however long each takes; an error comes through; threads are given back."""

import time
from collections.abc import Iterator

import pytest
import torch

from dogsgan.scoring.blockwise import blockwise


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
