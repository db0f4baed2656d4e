"""The augmentation study's classifier, fed evenly and the same for the same seed; classic distortions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.data.sources import open_source
from dogsgan.studies.augmentation import classifier
from dogsgan.studies.augmentation.classifier import (
    BATCH,
    CLASSIC,
    ClassicRanges,
    Feed,
    Labelled,
    accuracy,
    build_classifier,
    distort,
    steps_for,
    train_classifier,
)
from dogsgan.studies.augmentation.parts import REGIMES, feeds_of

CPU = torch.device("cpu")


def squares(count: int, *, classes: int = 4, seed: int = 0) -> Labelled:
    """Return noise with a bright square whose place tells the class."""
    random = np.random.default_rng(seed)
    pictures = random.integers(0, 120, (count, 16, 16, 1), dtype=np.uint8)
    labels = random.permutation(np.arange(count) % classes)
    for picture, label in zip(pictures, labels, strict=True):
        picture[4 * label : 4 * label + 4, 4:12] = 230
    return Labelled.of(pictures, labels, channels=1, device=CPU)


def plain(values: list[int]) -> Labelled:
    """Return plain pictures of these values, each its own class."""
    pictures = np.array(values, dtype=np.uint8)[:, None, None, None].repeat(8, 1).repeat(8, 2)
    return Labelled.of(pictures, np.arange(len(values)), channels=1, device=CPU)


def values_of(batch: torch.Tensor) -> list[int]:
    return [round(value) for value in ((batch.mean(dim=(1, 2, 3)) + 1) * 127.5).tolist()]


def test_it_learns_what_it_is_shown():
    network = train_classifier([Feed(squares(200))], class_count=4, images=64 * 60, seed=0)
    assert accuracy(network, squares(200, seed=1)) == 1
    assert not network.training


def test_shuffled_labels_teach_nothing():
    data = squares(200)
    shuffled = Labelled(data.pictures, data.labels[torch.randperm(200)])
    network = train_classifier([Feed(shuffled)], class_count=4, images=64 * 60, seed=0)
    assert accuracy(network, squares(400, seed=1)) < 0.6


def test_the_same_seed_gives_the_same_weights():
    feeds = [Feed(squares(50)), Feed(squares(30, seed=1), distorted=True)]
    once, again, other = (train_classifier(feeds, class_count=4, images=256, seed=s) for s in (3, 3, 4))
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(once.parameters()), next(other.parameters()))


def test_it_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    train_classifier([Feed(squares(50))], class_count=4, images=128, seed=0)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_every_regime_is_shown_equally_many_pictures(monkeypatch):
    """No regime may win by longer training."""
    shown = dict.fromkeys(REGIMES, 0)
    genuine = classifier._batches
    for regime in REGIMES:

        def counted(*args, name=regime, **named):
            for pictures, labels in genuine(*args, **named):
                assert len(pictures) == len(labels)
                shown[name] += len(pictures)
                yield pictures, labels

        monkeypatch.setattr(classifier, "_batches", counted)
        feeds = feeds_of(regime, squares(40), squares(90, seed=1))
        train_classifier(feeds, class_count=4, images=300, seed=0)
    assert set(shown.values()) == {320}
    assert steps_for(300) * BATCH == 320


def test_half_of_every_mixed_batch_is_generated():
    real, generated = plain([0, 10, 20]), plain([200, 210, 220, 230, 240])
    for pictures, _ in classifier._batches(feeds_of("gan", real, generated), steps=9, seed=0):
        values = values_of(pictures)
        assert sum(value < 100 for value in values) == sum(value > 100 for value in values) == BATCH // 2


def test_generated_pictures_alone_come_without_a_single_real_one():
    feeds = feeds_of("gan-only", plain([0, 10]), plain([200, 210]))
    assert all(
        value >= 200 for batch, _ in classifier._batches(feeds, steps=5, seed=0) for value in values_of(batch)
    )


def test_each_feed_is_gone_through_before_anything_comes_again():
    data = plain(list(range(0, 200, 2)))  # 100 pictures
    shown = [
        value
        for batch, _ in classifier._batches([Feed(data)], steps=25, seed=0)
        for value in values_of(batch)
    ]
    assert len(shown) == 1600
    assert all(shown.count(value) == 16 for value in range(0, 200, 2))
    assert shown[:100] != shown[100:200]


def test_labels_stay_with_their_pictures_distorted_or_not():
    data = plain([0, 50, 100, 150, 200])
    for distorted in (False, True):
        for batch, labels in classifier._batches([Feed(data, distorted)], steps=4, seed=0):
            assert values_of(batch) == [50 * label for label in labels.tolist()]


def test_colour_becomes_grey_where_one_channel_is_asked_for():
    colour = np.zeros((2, 4, 4, 3), dtype=np.uint8)
    colour[..., 0], colour[..., 1], colour[..., 2] = 100, 150, 200
    grey = Labelled.of(colour, np.zeros(2), channels=1, device=CPU).pictures
    assert grey.shape == (2, 4, 4, 1)
    assert set(grey.flatten().tolist()) == {141}  # 0.299 · 100 + 0.587 · 150 + 0.114 · 200
    assert torch.equal(
        Labelled.of(colour, np.zeros(2), channels=3, device=CPU).pictures, torch.from_numpy(colour)
    )


def test_a_network_that_answers_nan_has_no_accuracy():
    network = build_classifier(channels=1, class_count=4, seed=0).eval()
    assert accuracy(network, squares(20)) is not None
    with torch.no_grad():
        network[-1].bias[2] = float("nan")
    assert accuracy(network, squares(20)) is None


@pytest.mark.parametrize("side", [16, 28, 32, 64])
def test_it_takes_pictures_of_any_side(side):
    network = build_classifier(channels=3, class_count=7, seed=0).eval()
    assert network(torch.zeros(2, 3, side, side)).shape == (2, 7)


def test_a_thousand_real_digits_are_enough_for_nine_in_ten(shared_data):
    def digits(name: str, count: int) -> Labelled:
        storage = open_source(shared_data / name).storage
        pictures = np.pad(storage.digits.pictures[:count], ((0, 0), (2, 2), (2, 2)))[..., None]
        return Labelled.of(pictures, storage.digits.labels[:count], channels=1, device=CPU)

    network = train_classifier([Feed(digits("mnist", 1000))], class_count=10, images=8000, seed=0)
    assert accuracy(network, digits("mnist@test", 2000)) > 0.88


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
