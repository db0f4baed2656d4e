"""Crop policies obey their laws for any picture and box, and mixtures keep their weights."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsgan.crops import (
    CROPS,
    Box,
    center,
    center_of,
    clamp,
    context,
    crop_named,
    parse_policy,
    square,
    squash,
    whole,
)
from dogsgan.errors import DogsganError


@st.composite
def pictures_and_boxes(draw: st.DrawFn) -> tuple[tuple[int, int], Box]:
    """A picture and a box that has at least one pixel in it, but may leave it on any side."""
    size = draw(st.integers(1, 900)), draw(st.integers(1, 900))
    spans = []
    for length in size:
        inside = draw(st.integers(0, length - 1))
        spans.append((inside - draw(st.integers(0, 300)), inside + draw(st.integers(1, 300))))
    return size, Box(spans[0][0], spans[1][0], spans[0][1], spans[1][1])


@given(pictures_and_boxes())
def test_every_rectangle_lies_inside_the_picture(case: tuple[tuple[int, int], Box]) -> None:
    size, box = case
    for crop in CROPS.values():
        left, top, right, bottom = crop(size, box)
        assert 0 <= left < right <= size[0]
        assert 0 <= top < bottom <= size[1]


@given(pictures_and_boxes(), st.integers(1, 2000))
def test_a_centre_of_so_many_px_is_as_large_as_fits_and_in_the_middle(
    case: tuple[tuple[int, int], Box], side: int
) -> None:
    size, box = case
    left, top, right, bottom = center_of(side)(size, box)
    assert right - left == bottom - top == min(side, *size)
    assert 0 <= size[0] - right - left <= 1
    assert 0 <= size[1] - bottom - top <= 1
    assert center_of(max(size))(size, box) == center(size)


def test_a_centre_is_named_by_its_px() -> None:
    crop = crop_named("center-160")
    assert crop is not None
    assert crop((178, 218), Box(0, 0, 1, 1)) == (9, 29, 169, 189)
    policy = parse_policy("center-160:1,square:3")
    assert (str(policy), policy.needs_boxes) == ("center-160:0.25,square:0.75", True)
    assert not parse_policy("center-160").needs_boxes
    for name in ("center-0", "center-", "center-1e3", "center--5", "center-999999", "center-16px", "whole-5"):
        with pytest.raises(DogsganError, match="center-160 for 160 px"):
            parse_policy(name)


@given(pictures_and_boxes())
def test_square_holds_the_box_or_is_as_big_as_fits(case: tuple[tuple[int, int], Box]) -> None:
    size, box = case
    inside = clamp(size, box)
    left, top, right, bottom = square(size, box)
    side = max(inside.width, inside.height)
    assert right - left == bottom - top == min(side, *size)
    if side <= min(size):
        assert left <= inside.xmin <= inside.xmax <= right
        assert top <= inside.ymin <= inside.ymax <= bottom
    around = context(size, box)
    assert around.right - around.left >= right - left
    assert squash(size, box) == (inside.xmin, inside.ymin, inside.xmax, inside.ymax)
    assert whole(size, box) == (0, 0, *size)


@given(pictures_and_boxes())
def test_mirroring_the_picture_mirrors_the_square(case: tuple[tuple[int, int], Box]) -> None:
    size, box = case
    plain = square(size, box)
    mirrored = square(size, Box(size[0] - box.xmax, box.ymin, size[0] - box.xmin, box.ymax))
    assert abs(size[0] - mirrored.right - plain.left) <= 1  # a pixel of rounding


def test_examples() -> None:
    assert square((100, 80), Box(10, 20, 50, 40)) == (10, 10, 50, 50)
    assert square((100, 80), Box(0, 0, 40, 20)) == (0, 0, 40, 40)  # shifted, not cut
    assert square((100, 80), Box(-30, -5, 100, 80)) == (10, 0, 90, 80)  # as big as fits
    assert context((100, 80), Box(40, 30, 60, 50)) == (37, 27, 63, 53)  # 20 × 1.3 = 26
    assert center((101, 80)) == (10, 0, 90, 80)


def test_a_box_outside_the_picture_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="no pixel"):
        square((10, 10), Box(20, 20, 30, 30))


def test_a_mixture_keeps_its_weights_and_its_choices() -> None:
    policy = parse_policy("whole:1, context:3")
    assert policy.parts == (("whole", 0.25), ("context", 0.75))
    chosen = [policy.choose(f"n{i}.jpg", 0) for i in range(4000)]
    assert 0.22 < chosen.count("whole") / 4000 < 0.28
    assert chosen == [policy.choose(f"n{i}.jpg", 0) for i in range(4000)]
    assert chosen != [policy.choose(f"n{i}.jpg", 1) for i in range(4000)]
    assert chosen != [policy.choose(f"n{i}.jpg", 0, seed=1) for i in range(4000)]


def test_a_single_name_is_a_policy() -> None:
    assert str(parse_policy("square")) == "square"
    assert str(parse_policy("square:7")) == "square"
    assert parse_policy("square").needs_boxes
    assert not parse_policy("whole,center").needs_boxes


@pytest.mark.parametrize(
    "text",
    ["", "circle", "whole:", "whole:0", "whole:-1", "whole:nan", "whole:inf", "whole:1,whole:2", "whole:.5,"],
)
def test_a_policy_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(DogsganError):
        parse_policy(text)
