"""The adversarial losses, behind one interface: logits of real and generated pictures in, a scalar out."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from dogsgan.config import TrainingRecipe
from dogsgan.training.share import RowDraws


class AdversarialLoss(Protocol):
    """What each player minimises. Logits are N values in float32."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, draws: RowDraws) -> Tensor: ...

    def generator(self, fake_logits: Tensor) -> Tensor: ...


class HingeLoss:
    """E[max(0, 1 − D(x))] + E[max(0, 1 + D(G(z)))] and −E[D(G(z))] (Lim and Ye 2017, arXiv 1705.02894)."""

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, draws: RowDraws) -> Tensor:
        """Push real logits above 1 and generated ones below −1."""
        return F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Raise the logits of generated pictures."""
        return -fake_logits.mean()


class BCELoss:
    """Binary cross-entropy on logits: ½ (l_real + l_fake), and the non-saturating form for the generator.

    Goodfellow et al. 2014 (arXiv 1406.2661); one-sided label smoothing from Salimans et al. 2016 (arXiv
    1606.03498). With `label_noise` that share of the discriminator's targets, real and generated, is swapped.
    """

    def __init__(self, label_smoothing: float = 0.0, label_noise: float = 0.0) -> None:
        self.real_target, self.label_noise = 1.0 - label_smoothing, label_noise

    def discriminator(self, real_logits: Tensor, fake_logits: Tensor, draws: RowDraws) -> Tensor:
        """Call real pictures `1 − label_smoothing` and generated ones 0, but for the swapped ones."""
        real = self._cross_entropy(real_logits, self.real_target, 0.0, draws)
        fake = self._cross_entropy(fake_logits, 0.0, self.real_target, draws)
        return (real + fake) / 2

    def _cross_entropy(self, logits: Tensor, target: float, swapped: float, draws: RowDraws) -> Tensor:
        targets = torch.full_like(logits, target)
        if self.label_noise:
            targets = targets.masked_fill(draws.uniform(logits).flatten() < self.label_noise, swapped)
        return F.binary_cross_entropy_with_logits(logits, targets)

    def generator(self, fake_logits: Tensor) -> Tensor:
        """Have generated pictures called 1."""
        return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def build_loss(recipe: TrainingRecipe) -> AdversarialLoss:
    """Return the loss that a recipe names."""
    return HingeLoss() if recipe.loss == "hinge" else BCELoss(recipe.label_smoothing, recipe.label_noise)
