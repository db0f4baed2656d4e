"""Classic distortions stay within the ranges that are stated, and are drawn anew for every picture."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.studies.augmentation.classic import CLASSIC, ClassicRanges, distort

SIDE = 33
MIDDLE = (SIDE - 1) / 2
STILL = ClassicRanges(rotation_degrees=0, translation=0, scale=0, blur_px=0)


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def dots(count: int, *, right: float = 0) -> torch.Tensor:
    """Return black pictures with a soft dot `right` px from the middle, whose centre tells fractions."""
    positions = torch.arange(SIDE)
    across = torch.exp(-((positions - MIDDLE - right) ** 2) / 4)
    down = torch.exp(-((positions - MIDDLE) ** 2) / 4)
    return (down[:, None] * across[None]).expand(count, 1, SIDE, SIDE)


def centres(pictures: torch.Tensor) -> torch.Tensor:
    """Return the centre of mass of each picture from its middle, N×2, right and down."""
    mass = pictures.sum(dim=(1, 2, 3))
    positions = torch.arange(SIDE) - MIDDLE
    across = (pictures.sum(dim=(1, 2)) * positions).sum(1) / mass
    down = (pictures.sum(dim=(1, 3)) * positions).sum(1) / mass
    return torch.stack((across, down), dim=1)


def test_without_ranges_nothing_changes():
    x = torch.rand(4, 3, 28, 28)
    assert torch.allclose(distort(x, random=random(), ranges=STILL), x, atol=1e-5)


def test_pictures_move_up_to_the_stated_share_of_their_side_and_no_further():
    ranges = ClassicRanges(rotation_degrees=0, translation=0.1, scale=0, blur_px=0)
    moved = centres(distort(dots(500), random=random(), ranges=ranges)) / SIDE
    assert moved.abs().max() <= 0.1 + 1e-3
    assert (moved.amax(0) > 0.095).all()
    assert (moved.amin(0) < -0.095).all()


def test_pictures_turn_up_to_the_stated_angle_either_way():
    ranges = ClassicRanges(rotation_degrees=15, translation=0, scale=0, blur_px=0)
    at = centres(distort(dots(500, right=8), random=random(), ranges=ranges))
    degrees = torch.rad2deg(torch.atan2(at[:, 1], at[:, 0]))
    assert degrees.abs().max() <= 15.1
    assert degrees.max() > 14.5
    assert degrees.min() < -14.5
    assert torch.allclose(at.norm(dim=1), torch.tensor(8.0), atol=0.05)  # neither moved nor scaled


def test_pictures_are_scaled_up_to_the_stated_share():
    ranges = ClassicRanges(rotation_degrees=0, translation=0, scale=0.2, blur_px=0)
    at = centres(distort(dots(500, right=8), random=random(), ranges=ranges))
    factor = at[:, 0] / 8
    assert factor.max() <= 1.21
    assert factor.min() >= 0.79
    assert factor.max() > 1.19
    assert factor.min() < 0.81


def test_blur_widens_a_point_up_to_the_stated_deviation_and_keeps_its_mass():
    point = torch.zeros(500, 1, SIDE, SIDE)
    point[:, :, SIDE // 2, SIDE // 2] = 1
    ranges = ClassicRanges(rotation_degrees=0, translation=0, scale=0, blur_px=0.8)
    blurred = distort(point, random=random(), ranges=ranges)
    assert torch.allclose(blurred.sum(dim=(1, 2, 3)), torch.tensor(1.0), atol=1e-4)
    profile, squares = blurred.sum(dim=(1, 2)), (torch.arange(SIDE) - MIDDLE) ** 2
    deviation = (profile * squares).sum(1).sqrt()
    assert 0.75 < deviation.max() <= 0.81
    assert deviation.min() < 0.1


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 999), value=st.floats(-1, 1), side=st.sampled_from([16, 28, 32]))
def test_a_plain_picture_stays_plain(seed, value, side):
    """Nothing black comes in from the border of a picture that is not black."""
    x = torch.full((3, 1, side, side), value)
    assert torch.allclose(distort(x, random=random(seed)), x, atol=1e-5)


def test_every_picture_is_distorted_by_amounts_of_its_own_that_the_seed_decides():
    x = dots(8, right=6)
    once, again, other = (distort(x, random=random(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert all(not torch.allclose(once[0], picture, atol=1e-3) for picture in once[1:])


def test_upright_pictures_stay_upright():
    """What would turn a 6 into a 9 or mirror a 2 is out of reach."""
    assert CLASSIC.rotation_degrees < 45
    at = centres(distort(dots(500, right=10), random=random()))
    angle = torch.atan2(at[:, 1], at[:, 0])
    shift = CLASSIC.translation * SIDE * math.sqrt(2)
    assert angle.abs().max() < math.radians(CLASSIC.rotation_degrees) + math.asin(shift / 8)


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_move_together(channels):
    x = dots(5, right=4).expand(5, channels, SIDE, SIDE)
    result = distort(x, random=random())
    assert torch.allclose(result, result[:, :1].expand_as(result), atol=1e-6)
