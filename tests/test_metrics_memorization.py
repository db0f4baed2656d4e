"""The memorization distance, and the score by it against the rows that the organisers published."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.competition import EPSILON_PRIVATE, EPSILON_PUBLIC, SUBMISSIONS, percentile_2019
from dogsgan.errors import DogsganError
from dogsgan.metrics import memorization
from dogsgan.metrics.memorization import nearest_real
from dogsgan.scoring import memorization_distance, mifid


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


DISQUALIFIED = 999999.0


def rows(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "scored_submissions.csv").open() as file:
        return list(csv.DictReader(file))


def test_reproduces_every_scored_submission(shared_data: Path) -> None:
    reproduced = {"public": 0, "private": 0}
    penalised = 0
    for row in rows(shared_data):
        for side, epsilon in (("public", EPSILON_PUBLIC), ("private", EPSILON_PRIVATE)):
            published = float(row[f"{side}_score"])
            if published == DISQUALIFIED:
                continue
            distance = float(row[f"distance_{side}"])
            score = mifid(float(row[f"FID_{side}"]), distance, epsilon=epsilon)
            assert score == pytest.approx(published, rel=1e-12), row["submission_id"]
            reproduced[side] += 1
            penalised += distance < epsilon
    assert reproduced == {"public": 833, "private": 585}
    assert penalised > 0


def test_the_threshold_itself_is_not_penalised() -> None:
    assert mifid(10.0, 0.1, epsilon=0.1) == pytest.approx(10.0)
    assert mifid(10.0, 0.0999, epsilon=0.1) == pytest.approx(10.0 / 0.0999)
    assert mifid(10.0, 0.0, epsilon=0.1) == 10.0 / 1e-15


def test_without_a_threshold_there_is_no_penalty() -> None:
    assert mifid(10.0, 0.0001, epsilon=None) == pytest.approx(10.0)


@pytest.mark.parametrize(("fid", "distance"), [(float("nan"), 0.5), (1.0, float("nan")), (float("inf"), 0.5)])
def test_nan_makes_no_score(fid: float, distance: float) -> None:
    with pytest.raises(DogsganError, match=r"distance is (nan|inf)"):
        mifid(fid, distance, epsilon=0.1)


def test_percentiles_are_those_of_the_published_scores(shared_data: Path) -> None:
    honest = [
        row
        for row in rows(shared_data)
        if float(row["private_score"]) != DISQUALIFIED and row["labels"] in ("", "non-mem")
    ]
    assert len(honest) == SUBMISSIONS
    for side in ("public", "private"):
        scores = [float(row[f"{side}_score"]) for row in honest]
        for score in (20.0, 60.0, 100.0, 130.0, 250.0):
            worse = 100 * sum(other > score for other in scores) / len(scores)
            assert percentile_2019(side, score) == pytest.approx(worse, abs=2.6)


def test_percentiles_at_the_ends() -> None:
    assert percentile_2019("public", 1.0) == 100.0
    assert percentile_2019("public", 10_000.0) == 0.0
    assert percentile_2019("stand-in", 1.0) is None
