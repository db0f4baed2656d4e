"""Adversarial losses, from logits to a scalar, and regularisers that add to the discriminator's."""

from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from dogsgan.config import TrainingRecipe
from dogsgan.models.layers import in_float32
from dogsgan.training.distributed import ProcessGroup
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


LECAM_HALFLIFE_IMAGES = 20_000


class Judged(NamedTuple):
    """One step of the discriminator: pictures of N×C×H×W before augmentation, classes, and N logits each."""

    real: Tensor
    fake: Tensor
    labels: Tensor | None
    real_logits: Tensor
    fake_logits: Tensor


class Regularizer(Protocol):
    """A weighted penalty, and what of it a checkpoint has to hold."""

    def __call__(self, judged: Judged) -> Tensor: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class GradientPenalty:
    """(‖∇D‖ − 1)² between real and generated pictures (`gradient_penalty`)."""

    def __init__(
        self,
        weight: float,
        discriminator: nn.Module,
        *,
        batch_size: int,
        random: torch.Generator,
        group: ProcessGroup,
    ) -> None:
        self.weight, self.discriminator, self.batch_size = weight, discriminator, batch_size
        self.random, self.group = random, group

    def __call__(self, judged: Judged) -> Tensor:
        """Return the weighted penalty; the mixing weights are drawn for the whole batch."""
        drawn = torch.rand(self.batch_size, device=judged.real.device, generator=self.random)
        penalty = gradient_penalty(
            self.discriminator,
            judged.real,
            judged.fake,
            labels=judged.labels,
            mix=self.group.share.of(drawn),
        )
        return self.weight * penalty

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the penalty has no state."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


class LeCam:
    """E[(D(x) − α_fake)²] + E[(D(G(z)) − α_real)²] with moving averages α of the other side's logits.

    Tseng et al. 2021, arXiv 2104.03310, eq. 3: it keeps the discriminator from separating few real pictures
    ever further from generated ones. The averages forget by images, not by steps, and early logits sooner, so
    that they need no warm-up and do not depend on the batch size.
    """

    def __init__(self, weight: float, *, batch_size: int, device: torch.device, group: ProcessGroup) -> None:
        self.weight, self.batch_size, self.group = weight, batch_size, group
        self.anchors = torch.zeros(2, device=device)  # of real logits, and of generated ones
        self.images_seen = 0

    def __call__(self, judged: Judged) -> Tensor:
        """Return the weighted penalty, and move the averages by this step's logits."""
        self._move(judged)
        real_anchor, fake_anchor = self.anchors
        to_fake = (judged.real_logits - fake_anchor).square().mean()
        to_real = (judged.fake_logits - real_anchor).square().mean()
        return self.weight * (to_fake + to_real)

    def _move(self, judged: Judged) -> None:
        means = torch.stack([judged.real_logits.detach().mean(), judged.fake_logits.detach().mean()])
        self.images_seen += self.batch_size
        halflife = min(LECAM_HALFLIFE_IMAGES, self.images_seen / 2)
        self.anchors = torch.lerp(
            self.group.all_reduce_mean(means), self.anchors, 0.5 ** (self.batch_size / halflife)
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the averages and their age."""
        return {"anchors": self.anchors.cpu(), "images_seen": self.images_seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with saved averages."""
        self.anchors = state["anchors"].to(self.anchors.device)
        self.images_seen = int(state["images_seen"])


def build_regularizers(
    recipe: TrainingRecipe, discriminator: nn.Module, *, random: torch.Generator, group: ProcessGroup
) -> dict[str, Regularizer]:
    """Return a recipe's regularisers by name."""
    found: dict[str, Regularizer] = {}
    if recipe.gradient_penalty:
        found["gradient_penalty"] = GradientPenalty(
            recipe.gradient_penalty, discriminator, batch_size=recipe.batch_size, random=random, group=group
        )
    if recipe.lecam:
        found["lecam"] = LeCam(recipe.lecam, batch_size=recipe.batch_size, device=random.device, group=group)
    return found


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
