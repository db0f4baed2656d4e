"""Augmentation keeps shapes and gradients, and draws everything from the generator it is given."""

import pytest
import torch

from dogsgan.training.augment import diffaugment, flip_half

KINDS = ["color", "translation", "cutout", "color,translation,cutout"]


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kinds", KINDS)
def test_same_seed_same_pictures(kinds):
    x = torch.rand(8, 3, 16, 16) * 2 - 1
    once, again, other = (diffaugment(x, kinds, random=random(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert once.shape == x.shape


@pytest.mark.parametrize("kinds", KINDS)
def test_gradients_flow_to_the_pictures(kinds):
    x = torch.zeros(8, 3, 16, 16, requires_grad=True)
    diffaugment(x, kinds, random=random()).sum().backward()
    assert x.grad.abs().sum() > 0


def test_nothing_asked_nothing_done():
    x = torch.rand(2, 3, 8, 8)
    assert diffaugment(x, "", random=random()) is x


def test_translation_moves_the_picture_whole():
    x = torch.full((64, 1, 16, 16), -1.0)
    x[:, :, 8, 8] = 1.0
    moved = diffaugment(x, "translation", random=random())
    rows, columns = torch.where(moved[:, 0] == 1)[1:]
    assert (moved == 1).sum() == 64  # never lost: an eighth is 2 px
    assert rows.min() == 6
    assert rows.max() == 10
    assert columns.min() == 6
    assert columns.max() == 10


def test_cutout_covers_half_the_side():
    cut = diffaugment(torch.ones(200, 1, 16, 16), "cutout", random=random())
    covered = (cut == 0).sum(dim=(1, 2, 3))
    assert covered.max() == 9 * 9
    assert covered.min() < 81  # some squares reach over the border
    assert set(cut.unique().tolist()) == {0.0, 1.0}


def test_half_of_the_pictures_are_mirrored():
    x = torch.arange(4.0).expand(1000, 1, 1, 4)
    flipped = flip_half(x, random=random())
    mirrored = (flipped[:, 0, 0, 0] == 3).sum().item()
    assert 440 < mirrored < 560
    assert torch.equal(flipped.sort(dim=3).values, x)


def test_a_share_of_the_pictures_is_augmented():
    pictures = torch.rand(2000, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 2 - 1
    random = torch.Generator().manual_seed(0)
    shown = diffaugment(pictures, "color", random=random, probability=0.3)
    changed = (shown != pictures).flatten(1).any(1)
    assert changed.float().mean().item() == pytest.approx(0.3, abs=0.04)
    shown = diffaugment(pictures, "color,translation,cutout", random=random, probability=0.0)
    assert torch.equal(shown, pictures)
