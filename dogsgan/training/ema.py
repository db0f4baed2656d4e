"""The averaged generator: a moving average of the weights, and batch-norm statistics collected for it."""

import copy

import torch
from torch import nn

from dogsgan.config import ModelRecipe, TrainingRecipe
from dogsgan.models.noise import draw_noise

RECOLLECT_BATCH = 64


def ema_decay(images_seen: int, recipe: TrainingRecipe, *, halflife_images: int | None = None) -> float:
    """Return the factor that the old average keeps after one more generator step.

    The half-life is in images, the recipe's if none is given, and at most `ema_rampup` of the images seen so
    far, so that early weights are forgotten whatever the batch size (as in EDM, Karras et al. 2022).
    """
    longest = recipe.ema_halflife_images if halflife_images is None else halflife_images
    halflife = min(longest, images_seen * recipe.ema_rampup)
    step_images = recipe.batch_size * recipe.discriminator_steps
    return 0.5 ** (step_images / halflife) if halflife > 0 else 0.0


class AveragedGenerator:
    """timm's moving average with a decay that follows the images seen. Buffers are copied, not averaged."""

    def __init__(
        self, generator: nn.Module, recipe: TrainingRecipe, *, halflife_images: int | None = None
    ) -> None:
        from timm.utils import ModelEmaV3  # only here: its import takes seconds, and sampling needs none

        self._recipe = recipe
        self.halflife_images = recipe.ema_halflife_images if halflife_images is None else halflife_images
        self._average = ModelEmaV3(generator, exclude_buffers=True)

    @property
    def module(self) -> nn.Module:
        """The generator with averaged weights; its batch-norm statistics are those of the trained one."""
        return self._average.module

    def update(self, generator: nn.Module, images_seen: int) -> None:
        """Move the average towards the weights of `generator`."""
        self._average.decay = ema_decay(images_seen, self._recipe, halflife_images=self.halflife_images)
        self._average.update(generator)


@torch.no_grad()
def with_own_statistics(
    generator: nn.Module, *, model: ModelRecipe, class_count: int, images: int, seed: int = 0
) -> nn.Module:
    """Return a copy in evaluation mode whose batch-norm statistics were collected from its own pictures.

    The running statistics of training belong to the trained weights, not to their average. The copy is run
    in training mode, with cumulative statistics, over `images` pictures of random z and classes in turn; that
    also brings the spectral norms up to date. Batch size and seed are fixed, so the same weights give the
    same copy.
    """
    device = next(generator.parameters()).device
    generator = copy.deepcopy(generator).train()
    norms = [module for module in generator.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    random = torch.Generator().manual_seed(seed)
    for start in range(0, max(images, RECOLLECT_BATCH), RECOLLECT_BATCH):
        z = draw_noise(RECOLLECT_BATCH, model, random=random).to(device)
        labels = (torch.arange(start, start + RECOLLECT_BATCH) % max(class_count, 1)).to(device)
        generator(z, labels)
    return generator.eval().requires_grad_(False)


def to_uint8(pictures: torch.Tensor) -> torch.Tensor:
    """Turn N×C×H×W in [−1, 1] into uint8 N×H×W×C on the CPU, rounding to the nearest value."""
    scaled = pictures.float().add(1).mul(127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu()
