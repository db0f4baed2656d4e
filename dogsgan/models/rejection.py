"""Discriminator rejection sampling: the run's own discriminator chooses among generated pictures.

Azadi et al., "Discriminator Rejection Sampling", ICLR 2019 (arXiv 1810.06758). A discriminator whose logit is
log p_data/p_model could turn the generator's distribution into that of the data by rejection. Trained by a
hinge loss it is not such a one, so its logits are calibrated first: by a logistic regression that tells real
pictures from generated ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import brentq, minimize
from scipy.special import expit, log_expit
from torch import Tensor, nn

from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.models import on_device, outline_networks
from dogsgan.models.sampling import BATCH, Batch, Sampler, balanced_labels, draw_truncated, to_uint8
from dogsgan.tensors import load_file

CALIBRATED_ON = 1024
"""Real and generated pictures each that the logits are calibrated on."""
MOST_TRIES = 64
"""For one picture; of so many the best is taken."""
_EPSILON = 1e-6  # keeps the most realistic picture's probability finite, as in the paper's appendix
_PREFIX = "discriminator."


@dataclass(frozen=True, eq=False)
class Rejection:
    """Accepts a picture with the probability that its calibrated logit gives it."""

    sampler: Sampler
    discriminator: nn.Module
    slope: float
    intercept: float
    """Of the calibration: log p_data/p_model ≈ slope · logit + intercept."""
    highest: float
    """The highest calibrated logit among the pictures calibrated on."""
    shift: float
    """γ of the paper, chosen for the share that is to be rejected."""

    @classmethod
    def of_run(cls, run: Path, sampler: Sampler, crop_set: CropSet, *, share: float) -> "Rejection":
        """Calibrate the discriminator of a run for rejecting about `share` of a sampler's pictures.

        Raises:
            DogsganError: `share` is not between 0 and 0.95, `crop_set` is of another size or other classes,
                or the run has no checkpoint of the generator's place.
        """
        if not 0 < share <= 0.95:
            raise DogsganError(
                f"a rejected share of {share:g} makes no sense: give one above 0 and up to 0.95"
            )
        crop_set.refuse_other_size(sampler.recipe.data.size_px)
        if sampler.class_names and tuple(crop_set.class_names) != sampler.class_names:
            raise DogsganError(f"{crop_set.path} has other classes than the run: give the crops of the run")
        discriminator = _read_discriminator(run, sampler)
        random = np.random.default_rng(0)
        chosen = random.permutation(len(crop_set))[:CALIBRATED_ON]
        labels = torch.from_numpy(crop_set.labels[chosen] if sampler.class_names else np.zeros_like(chosen))
        channels = sampler.recipe.data.channels
        real = torch.from_numpy(np.stack([crop_set.pictures[index] for index in chosen])[..., :channels])
        real_logits = _logits(discriminator, real.permute(0, 3, 1, 2).float() / 127.5 - 1, labels)
        noise = torch.Generator().manual_seed(0)
        z = draw_truncated(len(labels), sampler.recipe.model, random=noise, truncation=sampler.truncation)
        fake_logits = _logits(discriminator, _pictures(sampler, z, labels), labels)
        slope, intercept = calibrate(real_logits, fake_logits)
        calibrated = slope * fake_logits + intercept
        highest = float(calibrated.max())
        return cls(
            sampler, discriminator, slope, intercept, highest, shift_for(calibrated, highest, share=share)
        )

    @property
    def images_seen(self) -> int:
        """How many images the generator was trained on."""
        return self.sampler.images_seen

    def batches(self, count: int, *, seed: int = 0) -> Iterator[Batch]:
        """Yield batches as `Sampler.batches` does, of accepted pictures.

        Each place of the submission keeps its class, and is drawn for until a picture is accepted. The same
        seed gives the same bytes on the same device.
        """
        noise = torch.Generator().manual_seed(seed)
        random = np.random.default_rng(seed)
        for labels in balanced_labels(count, len(self.sampler.class_names)).split(BATCH):
            yield Batch(self._accepted(labels, noise, random), labels.numpy())

    def _accepted(self, labels: Tensor, noise: torch.Generator, random: np.random.Generator) -> np.ndarray:
        """Return a picture of each class in `labels`, B×H×W×C uint8."""
        model, truncation = self.sampler.recipe.model, self.sampler.truncation
        kept: list[np.ndarray | None] = [None] * len(labels)
        best = np.full(len(labels), -np.inf)
        open_places = np.arange(len(labels))
        for _ in range(MOST_TRIES):
            places = np.resize(open_places, BATCH)  # each open place once at least, in batches of one size
            z = draw_truncated(BATCH, model, random=noise, truncation=truncation)
            pictures = _pictures(self.sampler, z, labels[places])
            calibrated = self.slope * _logits(self.discriminator, pictures, labels[places]) + self.intercept
            accepted = random.random(BATCH) < acceptance(calibrated, self.highest, shift=self.shift)
            shown = to_uint8(pictures)
            for place, value, picture, taken in zip(places, calibrated, shown, accepted, strict=True):
                if place in open_places and (taken or value > best[place]):
                    kept[place], best[place] = picture, value
                if taken:
                    open_places = open_places[open_places != place]
            if not len(open_places):
                break
        return np.stack([picture for picture in kept if picture is not None])


def calibrate(real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """Return slope ≥ 0 and intercept of the logistic regression of real (N) against generated (M) logits.

    Both sides weigh the same, so that slope · logit + intercept estimates log p_data/p_model.
    """

    def loss(parameters: np.ndarray) -> float:
        slope, intercept = np.exp(parameters[0]), parameters[1]
        right = log_expit(slope * real + intercept).mean() + log_expit(-slope * fake - intercept).mean()
        return float(-right + 1e-4 * slope**2)  # finite where the two sides do not overlap

    found = minimize(loss, np.array([0.0, 0.0]), method="Nelder-Mead").x
    return float(np.exp(found[0])), float(found[1])


def acceptance(calibrated: np.ndarray, highest: float, *, shift: float) -> np.ndarray:
    """Return the probability of each calibrated logit (N) to be accepted: equation 8 of the paper, σ(F̂)."""
    below = np.minimum(calibrated - highest, 0) - _EPSILON
    probability: np.ndarray = expit(below - np.log1p(-np.exp(below)) - shift)
    return probability


def shift_for(calibrated: np.ndarray, highest: float, *, share: float) -> float:
    """Return γ, with which a `share` of pictures of these calibrated logits (N) is rejected on average."""

    def too_many(shift: float) -> float:
        return float((1 - acceptance(calibrated, highest, shift=shift)).mean()) - share

    return float(brentq(too_many, -1e3, 1e3))


def _pictures(sampler: Sampler, z: Tensor, labels: Tensor) -> Tensor:
    """Return pictures of N×Z as N×C×H×W in [−1, 1] on the CPU, made in batches of one size."""
    parts = zip(z.split(BATCH), labels.split(BATCH), strict=True)
    with torch.inference_mode():
        made = [sampler.generator(a.to(sampler.device), b.to(sampler.device)).float().cpu() for a, b in parts]
    pictures = torch.cat(made)
    if not bool(pictures.isfinite().all()):
        raise DogsganError("the generator makes NaN pictures: its run diverged; sample an earlier checkpoint")
    return pictures


def _logits(discriminator: nn.Module, pictures: Tensor, labels: Tensor) -> np.ndarray:
    """Return the logits, N, of pictures N×C×H×W."""
    device = next(discriminator.parameters()).device
    parts = zip(pictures.split(BATCH), labels.split(BATCH), strict=True)
    with torch.inference_mode():
        found = [discriminator(a.to(device), b.to(device)).double().cpu() for a, b in parts]
    logits: np.ndarray = torch.cat(found).numpy()
    return logits


def _read_discriminator(run: Path, sampler: Sampler) -> nn.Module:
    """Return the discriminator of the checkpoint that a sampler's generator was published from."""
    path = run / "checkpoints" / f"{sampler.images_seen:09d}" / "weights.safetensors"
    if not path.is_file():
        raise DogsganError(
            f"rejection needs the discriminator of the run, and there is no {path}: name the run's folder"
        )
    weights, _ = load_file(path)
    own = {name.removeprefix(_PREFIX): tensor for name, tensor in weights.items() if name.startswith(_PREFIX)}
    discriminator = outline_networks(sampler.recipe, class_count=len(sampler.class_names)).discriminator
    try:
        discriminator.load_state_dict(own, assign=True)
    except RuntimeError as error:
        raise DogsganError(f"{path} holds no discriminator of the run's recipe") from error
    return on_device(discriminator, sampler.device).eval().requires_grad_(False)
