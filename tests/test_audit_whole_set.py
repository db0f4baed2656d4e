"""The whole submission's numbers: golden ones, their order and intervals, and what too few pictures give."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogsgan.audit.result import Statistic
from dogsgan.audit.whole_set import whole_set_statistics
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import features_of
from dogsgan.features.networks import open_network

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
    found = whole_set_statistics(fake, real[:5], not_judged="No.")
    assert [(item.value, item.low) for item in found.statistics] == [
        (item.value, item.low) for item in usual.statistics
    ]
    values = [item.value for item in found.statistics]
    assert None in values
    for item, before in zip(found.statistics, usual.statistics, strict=True):
        assert item.meaning == (before.meaning if item.value is None else "No.")
