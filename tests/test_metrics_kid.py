"""KID as torch-fidelity has it."""

import numpy as np
import pytest
import torch
from torch_fidelity.metric_kid import kid_features_to_metric

from dogsgan.errors import DogsganError
from dogsgan.metrics import registered
from dogsgan.metrics.kid import kid

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
