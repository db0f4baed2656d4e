"""The score out of its two numbers, against the rows that the organisers published."""

import csv
from pathlib import Path

import pytest

from dogsgan.errors import DogsganError
from dogsgan.metrics.leaderboard import SUBMISSIONS, percentile_2019
from dogsgan.metrics.mifid import EPSILON_PRIVATE, EPSILON_PUBLIC
from dogsgan.scoring import mifid

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
