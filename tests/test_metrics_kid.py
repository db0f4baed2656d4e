"""KID as torch-fidelity has it; the kernel distance, unbiased, and what its standard error is worth."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from dogsgan.errors import DogsganError
from dogsgan.metrics import distances, registered
from dogsgan.metrics.kid import kernel_distance, kid

RANDOM = np.random.RandomState(0)
REAL = RANDOM.randn(500, 32)
RANDOM.randn(200, 32)
FAKE = RANDOM.randn(400, 32) + 0.1


def test_it_is_torch_fidelity_s() -> None:
    theirs = kid_features_to_metric(
        torch.from_numpy(FAKE), torch.from_numpy(REAL), kid_subsets=12, kid_subset_size=150, verbose=False
    )
    ours = kid(FAKE, REAL, subsets=12, subset_size=150)
    assert ours.value == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert ours.std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)


def test_the_golden_value_of_whole_sets() -> None:
    measured = kid(FAKE, REAL[:400])
    assert measured.value == pytest.approx(0.0361801675, abs=1e-10)
    assert measured.std is None


def test_equal_distributions_are_around_zero_at_any_size() -> None:
    for count in (40, 200):
        measured = kid(RANDOM.randn(count, 32), RANDOM.randn(300, 32), subsets=40)
        assert abs(measured.value) < 0.1 < kid(FAKE + 1, REAL, subsets=5).value
        assert measured.std > 0


def test_a_score_has_it() -> None:
    metric = registered()["kid"]
    assert metric.quick
    assert metric.measure(FAKE, REAL).value == kid(FAKE, REAL, subsets=10).value


def test_one_picture_is_refused() -> None:
    with pytest.raises(DogsganError, match="at least 2 pictures a side"):
        kid(FAKE[:1], REAL)


def golden():
    random = np.random.RandomState(0)
    real = random.randn(500, 32)
    random.randn(200, 32)
    return random.randn(400, 32) + 0.1, real


def plain(generated, real):
    """Bińkowski et al. 2018, pair by pair."""

    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(rows):
        count = len(rows)
        return sum(
            kernel(rows[i], rows[j]) for i in range(count) for j in range(count) if i != j
        ) / count / (count - 1)  # fmt: skip

    across = np.mean([[kernel(x, y) for y in real] for x in generated])
    return within(generated) + within(real) - 2 * across


def test_the_golden_number():
    generated, real = golden()
    assert kernel_distance(generated, real[:400]).value == pytest.approx(0.0361801675, abs=1e-10)


def test_it_is_torch_fidelitys():
    from torch_fidelity.metric_kid import kid_features_to_metric

    generated, real = golden()
    theirs = kid_features_to_metric(
        torch.from_numpy(generated),
        torch.from_numpy(real[:400]),
        kid_subsets=1,
        kid_subset_size=400,
        kid_kernel="poly",
        kid_kernel_poly_degree=3,
        kid_kernel_poly_gamma=None,
        kid_kernel_poly_coef0=1,
        rng_seed=0,
        verbose=False,
    )["kernel_inception_distance_mean"]
    assert kernel_distance(generated, real[:400]).value == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize("block", [3, 2048])
def test_sides_of_different_sizes_follow_the_definition(block, monkeypatch):
    monkeypatch.setattr(distances, "_ROWS_AT_ONCE", block)
    random = np.random.RandomState(1)
    generated, real = random.randn(7, 5) + 0.4, random.randn(11, 5)
    found = kernel_distance(generated, real).value
    assert found == pytest.approx(plain(generated, real), rel=1e-12)
    assert kernel_distance(real, generated).value == pytest.approx(found, rel=1e-12)


def test_the_standard_error_is_the_jackknife_s():
    random = np.random.RandomState(2)
    generated, real = random.randn(6, 4) + 0.4, random.randn(9, 4)
    without = (
        [kernel_distance(np.delete(generated, i, axis=0), real).value for i in range(6)],
        [kernel_distance(generated, np.delete(real, i, axis=0)).value for i in range(9)],
    )
    variance = sum((len(values) - 1) * np.var(values) for values in without)
    assert kernel_distance(generated, real).standard_error == pytest.approx(variance**0.5, rel=1e-9)


def simulated(shift, *, generated, real, runs=400):
    random = np.random.RandomState(3)
    found = [
        kernel_distance(random.randn(generated, 16) + shift, random.randn(real, 16)) for _ in range(runs)
    ]
    values = np.array([each.value for each in found])
    errors = np.array([each.standard_error for each in found])
    return values, float(np.sqrt(np.mean(errors**2)))


@pytest.mark.parametrize(("generated", "real"), [(4, 30), (20, 20)])
def test_equal_distributions_are_zero_apart_at_any_size(generated, real):
    values, _ = simulated(0.0, generated=generated, real=real)
    assert abs(values.mean()) < 4 * values.std() / len(values) ** 0.5
    assert (values < 0).any()


def test_the_expectation_does_not_depend_on_the_sizes():
    few, _ = simulated(0.5, generated=5, real=8)
    many, _ = simulated(0.5, generated=40, real=60)
    error = (few.var() / len(few) + many.var() / len(many)) ** 0.5
    assert abs(few.mean() - many.mean()) < 4 * error


@pytest.mark.parametrize(("shift", "least", "most"), [(1.0, 0.9, 1.15), (0.0, 1.25, 1.6)])
def test_the_standard_error_is_the_spread_or_at_most_1_4_times_it(shift, least, most):
    values, error = simulated(shift, generated=20, real=40)
    assert least < error / values.std() < most


def test_few_pictures():
    rows = np.eye(5)
    assert kernel_distance(rows[:2], rows).standard_error is None
    assert kernel_distance(rows[:3], rows).standard_error is not None
    with pytest.raises(DogsganError, match="at least 2 pictures a side, these are 1 and 5"):
        kernel_distance(rows[:1], rows)
    with pytest.raises(DogsganError, match="NaN or infinite"):
        kernel_distance(rows, np.full((4, 5), np.nan))
