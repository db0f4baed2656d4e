"""The whole submission's numbers: golden ones, their order and intervals, and what they mean."""

import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from dogsgan.audit import whole_set
from dogsgan.audit.result import Statistic
from dogsgan.audit.whole_set import whole_set_statistics
from dogsgan.errors import DogsganError
from dogsgan.features.networks import features_of, open_network
from dogsgan.metrics.data_copying import DataCopying
from dogsgan.metrics.precision_recall import precision_recall

KEYS = ["c_t", "authpct", "precision", "recall", "density", "coverage"]


def golden() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.RandomState(0)
    return random.randn(500, 32), random.randn(200, 32), random.randn(400, 32) + 0.1


def by_key(statistics: tuple[Statistic, ...]) -> dict[str, Statistic]:
    return {statistic.key: statistic for statistic in statistics}


def test_golden_numbers_in_order_with_intervals() -> None:
    real, test, fake = golden()
    found = whole_set_statistics(fake, real, held_out=test)
    assert [statistic.key for statistic in found.statistics] == KEYS
    values = [statistic.value for statistic in found.statistics[1:]]
    assert values == pytest.approx([73.5, 0.7875, 0.844, 0.869, 0.93], rel=1e-12)
    for statistic in found.statistics:
        assert statistic.low < statistic.value < statistic.high
        assert statistic.meaning.endswith(".")
    assert found.p_value is not None
    assert 0.01 < found.p_value < 0.99


def test_a_share_has_the_interval_of_a_share() -> None:
    real, _, fake = golden()
    precision = by_key(whole_set_statistics(fake, real).statistics)["precision"]
    half = 1.96 * math.sqrt(0.7875 * 0.2125 / 400)
    assert (precision.low, precision.high) == pytest.approx((0.7875 - half, 0.7875 + half), abs=0.006)


def test_copies_are_told_from_honest_pictures() -> None:
    real, _, _ = golden()
    random = np.random.RandomState(1)
    copies = whole_set_statistics(real[:300] + 0.05 * random.randn(300, 32), real)
    said = by_key(copies.statistics)
    assert copies.p_value < 1e-12
    assert said["c_t"].value < -10
    assert "points to copying" in said["c_t"].meaning
    assert said["authpct"].value == 0
    assert "were close to one training picture" in said["authpct"].meaning
    honest = whole_set_statistics(random.randn(300, 32), real)
    assert honest.p_value > 0.01
    assert "shows no copying" in by_key(honest.statistics)["c_t"].meaning


def test_real_pictures_that_stand_twice_count_once() -> None:
    real, _, fake = golden()
    twice = np.concatenate([real, real[:250], real[:10]])
    excluded = np.arange(len(twice)) >= 500
    expected = whole_set_statistics(fake, real)
    assert whole_set_statistics(fake, twice, excluded_real=excluded) == expected
    with_twins = whole_set_statistics(fake, twice)
    assert with_twins.p_value > expected.p_value  # the twins' distance of 0 hides copying


def test_the_seed_decides_intervals_and_cells_alone() -> None:
    real, _, fake = golden()
    first = whole_set_statistics(fake, real, seed=1)
    assert whole_set_statistics(fake, real, seed=1) == first
    other = whole_set_statistics(fake, real, seed=2)
    assert [s.value for s in other.statistics[1:]] == [s.value for s in first.statistics[1:]]
    assert [s.low for s in other.statistics] != [s.low for s in first.statistics]


@pytest.mark.parametrize(
    ("generated", "real", "missing", "said"),
    [
        (0, 0, KEYS, "it takes at least 6 generated and 6 real"),
        (0, 100, KEYS, "it takes at least 6 generated and 6 real"),
        (100, 1, KEYS, "it takes at least 6 generated and 6 real"),
        (5, 100, ["c_t", "precision", "recall", "density", "coverage"], "(5 generated, 100 real)"),
        (100, 5, ["c_t", "precision", "recall", "density", "coverage"], "(100 generated, 5 real)"),
        (6, 6, ["c_t"], "it takes at least 21"),
        (21, 19, ["c_t"], "it takes at least 20"),
        (21, 20, [], ""),
        (1, 2, ["c_t", "precision", "recall", "density", "coverage"], "it takes at least 6"),
    ],
)
def test_too_few_pictures_leave_a_number_out_and_say_why(
    generated: int, real: int, missing: list[str], said: str
) -> None:
    random = np.random.RandomState(2)
    found = whole_set_statistics(random.randn(generated, 4), random.randn(real, 4))
    without = [statistic for statistic in found.statistics if statistic.value is None]
    assert [statistic.key for statistic in without] == missing
    assert (found.p_value is None) == ("c_t" in missing)
    for statistic in without:
        assert statistic.low is statistic.high is None
        assert statistic.meaning.startswith("Too few pictures")
    assert not said or said in without[-1].meaning


@pytest.mark.parametrize(
    ("generated", "real", "held_out", "message"),
    [
        (np.ones((30, 4)), np.ones((30, 5)), None, "same network"),
        (np.ones((30, 4)), np.ones((30, 4)), np.ones((30, 5)), "same network"),
        (np.full((30, 4), np.nan), np.ones((30, 4)), None, "generated picture 0 are NaN"),
        (np.ones((30, 4)), np.full((30, 4), np.inf), None, "real picture 0 are NaN or infinite"),
        (np.ones((30, 4)), np.ones((30, 4)), np.full((30, 4), np.nan), "held-out picture 0 are NaN"),
    ],
)
def test_bad_features_are_refused_by_name(
    generated: np.ndarray, real: np.ndarray, held_out: np.ndarray | None, message: str
) -> None:
    with pytest.raises(DogsganError, match=message):
        whole_set_statistics(generated, real, held_out=held_out)


