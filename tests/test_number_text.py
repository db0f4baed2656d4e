"""Numbers for people: what rounding, infinities and small counts would make nonsense of."""

import math
from pathlib import Path

import numpy as np
import pytest

from dogsgan.number_text import distance, fixed, p_value, percent, significant
from dogsgan.per_class import _distance
from dogsgan.per_class.figures import ClassFigures
from dogsgan.scoring import memorization_distance, score
from dogsgan.studies.table import spread_of


def figures_of(distance: float, error: float | None) -> ClassFigures:
    return ClassFigures("pug", 9, 9, kernel_distance=distance, standard_error=error)


@pytest.mark.parametrize("text", [fixed(-0.00001, 4), fixed(-0.0, 4), fixed(np.float32(-1e-9), 4)])
def test_there_is_no_negative_zero(text: str) -> None:
    assert text == "0.0000"
    assert significant(-0.0, 5) == significant(-2e-16, 5) == significant(3e-14, 5) == "0"
    assert fixed(-0.004, 2, signed=True) == "+0.00"
    assert _distance(figures_of(-0.001, 0.31)) == "0.00 ± 0.31"
    spread = spread_of([-0.01, 0.009])
    assert spread is not None
    assert not spread.text().startswith("-0.000 ")


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, np.float64("nan")])
def test_what_is_no_number_is_a_dash(value: float | None) -> None:
    texts = {fixed(value, 3), significant(value, 3), distance(value), p_value(value), percent(value)}
    assert texts == {"–"}
    assert _distance(figures_of(0.5, value)) == "0.5"


def test_what_is_small_is_not_called_zero() -> None:
    assert [distance(value) for value in (0.0, 1e-16, 0.00003, 0.00006, 0.25)] == [
        "0.0000",
        "0.0000",
        "<0.0001",
        "0.0001",
        "0.2500",
    ]
    assert [p_value(value) for value in (0.0, 1e-300, 0.0002, 1.0)] == [
        "<0.00001",
        "<0.00001",
        "0.00020",
        "1.00000",
    ]


def test_all_and_none_are_said_only_where_they_are() -> None:
    shares = (0.0, 1.0, 0.9996, 0.0004, 0.998, 1 / 3)
    assert [percent(share) for share in shares] == [
        "0%",
        "100%",
        "over 99.9%",
        "under 0.1%",
        "99.8%",
        "33.3%",
    ]


def test_equal_rows_are_no_negative_distance_apart() -> None:
    rows = np.random.RandomState(0).rand(400, 37).astype(np.float32)
    assert 0.0 <= memorization_distance(rows, rows) < 1e-12
    from dogsgan.metrics.memorization import nearest_real

    assert (nearest_real(rows, rows)[0] >= 0).all()


def test_a_set_against_itself_is_told_without_absurdities(tmp_path: Path) -> None:
    from test_score import drawn, write_zip

    path = write_zip(tmp_path / "images.zip", drawn(30, seed=1))
    result = score(path, path, network="stand-in", device="cpu", cache_dir=tmp_path / "cache")
    text = result.summary()
    assert "MiFID 0 (Fréchet distance 0, memorization distance 0.0000," in text
    assert "-0" not in text
    assert "too high by" not in text
    assert result.distance is not None
    assert result.distance >= 0


@pytest.mark.parametrize(
    ("value", "text"), [(157.3, "160"), (-157.3, "-160"), (99.6, "100"), (12.34, "12"), (123456.0, "120000")]
)
def test_significant_digits_of_large_numbers_need_no_exponent(value, text):
    assert significant(value, 2) == text
