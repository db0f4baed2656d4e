"""The adversarial losses, behind one interface: logits of real and generated pictures in, a scalar out."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from dogsgan.config import TrainingRecipe
from dogsgan.models.layers import in_float32


class AdversarialLoss(Protocol):
    """What each player minimises. Logits are N values in float32."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor: ...

    def generator(self, fake_logits: Tensor) -> Tensor: ...


class HingeLoss:
    """E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))] and −E[D(G(z))] (Lim and Ye 2017, arXiv 1705.02894)."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Push real logits above 1 and generated ones below −1."""
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Raise the logits of generated pictures."""
        return -fake_logits.mean()


class BCELoss:
    """Binary cross-entropy on logits: ½ (l_real + l_fake), and the non-saturating form for the generator.

    Goodfellow et al. 2014 (arXiv 1406.2661); one-sided label smoothing from Salimans et al. 2016 (arXiv
    1606.03498).
    """

    def __init__(self, label_smoothing: float = 0.0) -> None:
        self.real_target = 1.0 - label_smoothing

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor) -> Tensor:
        """Call real pictures `1 − label_smoothing` and generated ones 0."""
        real = F.binary_cross_entropy_with_logits(real_logits, torch.full_like(real_logits, self.real_target))
        fake = F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
        return (real + fake) / 2

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Have generated pictures called 1."""
        return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def build_loss(recipe: TrainingRecipe) -> AdversarialLoss:
    """Return the loss that a recipe names."""
    return HingeLoss() if recipe.loss == "hinge" else BCELoss(recipe.label_smoothing)


def gradient_penalty(
    discriminator: nn.Module, real: Tensor, fake: Tensor, *, labels: Tensor | None, mix: Tensor
) -> Tensor:
    """Return E[(‖∇D(x̂)‖ − 1)²] at x̂ between real and generated pictures (Gulrajani et al., arXiv 1704.00028).

    Computed in float32 outside autocast. Attention uses the plain kernel, the only one with a second
    derivative.

    Args:
        real, fake: N×C×H×W.
        mix: N weights in [0, 1] of the real picture.
    """
    weight = mix.view(-1, 1, 1, 1)
    with in_float32(real), sdpa_kernel(SDPBackend.MATH):
        between = (weight * real.float() + (1 - weight) * fake.detach().float()).requires_grad_()
        logits = discriminator(between, labels)
        (gradient,) = torch.autograd.grad(logits.sum(), between, create_graph=True)
        return (gradient.flatten(1).norm(dim=1) - 1).square().mean()
