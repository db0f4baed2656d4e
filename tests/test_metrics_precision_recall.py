"""Precision, recall, density, coverage: golden numbers, the published definitions, and ties."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from dogsgan.errors import DogsganError
from dogsgan.metrics import distances
from dogsgan.metrics.precision_recall import PrecisionRecall, precision_recall


def plain(generated: np.ndarray, real: np.ndarray, k: int) -> tuple[float, float, float, float]:
    """Naeem et al. 2020, word for word, with every distance in memory."""
    real_radii = np.sort(cdist(real, real), axis=1)[:, k]
    generated_radii = np.sort(cdist(generated, generated), axis=1)[:, k]
    distances = cdist(real, generated)
    in_real = distances < real_radii[:, None]
    in_generated = distances < generated_radii[None, :]
    return (
        in_real.any(axis=0).mean(),
        in_generated.any(axis=1).mean(),
        in_real.sum(axis=0).mean() / k,
        (distances.min(axis=1) < real_radii).mean(),
    )


def four(found: PrecisionRecall) -> tuple[float, float, float, float]:
    return found.precision, found.recall, found.density, found.coverage


def golden() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    real = random.randn(500, 32)
    random.randn(200, 32)
    return random.randn(400, 32) + 0.1, real


def test_golden_numbers_and_direction() -> None:
    generated, real = golden()
    assert four(precision_recall(generated, real)) == pytest.approx((0.7875, 0.844, 0.869, 0.93), rel=1e-12)
    assert four(precision_recall(real, generated)) != pytest.approx((0.7875, 0.844, 0.869, 0.93), rel=1e-3)


def test_precision_and_recall_are_torch_fidelitys() -> None:
    from torch_fidelity.metric_prc import calculate_precision_recall_full

    generated, real = (torch.from_numpy(side) for side in golden())
    for neighbours in (3, 5):
        found = precision_recall(generated, real, neighbours=neighbours)
        theirs = calculate_precision_recall_full(generated, real, neighborhood=neighbours)
        assert (found.precision, found.recall) == pytest.approx(theirs, rel=1e-6)  # theirs is a float32 mean


@settings(max_examples=40, deadline=None)
@given(
    generated=st.integers(4, 40),
    real=st.integers(4, 50),
    columns=st.integers(1, 12),
    k=st.integers(1, 3),
    block=st.integers(2, 20),
    whole_numbers=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_blocks_agree_with_the_plain_definition(
    generated: int, real: int, columns: int, k: int, block: int, whole_numbers: bool, seed: int
) -> None:
    random = np.random.RandomState(seed)
    a, b = random.randn(generated, columns) + 0.3, random.randn(real, columns)
    if whole_numbers:  # ties everywhere: strict inequalities and duplicates decide
        a, b = np.round(2 * a), np.round(2 * b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_ROWS_AT_ONCE", block)
        found = four(precision_recall(a, b, neighbours=k))
    assert found == pytest.approx(plain(a, b, k), rel=1e-12, abs=1e-15)


def test_a_copied_training_set_has_the_numbers_that_the_definition_gives_it() -> None:
    """Every copy lies on balls' surfaces: those of the pictures whose k-th neighbour it copies."""
    real = np.random.RandomState(3).randn(300, 40).astype(np.float32)
    for order in (np.arange(300), np.random.RandomState(4).permutation(300)):
        found = precision_recall(real[order], real)
        assert four(found) == (1.0, 1.0, pytest.approx(1.0, rel=1e-12), 1.0)
        # each real ball holds its own copy and those of the k − 1 nearest: k in all, not k + 1
        assert found.real_balls.sum() == 5 * 300


@pytest.mark.parametrize("offset", [0.0, 300.0, 1e5])
def test_a_common_offset_costs_no_digits(offset: float) -> None:
    random = np.random.RandomState(5)
    real = (random.randn(200, 64) + offset).astype(np.float32)
    generated = (random.randn(150, 64) + offset).astype(np.float32)
    expected = plain(generated.astype(np.float64), real.astype(np.float64), 5)
    assert four(precision_recall(generated, real)) == pytest.approx(expected, rel=1e-12)


def test_a_collapsed_generator_is_measured_by_its_tiny_differences() -> None:
    """All generated pictures nearly one: far nearer to each other than float32 resolves between blocks."""
    random = np.random.RandomState(6)
    real = 10 * random.randn(200, 64)
    generated = real[7] + 1e-6 * random.randn(120, 64)
    assert four(precision_recall(generated, real)) == pytest.approx(plain(generated, real, 5), rel=1e-12)
    same = np.repeat(real[7:8], 120, axis=0)
    found = precision_recall(same, real)
    assert four(found) == pytest.approx(plain(same, real, 5), rel=1e-12)
    assert found.recall == 0  # balls of radius 0 hold nothing, not even the picture itself


def test_what_each_picture_adds_is_kept() -> None:
    generated, real = golden()
    found = precision_recall(generated, real)
    distances = cdist(generated, real)
    radii = np.sort(cdist(real, real), axis=1)[:, 5]
    assert found.real_balls.tolist() == (distances < radii).sum(axis=1).tolist()
    assert found.covered.tolist() == (distances < radii).any(axis=0).tolist()
    assert len(found.recalled) == 500


@pytest.mark.parametrize(
    ("generated", "real", "message"),
    [
        (np.ones((5, 4)), np.eye(9, 4), "5 nearest pictures are asked for and there are 4"),
        (np.eye(9, 4), np.ones((5, 4)), "5 nearest pictures are asked for and there are 4"),
        (np.ones((9, 4)), np.ones((9, 5)), "same network"),
        (np.r_[np.ones((8, 4)), np.full((1, 4), np.nan)], np.ones((9, 4)), "generated picture 8 are NaN"),
        (np.ones((9, 4)), np.full((9, 4), np.inf), "real picture 0 are NaN or infinite"),
        (np.ones(4), np.ones((9, 4)), "expected 2"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(
    generated: np.ndarray, real: np.ndarray, message: str
) -> None:
    with pytest.raises(DogsganError, match=message):
        precision_recall(generated, real)
