"""Learning rates, and the share of augmented pictures, as functions of the images seen."""

from typing import Any, Protocol

from dogsgan.config import TrainingRecipe

LEAST_RATE = 0.1
"""Of the recipe's learning rates, at and beyond the planned length."""
ADJUSTMENT_IMAGES = 500_000
"""In which the share of augmented pictures can go from 0 to 1 (ADA: Karras et al., arXiv 2006.06676)."""


def rate_factor(images_seen: int, *, planned_images: int, decay: float) -> float:
    """Return what the learning rates are multiplied by.

    It is 1, then falls linearly to `LEAST_RATE` over the last `decay` of the planned length (R3GAN, arXiv
    2501.05441, anneals its rates too). Without a plan it is 1.
    """
    if not planned_images or not decay:
        return 1.0
    left = (planned_images - images_seen) / (planned_images * decay)
    return min(1.0, max(LEAST_RATE, left))


class AugmentationShare(Protocol):
    """The probability with which a picture is augmented, and what of it a checkpoint has to hold."""

    def at(self, images_seen: int) -> float: ...

    def note_overfitting(self, overfitting: float, *, images: int) -> None: ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class RampedShare:
    """A share that rises linearly from 0 to 1 over `ramp_images`; 1 from the start without a ramp."""

    def __init__(self, ramp_images: int) -> None:
        self.ramp_images = ramp_images

    def at(self, images_seen: int) -> float:
        """Return the share after `images_seen` images."""
        return min(1.0, images_seen / self.ramp_images) if self.ramp_images else 1.0

    def note_overfitting(self, overfitting: float, *, images: int) -> None:
        """Ignore it: a ramp depends on the images alone."""

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: the images seen say it all."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take nothing."""


class OverfittingShare:
    """A share that rises while the discriminator overfits more than `target`, and falls while it does less.

    The measure is r_v of ADA (Karras et al. 2020, arXiv 2006.06676, eq. 1): 0 where the discriminator judges
    held-out real pictures as it judges training ones, 1 where it takes them for generated.
    """

    def __init__(self, target: float) -> None:
        self.target, self.share = target, 0.0

    def at(self, images_seen: int) -> float:
        """Return the present share."""
        return self.share

    def note_overfitting(self, overfitting: float, *, images: int) -> None:
        """Move the share after `images` more images, of which the discriminator overfits by `overfitting`."""
        step = images / ADJUSTMENT_IMAGES
        self.share = min(1.0, max(0.0, self.share + (step if overfitting > self.target else -step)))

    def state_dict(self) -> dict[str, Any]:
        """Return the share."""
        return {"share": self.share}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on with a saved share."""
        self.share = float(state["share"])


def build_augmentation_share(recipe: TrainingRecipe) -> AugmentationShare:
    """Return what a recipe asks for."""
    if recipe.diffaugment_overfitting:
        return OverfittingShare(recipe.diffaugment_overfitting)
    return RampedShare(recipe.diffaugment_ramp_images)
