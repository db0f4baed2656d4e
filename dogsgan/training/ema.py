"""The averaged generator: a moving average of the weights."""

from torch import nn

from dogsgan.config import TrainingRecipe


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
