"""The losses are their formulas."""

import math

import pytest
import torch
from torch import nn

from dogsgan.config import TrainingRecipe
from dogsgan.models.layers import SelfAttention
from dogsgan.training.losses import BCELoss, build_loss, gradient_penalty
from dogsgan.training.share import RowDraws

DRAWS = RowDraws(torch.Generator().manual_seed(0))
REAL, FAKE = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([-3.0, 0.0, 1.0])


def test_hinge():
    loss = build_loss(TrainingRecipe(loss="hinge"))
    assert loss.discriminator(REAL, FAKE, DRAWS).item() == pytest.approx((0 + 0.5 + 2) / 3 + (0 + 1 + 2) / 3)
    assert loss.generator(FAKE).item() == pytest.approx(2 / 3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_bce_with_one_sided_smoothing(smoothing):
    loss = build_loss(TrainingRecipe(loss="bce", label_smoothing=smoothing))

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    target = 1 - smoothing
    real = (
        -sum(target * math.log(sigmoid(x)) + (1 - target) * math.log(1 - sigmoid(x)) for x in REAL.tolist())
        / 3
    )
    fake = -sum(math.log(1 - sigmoid(x)) for x in FAKE.tolist()) / 3
    assert loss.discriminator(REAL, FAKE, DRAWS).item() == pytest.approx((real + fake) / 2, rel=1e-5)
    assert loss.generator(FAKE).item() == pytest.approx(
        -sum(math.log(sigmoid(x)) for x in FAKE.tolist()) / 3, rel=1e-5
    )


def test_label_noise_swaps_that_share_of_the_targets_on_both_sides():
    real, fake = torch.full((20_000,), 3.0), torch.full((20_000,), -3.0)
    right, wrong = math.log1p(math.exp(-3)), math.log1p(math.exp(3))
    noisy = build_loss(TrainingRecipe(loss="bce", label_noise=0.1))
    expected = 0.9 * right + 0.1 * wrong
    assert noisy.discriminator(real, fake, DRAWS).item() == pytest.approx(expected, rel=0.05)
    assert noisy.discriminator(real, 100 * real, DRAWS).item() > 100  # of what is called real, a share is 0
    assert noisy.generator(fake).item() == pytest.approx(wrong, rel=1e-4)  # the generator is told the truth


class _Drawn(RowDraws):
    """The draws of which the first lies below a label noise of 0.1, both times that they are asked for."""

    def __init__(self):
        pass

    def uniform(self, pictures):
        return torch.tensor([0.05, 0.5, 0.95]).view(-1, 1, 1, 1)


def test_swapped_targets_are_smoothed_as_well():
    loss = BCELoss(label_smoothing=0.2, label_noise=0.1).discriminator(REAL, FAKE, _Drawn())

    def cross_entropy(logits, targets):
        pairs = zip(logits.tolist(), targets, strict=True)
        return sum(math.log1p(math.exp(x)) - target * x for x, target in pairs) / 3

    expected = (cross_entropy(REAL, [0, 0.8, 0.8]) + cross_entropy(FAKE, [0.8, 0, 0])) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


class _Linear(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x, labels):
        return (x * self.weight).sum(dim=(1, 2, 3))


def test_gradient_penalty_of_a_linear_critic_is_its_slope():
    critic = _Linear(torch.full((3, 2, 2), 2.0))  # a gradient of norm 2·√12
    x = torch.randn(4, 3, 2, 2)
    penalty = gradient_penalty(critic, x, -x, labels=None, mix=torch.rand(4))
    assert penalty.item() == pytest.approx((2 * math.sqrt(12) - 1) ** 2, rel=1e-5)
    penalty.backward()
    assert critic.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("mix", "expected"), [([0.0], 1), ([1.0], 25), ([0.5], 9), ([0.0, 1.0, 0.5], (1 + 25 + 9) / 3)]
)
def test_gradient_penalty_is_taken_where_the_mix_of_each_picture_says(mix, expected):
    class Quadratic(nn.Module):
        """Its gradient at x is x."""

        def forward(self, x, labels):
            return x.square().sum(dim=(1, 2, 3)) / 2

    shape = (len(mix), 1, 2, 2)
    real, fake = torch.full(shape, 3.0), torch.full(shape, 1.0)  # of norms 6 and 2; half-way 4
    penalty = gradient_penalty(Quadratic(), real, fake, labels=None, mix=torch.tensor(mix))
    assert penalty.item() == pytest.approx(expected, rel=1e-6)


def test_gradient_penalty_goes_through_attention_and_autocast():
    torch.manual_seed(0)

    class Critic(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = SelfAttention(8, use_spectral_norm=True)
            self.attention.gamma.data.fill_(0.5)

        def forward(self, x, labels):
            return self.attention(x).square().mean(dim=(1, 2, 3))

    critic = Critic()
    x = torch.randn(2, 8, 4, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        penalty = gradient_penalty(critic, x, x + 1, labels=None, mix=torch.rand(2))
    penalty.backward()
    assert penalty.dtype is torch.float32
    assert critic.attention.gamma.grad.isfinite()
    assert critic.attention.gamma.grad != 0
