"""The discriminator's overfitting: its logits of held-out real pictures against those of training ones."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from dogsgan.config import ModelRecipe
from dogsgan.models.sampling import draw_noise

PICTURES = 256
"""Of each kind that are judged."""
BATCH = 64


class MeanLogits(NamedTuple):
    """The mean logit of training pictures, of held-out ones and of generated ones."""

    training: float
    held_out: float
    fake: float

    @property
    def overfitting(self) -> float:
        """r_v of ADA (arXiv 2006.06676): 0 if held-out pictures are judged as training ones, 1 as fakes."""
        span = self.training - self.fake
        return (self.training - self.held_out) / span if span > 0 else 0.0


@torch.no_grad()
def measure_overfitting(
    discriminator: nn.Module,
    generator: nn.Module,
    *,
    training: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    model: ModelRecipe,
) -> MeanLogits:
    """Judge fixed pictures as they are, in evaluation mode, which changes neither network.

    Args:
        training, held_out: N×C×H×W in [−1, 1] and N classes.
    """
    labels = held_out[1]
    z = draw_noise(len(labels), model, random=torch.Generator().manual_seed(0)).to(labels.device)
    modes = [(network, network.training) for network in (discriminator, generator)]
    try:
        discriminator.eval()
        generator.eval()
        fake = torch.cat([generator(a, b) for a, b in zip(z.split(BATCH), labels.split(BATCH), strict=True)])
        return MeanLogits(
            *(_mean_logit(discriminator, *side) for side in (training, held_out, (fake, labels)))
        )
    finally:
        for network, mode in modes:
            network.train(mode)


def _mean_logit(discriminator: nn.Module, pictures: Tensor, labels: Tensor) -> float:
    parts = zip(pictures.split(BATCH), labels.split(BATCH), strict=True)
    return torch.cat([discriminator(part, of_part).float() for part, of_part in parts]).mean().item()
