"""One step of the game: the discriminator's turns, then the generator's, then the average.

Where several processes train as one, each works on its share of the batch. A network whose gradient is wanted
is called as `state.trained_…`, which averages it over the processes; the other player is called as it is.
"""

import torch
from torch import Tensor

from dogsgan.models.noise import draw_noise
from dogsgan.training.augment import diffaugment
from dogsgan.training.ema import AveragedGenerator
from dogsgan.training.losses import AdversarialLoss, gradient_penalty
from dogsgan.training.share import RowDraws
from dogsgan.training.state import TrainingState

METERS = ("discriminator_loss", "generator_loss", "real_logit", "fake_logit")


def train_step(state: TrainingState, loss: AdversarialLoss) -> Tensor:
    """Run the recipe's discriminator steps and one generator step, and move the average.

    Returns:
        The values named in `METERS`, of this process's share, still on the device: reading them waits for it.
    """
    state.seed_layers()
    for _ in range(state.recipe.training.discriminator_steps):
        discriminator_loss, logits = _discriminator_step(state, loss)
        state.images_seen += state.recipe.training.batch_size
    generator_loss = _generator_step(state, loss)
    state.steps += 1

    # Update the average.
    averaged: AveragedGenerator = state.averaged
    averaged.update(state.generator, state.images_seen)
    return torch.stack([discriminator_loss, generator_loss, *logits])


def _discriminator_step(state: TrainingState, loss: AdversarialLoss) -> tuple[Tensor, list[Tensor]]:
    training = state.recipe.training
    real, labels = state.batches.next()
    with _autocast(state):
        # Generate a batch of the same classes, and show both at once: one power iteration for both parts.
        with torch.no_grad():
            fake = state.generator(_noise(state), labels).to(real.dtype)
        both = torch.cat([real, fake])
        shown = diffaugment(both, training.diffaugment, random=state.random, share=state.share, parts=2)
        logits = state.trained_discriminator(shown, torch.cat([labels, labels]), parts=2)
        real_logits, fake_logits = logits.float().chunk(2)
        draws = RowDraws(state.random, share=state.share)
        value = loss.discriminator(real_logits, fake_logits, draws)
    total = value
    if training.gradient_penalty:
        mix = state.share.of(torch.rand(training.batch_size, device=real.device, generator=state.random))
        penalty = gradient_penalty(state.discriminator, real, fake, labels=labels, mix=mix)
        total = value + training.gradient_penalty * penalty

    state.discriminator_optimizer.zero_grad(set_to_none=True)
    state.discriminator_scaler.scale(total).backward()
    state.discriminator_scaler.step(state.discriminator_optimizer)
    state.discriminator_scaler.update()
    return total.detach(), [real_logits.detach().mean(), fake_logits.detach().mean()]


def _generator_step(state: TrainingState, loss: AdversarialLoss) -> Tensor:
    training = state.recipe.training
    labels = state.share.of(
        torch.randint(
            max(state.class_count, 1), (training.batch_size,), device=state.device, generator=state.random
        )
    )
    state.discriminator.requires_grad_(False)  # its weights need no gradient here
    with _autocast(state):
        fake = state.trained_generator(_noise(state), labels)
        shown = diffaugment(fake, training.diffaugment, random=state.random, share=state.share)
        value = loss.generator(state.discriminator(shown, labels).float())

    state.generator_optimizer.zero_grad(set_to_none=True)
    state.generator_scaler.scale(value).backward()
    state.generator_scaler.step(state.generator_optimizer)
    state.generator_scaler.update()
    state.discriminator.requires_grad_(True)
    return value.detach()


def _noise(state: TrainingState) -> Tensor:
    """Return z for this process's share of a batch, N×Z."""
    z = draw_noise(state.recipe.training.batch_size, state.recipe.model, random=state.random)
    return state.share.of(z)


def _autocast(state: TrainingState) -> torch.autocast:
    return torch.autocast(state.device.type, dtype=state.dtype, enabled=state.dtype is not None)
