"""The registry of metrics, and its place in a score."""

import json
import subprocess
import sys

import numpy as np
import pytest

from dogsgan import metrics
from dogsgan.features.sides import Side
from dogsgan.metrics import Measured, Metric, registered
from dogsgan.metrics.frechet import frechet_distance_of_features, statistics_of
from dogsgan.metrics.memorization import memorization_distance
from dogsgan.score import score_sides
from dogsgan.scoring import open_network

RANDOM = np.random.RandomState(0)
REAL, FAKE = RANDOM.randn(500, 32), RANDOM.randn(400, 32) + 0.1


def side(features: np.ndarray) -> Side:
    return Side(statistics_of(features), features.astype(np.float32))


def test_every_metric_measures_and_says_what_it_means():
    assert {"fid", "distance", "precision", "recall", "density", "coverage", "authenticity"} <= set(
        registered()
    )
    for name, metric in registered().items():
        assert metric.name == name
        assert metric.meaning.endswith(".")
        assert np.isfinite(metric.measure(FAKE, REAL).value)


@pytest.mark.parametrize("name", ["fid", "precision", "coverage"])
def test_the_direction_is_that_in_which_real_pictures_are_better(name):
    metric = registered()[name]
    near, far = metric.measure(REAL[:250] + 0.01, REAL[250:]), metric.measure(REAL[:250] * 3 + 5, REAL[250:])
    assert (near.value < far.value) == metric.lower_is_better


def test_a_score_reports_the_quick_metrics(monkeypatch):
    slow = Metric(
        "slow", "Slow", lambda generated, real: Measured(0.0), True, "Never asked for.", quick=False
    )
    own = Metric("rows", "Rows", lambda generated, real: Measured(len(generated), 0.5), True, "How many.")
    broken = Metric("broken", "Broken", lambda generated, real: Measured(1 / 0), True, "Fails.")
    known = {**registered(), "slow": slow, "rows": own, "broken": broken}
    monkeypatch.setattr("dogsgan.score.registered", lambda: known)
    score = score_sides(side(FAKE), side(REAL), open_network("stand-in", device="cpu"))
    found = json.loads(json.dumps(score.to_json()))["metrics"]
    assert found["rows"] == {
        "title": "Rows",
        "value": 400,
        "std": 0.5,
        "lower_is_better": True,
        "meaning": "How many.",
    }
    assert (
        found["fid"]["value"]
        == score.fid
        == pytest.approx(frechet_distance_of_features(FAKE, REAL), rel=1e-5)
    )
    assert found["distance"]["value"] == pytest.approx(memorization_distance(FAKE, REAL), rel=1e-5)
    assert not {"slow", "broken", "precision"} & set(found)
    assert any("Broken" in warning for warning in score.warnings)
    assert "  Rows 400 ± 0.5" in score.summary()


def test_statistics_alone_give_no_metrics():
    real = Side(statistics_of(REAL), None)
    score = score_sides(side(FAKE), real, open_network("stand-in", device="cpu"))
    assert score.to_json()["metrics"] == {}


def test_the_package_is_imported_without_torch():
    code = f"import sys, {metrics.__name__}; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
