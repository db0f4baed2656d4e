"""The Fréchet distance: its golden numbers, its laws, singular covariances; mean and covariance in blocks."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.errors import DogsganError
from dogsgan.metrics.frechet import frechet_distance_between, small_sample_bias, statistics_of
from dogsgan.scoring import frechet_distance, frechet_distance_of_features


def golden() -> tuple[np.ndarray, np.ndarray]:
    """Return the real and the generated features that the golden numbers are of."""
    random = np.random.RandomState(0)
    real = random.randn(500, 32)
    random.randn(200, 32)
    return real, random.randn(400, 32) + 0.1


def test_golden_number() -> None:
    real, generated = golden()
    assert frechet_distance_of_features(real, generated) == pytest.approx(1.59104870386, rel=1e-9)


def test_shifted_standard_normals_of_2048_dimensions_are_2048_apart() -> None:
    zeros, ones, identity = np.zeros(2048), np.ones(2048), np.eye(2048)
    assert frechet_distance(zeros, identity, ones, identity) == pytest.approx(2048.0, rel=1e-9)


def test_agrees_with_the_matrix_square_root() -> None:
    random = np.random.RandomState(3)
    a, b = random.randn(300, 20) * np.linspace(0.1, 3, 20), random.randn(200, 20) @ random.randn(20, 20)
    first, second = statistics_of(a), statistics_of(b)
    root = scipy.linalg.sqrtm(first.covariance @ second.covariance)
    expected = ((first.mean - second.mean) ** 2).sum() + np.trace(
        first.covariance + second.covariance - 2 * np.real(root)
    )
    assert frechet_distance_between(first, second) == pytest.approx(expected, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(2, 40),
    columns=st.integers(1, 30),
    seed=st.integers(0, 10_000),
    scale=st.floats(0.01, 100),
)
def test_equal_sets_are_zero_apart_and_distance_is_symmetric(
    rows: int, columns: int, seed: int, scale: float
) -> None:
    random = np.random.RandomState(seed)
    a, b = random.randn(rows, columns) * scale, random.randn(rows + 1, columns) * scale + 0.5
    size = scale**2 * columns
    assert 0.0 <= frechet_distance_of_features(a, a) <= 1e-9 * size
    there, back = frechet_distance_of_features(a, b), frechet_distance_of_features(b, a)
    assert there >= 0.0
    assert there == pytest.approx(back, rel=1e-8, abs=1e-9 * size)


def test_singular_covariances_are_exact() -> None:
    """With fewer rows than columns the root's trace is the nuclear norm of the rows' product."""
    random = np.random.RandomState(4)
    a, b = random.randn(40, 300), random.randn(60, 300) * 2 + 0.3
    centred_a, centred_b = a - a.mean(axis=0), b - b.mean(axis=0)
    root = np.linalg.svd(centred_a @ centred_b.T, compute_uv=False).sum() / np.sqrt(39 * 59)
    traces = (centred_a**2).sum() / 39 + (centred_b**2).sum() / 59
    expected = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + traces - 2 * root
    assert frechet_distance_of_features(a, b) == pytest.approx(expected, rel=1e-9)


def test_gaussians_on_orthogonal_planes() -> None:
    """Covariances without a common direction have a product of root 0; jitter would not say so."""
    first, second = np.diag([1.0, 2.0, 0.0, 0.0]), np.diag([0.0, 0.0, 3.0, 4.0])
    zeros = np.zeros(4)
    assert frechet_distance(zeros, first, zeros, second) == pytest.approx(10.0, rel=1e-12)


def test_singular_to_working_precision_counts_as_singular() -> None:
    """Rounding lets Cholesky through a singular covariance at times, leaving noise for variance."""
    zeros, passed = np.zeros(6), 0
    for seed in range(40):
        basis = np.linalg.qr(np.random.RandomState(seed).randn(6, 6))[0]
        flat, line = basis[:, :5] @ basis[:, :5].T, np.outer(basis[:, 5], basis[:, 5])
        passed += int(torch.linalg.cholesky_ex(torch.from_numpy(flat))[1]) == 0
        assert frechet_distance(zeros, flat, zeros, line) == pytest.approx(6.0, rel=1e-12)
    assert passed > 0


def test_collapsed_pictures() -> None:
    same = np.ones((50, 8))
    other = np.random.RandomState(5).randn(400, 8)
    statistics = statistics_of(other)
    expected = ((1 - statistics.mean) ** 2).sum() + np.trace(statistics.covariance)
    assert frechet_distance_of_features(same, other) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance_of_features(same, same) == 0.0


def test_nearly_singular_covariances_keep_their_digits() -> None:
    """Variances over thirteen decades, where roots of the product's eigenvalues lose half the digits."""
    first, second = np.diag(np.logspace(-10, 3, 40)), np.diag(np.logspace(3, -10, 40))
    zeros = np.zeros(40)
    expected = ((np.sqrt(np.diag(first)) - np.sqrt(np.diag(second))) ** 2).sum()
    assert frechet_distance(zeros, first, zeros, second) == pytest.approx(expected, rel=1e-12)


def test_nan_is_refused_by_name() -> None:
    covariance = np.eye(3)
    covariance[1, 1] = np.nan
    with pytest.raises(DogsganError, match="second covariance holds 1 NaN"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(3), covariance)
    with pytest.raises(DogsganError, match="first mean"):
        frechet_distance(torch.tensor([np.inf, 0, 0]), np.eye(3), np.zeros(3), np.eye(3))


def test_sizes_that_disagree_are_refused() -> None:
    with pytest.raises(DogsganError, match="disagree in size"):
        frechet_distance(np.zeros(3), np.eye(3), np.zeros(4), np.eye(4))


def test_bias_of_a_small_sample_is_told_within_a_factor_of_two() -> None:
    """Of pictures from the very same Gaussian, the whole distance is bias."""
    random = np.random.RandomState(6)
    few, many = random.randn(120, 60), statistics_of(random.randn(50_000, 60))
    distance = frechet_distance_between(statistics_of(few), many)
    bias = small_sample_bias(few, many, whole=distance)
    assert 0.5 * distance < bias < 2.0 * distance


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