def test_pictures_that_are_all_the_same_break_nothing() -> None:
    found = whole_set_statistics(np.ones((40, 3)), np.ones((50, 3)))
    assert [statistic.value for statistic in found.statistics] == [0, 0, 0, 0, 0, 0]


def test_every_stage_has_its_bar(capsys: pytest.CaptureFixture[str]) -> None:
    real, _, fake = golden()
    whole_set_statistics(fake, real)
    shown = capsys.readouterr().err
    for stage in ("generated to generated", "generated to real", "real to real", "overlap"):
        assert f"whole set: {stage}" in shown


def test_real_dogs_unseen_and_copied(shared_data: Path) -> None:
    files = sorted((shared_data / "generative-dog-images-mini").rglob("*.jpg"))[:400]
    pictures = np.stack([small(file) for file in files])
    network = open_network("stand-in")
    training, unseen = features_of(pictures[::2], network), features_of(pictures[1::2], network)
    honest = whole_set_statistics(unseen, training)
    assert honest.p_value > 0.01
    assert "does not differ from pictures that copy nothing" in by_key(honest.statistics)["authpct"].meaning
    noisy = np.clip(pictures[::2] + np.random.default_rng(0).normal(0, 4, pictures[::2].shape), 0, 255)
    copies = whole_set_statistics(features_of(noisy.astype(np.uint8), network), training, held_out=unseen)
    assert copies.p_value < 1e-6
    assert by_key(copies.statistics)["authpct"].value < 10


def small(file: Path) -> np.ndarray:
    with Image.open(file) as picture:
        picture.draft("RGB", (128, 128))
        return np.asarray(picture.convert("RGB").resize((64, 64), Image.Resampling.BILINEAR))


def test_noise_in_one_place_is_not_called_real() -> None:
    """After twenty steps all pictures are alike: they lie in one real picture's neighbourhood."""
    real, _, _ = golden()
    outlier = real[np.linalg.norm(real, axis=1).argmax()]
    noise = outlier + 0.01 * np.random.RandomState(2).randn(400, 32)
    said = by_key(whole_set_statistics(noise, real).statistics)
    assert said["precision"].value == 1
    for key in ("precision", "density"):
        assert said[key].meaning.startswith("Not judged: the generated pictures are near only ")
        assert "pass for real" not in said[key].meaning


def test_a_reason_not_to_judge_replaces_every_sentence_on_a_value() -> None:
    real, _, fake = golden()
    usual = whole_set_statistics(fake, real[:5])
    found = whole_set_statistics(fake, real[:5], untrained=True)
    assert [(item.value, item.low) for item in found.statistics] == [
        (item.value, item.low) for item in usual.statistics
    ]
    values = [item.value for item in found.statistics]
    assert None in values
    reason = "Not judged: the generator is untrained and the pictures are noise."
    for item, before in zip(found.statistics, usual.statistics, strict=True):
        assert item.meaning == (before.meaning if item.value is None else reason)


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
    text = whole_set.of_data_copying(found)
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
    assert said in whole_set.of_authenticity(percent, low=low, high=high, expected=honest)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (whole_set.of_precision(0.9, low=0.88, high=0.92), "most could pass for real"),
        (whole_set.of_precision(0.5, low=0.48, high=0.52), "the others look like nothing"),
        (whole_set.of_precision(0.0, low=0.0, high=0.0), "0% of the generated"),
        (whole_set.of_precision(0.9996, low=0.999, high=1.0), "over 99.9% of the generated"),
        (whole_set.of_precision(0.1, low=0.08, high=0.12), "most look like nothing"),
        (whole_set.of_recall(0.9, low=0.88, high=0.92, coverage=0.8), "most of the training set's variety"),
        (whole_set.of_recall(0.9, low=0.88, high=0.92, coverage=0.1), "scattered"),
        (whole_set.of_recall(0.5, low=0.48, high=0.52, coverage=0.4), "variety of the others is missing"),
        (whole_set.of_recall(0.004, low=0.0, high=0.01, coverage=0.4), "0.4% of the real pictures"),
        (whole_set.of_density(1.4, low=1.2, high=1.6), "or copies"),
        (whole_set.of_density(0.5, low=0.4, high=0.6), "at the edge"),
        (whole_set.of_density(1.02, low=0.95, high=1.1), "what real pictures themselves have"),
        (whole_set.of_density(0.0, low=0.0, high=0.0), "lie elsewhere"),
        (whole_set.of_coverage(0.1, low=0.05, high=0.2, expected=0.9), "most of the training set is not"),
        (whole_set.of_coverage(0.5, low=0.4, high=0.6, expected=0.9), "would reach 90%: part of"),
        (whole_set.of_coverage(0.9, low=0.88, high=0.92, expected=0.9), "the whole training set"),
        (whole_set.of_coverage(1.0, low=1.0, high=1.0, expected=0.9), "more closely than real ones do"),
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
    expected = whole_set.expected_coverage(generated=generated, real=real, neighbours=5)
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
    assert whole_set.why_not_judged(**sound) is None
    reason = whole_set.why_not_judged(**(sound | changed))
    assert reason is not None
    assert reason.startswith(said)
