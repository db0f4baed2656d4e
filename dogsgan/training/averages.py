"""The choice among averages of different half-lives when training ends, which needs no other network.

Each average is sampled, and its pictures are compared with real ones in the discriminator's own features: the
average with the smallest kernel distance is taken. Held-out pictures are the real side where the recipe holds
some out, since the discriminator knows the others too well.
"""

import time

import torch
from torch import Tensor, nn

from dogsgan.models.sampling import draw_noise, recalibrated_batch_norm_copy
from dogsgan.progress import optional
from dogsgan.training.state import AveragedGenerator, TrainingState

PICTURES = 512
"""On each side, and to collect batch-norm statistics from."""
BATCH = 64


def chosen_average(state: TrainingState) -> AveragedGenerator:
    """Return the best average, the same in every process; the recipe's where the choice fails."""
    if len(state.averages) == 1:
        return state.averaged
    distances: list[float] = []
    if state.group.is_main:
        with optional("the choice among the averages"):
            distances = average_distances(state)
    best = distances.index(min(distances)) if distances else 0
    chosen = state.averages[state.group.broadcast(best)]
    shown = ", ".join(
        f"{average.halflife_images:,}: {distance:.4f}"
        for average, distance in zip(state.averages, distances, strict=False)
    )
    state.group.say(
        f"the average of half-life {chosen.halflife_images:,} images is kept (distances in the "
        f"discriminator's features: {shown or 'not measured'})"
    )
    return chosen


def choosing_s(state: TrainingState) -> float:
    """Measure what the choice takes: 0 where there is none."""
    if len(state.averages) == 1:
        return 0.0
    began = time.monotonic()
    average_distances(state)
    return time.monotonic() - began


def average_distances(state: TrainingState) -> list[float]:
    """Return each average's kernel distance to real pictures, in the features of the discriminator."""
    batches = state.batches
    real, labels = batches.held_out(PICTURES) if batches.holds_out else batches.trained_on(PICTURES)
    expected = _features(state.discriminator, real, labels)
    scale = expected.square().mean().sqrt().clamp_min(1e-12)
    count = max(state.class_count, 1)
    labels = torch.arange(PICTURES, device=state.device) % count
    z = draw_noise(PICTURES, state.recipe.model, random=torch.Generator().manual_seed(0)).to(state.device)
    distances = []
    for average in state.averages:
        generator = recalibrated_batch_norm_copy(
            average.module, model=state.recipe.model, class_count=state.class_count, images=PICTURES
        )
        with torch.no_grad():
            parts = zip(z.split(BATCH), labels.split(BATCH), strict=True)
            pictures = torch.cat([generator(part, of_part) for part, of_part in parts])
        found = _features(state.discriminator, pictures, labels)
        distances.append(kernel_distance(found / scale, expected / scale))
    return distances


def kernel_distance(a: Tensor, b: Tensor) -> float:
    """Return the unbiased squared maximum mean discrepancy of N×D and M×D rows under (x·y/D + 1)³.

    The kernel of KID (Bińkowski et al. 2018, arXiv 1801.01401), here over features of the discriminator.
    """
    a, b = a.double(), b.double()

    def kernel(x: Tensor, y: Tensor) -> Tensor:
        return (x @ y.T / x.shape[1] + 1) ** 3

    def within(x: Tensor) -> Tensor:
        values = kernel(x, x)
        return (values.sum() - values.diagonal().sum()) / (len(x) * (len(x) - 1))

    return (within(a) + within(b) - 2 * kernel(a, b).mean()).item()


@torch.no_grad()
def _features(discriminator: nn.Module, pictures: Tensor, labels: Tensor) -> Tensor:
    """Return what the discriminator's last linear layer is given, N×D in float32, in evaluation mode."""
    found: list[Tensor] = []
    handle = discriminator.get_submodule("linear").register_forward_pre_hook(
        lambda _, inputs: found.append(inputs[0].float().flatten(1))
    )
    training = discriminator.training
    try:
        discriminator.eval()
        for part, of_part in zip(pictures.split(BATCH), labels.split(BATCH), strict=True):
            discriminator(part, of_part)
    finally:
        discriminator.train(training)
        handle.remove()
    return torch.cat(found)
