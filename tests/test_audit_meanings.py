"""What the numbers mean: the sentence follows the value, its interval, and what honest pictures come to."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from dogsgan.audit import meanings
from dogsgan.metrics.data_copying import DataCopying
from dogsgan.metrics.precision_recall import precision_recall

HONEST = DataCopying(c_t=0.1, p_value=0.54, low=-0.8, high=1, nearer=0.499, cells=5, generated=900)


def outcome(c_t: float, *, p_value: float, nearer: float) -> DataCopying:
    return dataclasses.replace(HONEST, c_t=c_t, p_value=p_value, low=c_t - 1, high=c_t + 1, nearer=nearer)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (HONEST, ["shows no copying", "50% of comparisons", "p = 0.54", "a few copies among many"]),
        (outcome(-9, p_value=0.0, nearer=1.0), ["points to copying", "100% of", "p = below 1e-12"]),
        (outcome(-2, p_value=0.001, nearer=0.52), ["a little too near", "52%", "typical", "p = 0.001"]),
        (
            outcome(9, p_value=1.0, nearer=0.0004),
            ["does not copy", "under 0.1% of", "they differ from"],
        ),
        (outcome(-1, p_value=0.02, nearer=0.6), ["shows no copying", "60%", "p = 0.02"]),
    ],
)
def test_data_copying(found: DataCopying, said: list[str]) -> None:
    text = meanings.of_data_copying(found)
    assert all(part in text for part in said), text


@pytest.mark.parametrize(
    ("percent", "low", "high", "honest", "said"),
    [
        (40.0, 38.0, 42.0, (80.0, 79.0, 81.0), "as if 50% of the set were close to one training picture"),
        (79.0, 77.0, 81.0, (80.0, 79.0, 81.0), "does not differ from pictures that copy nothing"),
        (95.0, 93.0, 97.0, (80.0, 79.0, 81.0), "nothing here points to copies"),
        (100.0, 100.0, 100.0, None, "too few pictures to say"),
    ],
)
def test_authenticity(
    percent: float, low: float, high: float, honest: tuple[float, float, float] | None, said: str
) -> None:
    assert said in meanings.of_authenticity(percent, low=low, high=high, expected=honest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (meanings.of_precision(0.9, low=0.88, high=0.92), "most could pass for real"),
        (meanings.of_precision(0.5, low=0.48, high=0.52), "the others look like nothing"),
        (meanings.of_precision(0.0, low=0.0, high=0.0), "0% of the generated"),
        (meanings.of_precision(0.9996, low=0.999, high=1.0), "over 99.9% of the generated"),
        (meanings.of_precision(0.1, low=0.08, high=0.12), "most look like nothing"),
        (meanings.of_recall(0.9, low=0.88, high=0.92, coverage=0.8), "most of the training set's variety"),
        (meanings.of_recall(0.9, low=0.88, high=0.92, coverage=0.1), "scattered"),
        (meanings.of_recall(0.5, low=0.48, high=0.52, coverage=0.4), "variety of the others is missing"),
        (meanings.of_recall(0.004, low=0.0, high=0.01, coverage=0.4), "0.4% of the real pictures"),
        (meanings.of_density(1.4, low=1.2, high=1.6), "or copies"),
        (meanings.of_density(0.5, low=0.4, high=0.6), "at the edge"),
        (meanings.of_density(1.02, low=0.95, high=1.1), "what real pictures themselves have"),
        (meanings.of_density(0.0, low=0.0, high=0.0), "lie elsewhere"),
        (meanings.of_coverage(0.1, low=0.05, high=0.2, expected=0.9), "most of the training set is not"),
        (meanings.of_coverage(0.5, low=0.4, high=0.6, expected=0.9), "would reach 90%: part of"),
        (meanings.of_coverage(0.9, low=0.88, high=0.92, expected=0.9), "the whole training set"),
        (meanings.of_coverage(1.0, low=1.0, high=1.0, expected=0.9), "more closely than real ones do"),
    ],
)
def test_the_others(text: str, said: str) -> None:
    assert said in text, text


@pytest.mark.parametrize(("generated", "real"), [(60, 90), (100, 100)])
def test_the_coverage_to_expect_is_what_honest_pictures_reach(generated: int, real: int) -> None:
    random = np.random.default_rng(0)
    reached = [
        precision_recall(random.standard_normal((generated, 3)), random.standard_normal((real, 3))).coverage
        for _ in range(60)
    ]
    expected = meanings.expected_coverage(generated=generated, real=real, neighbours=5)
    assert np.mean(reached) == pytest.approx(expected, abs=4 * np.std(reached) / np.sqrt(60))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"network": "stand-in"}, "Not judged: the network stand-in"),
        ({"generated": 99}, "Not judged: 99 generated and 500 real pictures are too few"),
        ({"real": 40}, "Not judged: 500 generated and 40 real pictures are too few"),
        ({"untrained": True}, "Not judged: the generator is untrained"),
    ],
)
def test_what_no_figure_can_say_is_not_said(changed: dict[str, Any], said: str) -> None:
    sound = {"network": "public", "generated": 500, "real": 500}
    assert meanings.why_not_judged(**sound) is None
    reason = meanings.why_not_judged(**(sound | changed))
    assert reason is not None
    assert reason.startswith(said)
