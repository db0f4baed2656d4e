"""Mean and covariance in blocks are what numpy.mean and numpy.cov say, whatever the blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.errors import DogsganError
from dogsgan.metrics.statistics import statistics_of


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 60),
    columns=st.integers(1, 8),
    rows_at_once=st.integers(1, 60),
    offset=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 10_000),
)
def test_any_blocks_agree_with_numpy(
    rows: int, columns: int, rows_at_once: int, offset: float, seed: int
) -> None:
    features = np.random.RandomState(seed).randn(rows, columns) + offset
    result = statistics_of(features, rows_at_once=rows_at_once)
    np.testing.assert_allclose(result.mean, features.mean(axis=0), rtol=1e-12)
    expected = np.atleast_2d(np.cov(features, rowvar=False))
    np.testing.assert_allclose(result.covariance, expected, rtol=1e-7, atol=1e-9)
    assert result.count == rows


def test_float32_features_are_summed_in_float64() -> None:
    features = (np.random.RandomState(2).randn(5000, 3) + 1000).astype(np.float32)
    exact = np.cov(features.astype(np.float64), rowvar=False)
    np.testing.assert_allclose(statistics_of(features, rows_at_once=64).covariance, exact, rtol=1e-10)


def test_one_picture_has_no_covariance() -> None:
    with pytest.raises(DogsganError, match="at least 2"):
        statistics_of(np.ones((1, 4)))
