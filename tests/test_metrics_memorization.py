"""The memorization distance: its golden number, its direction, zero rows, and its blocks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.errors import DogsganError
from dogsgan.metrics import memorization
from dogsgan.metrics.memorization import nearest_real
from dogsgan.scoring import memorization_distance


def plain(generated: np.ndarray, real: np.ndarray) -> float:
    """The organisers' formula, word for word, with every distance in memory."""
    generated = generated[generated.sum(axis=1) != 0]
    real = real[real.sum(axis=1) != 0]
    generated = generated / np.linalg.norm(generated, axis=1, keepdims=True)
    real = real / np.linalg.norm(real, axis=1, keepdims=True)
    return float(np.mean(np.min(1.0 - np.abs(generated @ real.T), axis=1)))


def golden() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    real = random.randn(500, 32)
    random.randn(200, 32)
    return real, random.randn(400, 32) + 0.1


def test_golden_number_and_direction() -> None:
    real, generated = golden()
    assert memorization_distance(generated, real) == pytest.approx(0.4610657806, rel=1e-9)
    assert memorization_distance(real, generated) != pytest.approx(0.4610657806, rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    generated=st.integers(1, 50),
    real=st.integers(1, 70),
    columns=st.integers(2, 20),
    block=st.integers(1, 30),
    seed=st.integers(0, 10_000),
)
def test_blocks_agree_with_the_plain_formula(
    generated: int, real: int, columns: int, block: int, seed: int
) -> None:
    random = np.random.RandomState(seed)
    a, b = random.randn(generated, columns), random.randn(real, columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memorization, "_ROWS_AT_ONCE", block)
        patch.setattr(memorization, "_COLUMNS_AT_ONCE", block + 3)
        assert memorization_distance(a, b) == pytest.approx(plain(a, b), rel=1e-9, abs=1e-14)


def test_float32_features_lose_no_digits() -> None:
    random = np.random.RandomState(1)
    real = random.randn(900, 64).astype(np.float32)
    generated = (real[:300] + 0.05 * random.randn(300, 64)).astype(np.float32)
    exact = plain(generated.astype(np.float64), real.astype(np.float64))
    assert memorization_distance(torch.from_numpy(generated), real) == pytest.approx(exact, rel=1e-9)


def test_opposite_features_count_as_equal() -> None:
    distance = memorization_distance(np.array([[1.0, 2.0]]), np.array([[-1.0, -2.0]]))
    assert distance == pytest.approx(0.0, abs=1e-15)


def test_rows_that_sum_to_zero_are_left_out_on_both_sides() -> None:
    real, generated = golden()
    zeros = np.zeros((3, 32))
    cancelling = np.r_[1.0, -1.0, np.zeros(30)][None]
    padded = np.concatenate([zeros, generated, cancelling])
    expected = memorization_distance(generated, real)
    assert memorization_distance(padded, np.concatenate([cancelling, real, zeros])) == expected


def test_indices_count_all_real_rows() -> None:
    real = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    distances, indices = nearest_real(np.array([[0.1, 5.0], [5.0, 0.1]]), real)
    assert indices.tolist() == [2, 1]
    assert distances == pytest.approx([1 - 5 / np.hypot(0.1, 5)] * 2)


@pytest.mark.parametrize(
    ("generated", "real", "message"),
    [
        (np.zeros((3, 4)), np.ones((3, 4)), "every generated picture"),
        (np.ones((3, 4)), np.zeros((3, 4)), "every real picture"),
        (np.ones((3, 4)), np.ones((3, 5)), "same network"),
        (np.r_[np.ones((2, 4)), np.full((1, 4), np.nan)], np.ones((3, 4)), "generated picture 2 are NaN"),
        (np.ones((3, 4)), np.full((2, 4), np.inf), "real picture 0 are NaN or infinite"),
        (np.ones(4), np.ones((2, 4)), "expected 2"),
    ],
)
def test_bad_features_are_refused_by_name(generated: np.ndarray, real: np.ndarray, message: str) -> None:
    with pytest.raises(DogsganError, match=message):
        memorization_distance(generated, real)
