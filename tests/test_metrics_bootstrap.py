"""Bootstrap intervals: drawn together or one by one they are the same, and they cover as they say."""

import numpy as np
import pytest

from dogsgan.metrics import bootstrap
from dogsgan.metrics.bootstrap import interval_of_mean


@pytest.mark.parametrize("distinct", [2, 5, 1000])
def test_it_is_the_interval_of_pictures_drawn_one_by_one(distinct: int) -> None:
    random = np.random.default_rng(1)
    values = random.integers(0, distinct, 400) / 7
    plain = [values[random.integers(400, size=400)].mean() for _ in range(4000)]
    expected = np.percentile(plain, [2.5, 97.5])
    assert interval_of_mean(values, seed=0) == pytest.approx(expected, abs=0.15 * np.ptp(expected))


def test_it_covers_the_truth_19_times_in_20() -> None:
    random = np.random.default_rng(2)
    intervals = [interval_of_mean(random.random(200) < 0.3, seed=trial) for trial in range(300)]
    covered = np.mean([low <= 0.3 <= high for low, high in intervals])
    assert 0.90 <= covered <= 0.99


def test_the_seed_alone_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(3).random(300)
    first = interval_of_mean(values, seed=5)
    assert interval_of_mean(values[::-1], seed=5) == first
    assert interval_of_mean(values, seed=6) != first
    monkeypatch.setattr(bootstrap, "_VALUES_AT_ONCE", 1000)  # a few resamples at once
    assert interval_of_mean(values, seed=5) == pytest.approx(first, rel=1e-12)


def test_equal_values_leave_nothing_open() -> None:
    assert interval_of_mean(np.ones(7), seed=0) == (1.0, 1.0)
