"""One step of the game: the discriminator's turns, then the generator's, then the average.

Where several processes train as one, each works on its share of the batch. A network whose gradient is wanted
is called as `state.trained_…`, which averages it over the processes; the other player is called as it is.
"""

from typing import Protocol

import torch
from torch import Tensor

from dogsgan.models.sampling import draw_noise
from dogsgan.training.augment import diffaugment
from dogsgan.training.losses import AdversarialLoss, Judged
from dogsgan.training.share import RowDraws
from dogsgan.training.state import TrainingState

METERS = ("discriminator_loss", "generator_loss", "real_logit", "fake_logit")


def train_step(state: TrainingState, loss: AdversarialLoss) -> Tensor:
    """Run the recipe's discriminator steps and one generator step, and move the average.

    Returns:
        The values named in `METERS`, of this process's share, still on the device: reading them waits for it.
    """
    state.seed_layers()
    state.set_rates()
    fakes = SharedFakes(state) if state.recipe.training.shared_fakes else SeparateFakes(state)
    for _ in range(state.recipe.training.discriminator_steps):
        discriminator_loss, logits = _discriminator_step(state, loss, fakes)
        state.images_seen += state.recipe.training.batch_size
    generator_loss = _generator_step(state, loss, fakes)
    state.steps += 1

    # Update the averages.
    for average in state.averages:
        average.update(state.generator, state.images_seen)
    return torch.stack([discriminator_loss, generator_loss, *logits])


class Fakes(Protocol):
    """Where the generated pictures of both players' steps come from, N×C×H×W in [−1, 1]."""

    def for_discriminator(self, labels: Tensor) -> Tensor:
        """Return pictures of the real batch's classes, without a gradient.

        The classes are the real batch's. Other implementations draw them anew, but the classes of a set are
        not equally frequent, and a projection discriminator that is shown generated pictures of other
        frequencies could tell them apart by their labels alone.
        """

    def for_generator(self) -> tuple[Tensor, Tensor]:
        """Return pictures with a gradient, and their classes."""


class SeparateFakes:
    """A batch for each player; the generator's classes are drawn uniformly, as pictures are sampled later."""

    def __init__(self, state: TrainingState) -> None:
        self.state = state

    def for_discriminator(self, labels: Tensor) -> Tensor:
        with torch.no_grad():
            pictures: Tensor = self.state.generator(_noise(self.state), labels)
        return pictures

    def for_generator(self) -> tuple[Tensor, Tensor]:
        state = self.state
        classes = max(state.class_count, 1)
        size = (state.recipe.training.batch_size,)
        labels = state.share.of(torch.randint(classes, size, device=state.device, generator=state.random))
        return state.trained_generator(_noise(state), labels), labels


class SharedFakes:
    """One batch for both: the generator answers for what the discriminator was just shown.

    It saves a forward of the generator (as in FastGAN, arXiv 2101.04775).
    """

    def __init__(self, state: TrainingState) -> None:
        self.state = state

    def for_discriminator(self, labels: Tensor) -> Tensor:
        self.pictures, self.labels = self.state.trained_generator(_noise(self.state), labels), labels
        return self.pictures.detach()

    def for_generator(self) -> tuple[Tensor, Tensor]:
        return self.pictures, self.labels


def _discriminator_step(
    state: TrainingState, loss: AdversarialLoss, fakes: Fakes
) -> tuple[Tensor, list[Tensor]]:
    real, labels = state.batches.next()
    with _autocast(state):
        # Show real and generated pictures at once: one power iteration for both parts.
        fake = fakes.for_discriminator(labels).to(real.dtype)
        shown = _augmented(state, torch.cat([real, fake]), parts=2)
        logits = state.trained_discriminator(shown, torch.cat([labels, labels]), parts=2)
        real_logits, fake_logits = logits.float().chunk(2)
        draws = RowDraws(state.random, share=state.share)
        total = loss.discriminator(real_logits, fake_logits, draws)
    judged = Judged(real, fake, labels, real_logits, fake_logits)
    for regularizer in state.regularizers.values():
        total = total + regularizer(judged)

    state.discriminator_optimizer.zero_grad(set_to_none=True)
    state.discriminator_scaler.scale(total).backward()
    state.discriminator_scaler.step(state.discriminator_optimizer)
    state.discriminator_scaler.update()
    return total.detach(), [real_logits.detach().mean(), fake_logits.detach().mean()]


def _generator_step(state: TrainingState, loss: AdversarialLoss, fakes: Fakes) -> Tensor:
    state.discriminator.requires_grad_(False)  # its weights need no gradient here
    with _autocast(state):
        fake, labels = fakes.for_generator()
        value = loss.generator(state.discriminator(_augmented(state, fake), labels).float())

    state.generator_optimizer.zero_grad(set_to_none=True)
    state.generator_scaler.scale(value).backward()
    state.generator_scaler.step(state.generator_optimizer)
    state.generator_scaler.update()
    state.discriminator.requires_grad_(True)
    return value.detach()


def _augmented(state: TrainingState, pictures: Tensor, *, parts: int = 1) -> Tensor:
    """Return what the discriminator is shown of pictures, which are `parts` batches."""
    return diffaugment(
        pictures,
        state.recipe.training.diffaugment,
        random=state.random,
        share=state.share,
        parts=parts,
        probability=state.augmentation_share.at(state.images_seen),
    )


def _noise(state: TrainingState) -> Tensor:
    """Return z for this process's share of a batch, N×Z."""
    z = draw_noise(state.recipe.training.batch_size, state.recipe.model, random=state.random)
    return state.share.of(z)


def _autocast(state: TrainingState) -> torch.autocast:
    return torch.autocast(state.device.type, dtype=state.dtype, enabled=state.dtype is not None)
