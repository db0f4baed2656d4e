"""Everything that a run is made of, and that a checkpoint has to hold."""

import copy
from typing import Any

import torch
from torch import nn

from dogsgan.config import Recipe, TrainingRecipe
from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.models import build_networks, on_device
from dogsgan.training.batches import Batches
from dogsgan.training.distributed import ProcessGroup
from dogsgan.training.losses import build_regularizers
from dogsgan.training.overfitting import PICTURES, MeanLogits, measure_overfitting
from dogsgan.training.schedules import build_augmentation_share, rate_factor


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
    """A moving average of a generator's weights, whose decay follows the images seen.

    `module` is the generator with averaged weights, in evaluation mode; its buffers, the batch-norm
    statistics, are those of the trained one.
    """

    def __init__(
        self, generator: nn.Module, recipe: TrainingRecipe, *, halflife_images: int | None = None
    ) -> None:
        self._recipe = recipe
        self.halflife_images = recipe.ema_halflife_images if halflife_images is None else halflife_images
        self.module = copy.deepcopy(generator).eval()

    @torch.no_grad()
    def update(self, generator: nn.Module, images_seen: int) -> None:
        """Move the average towards the weights of `generator`."""
        decay = ema_decay(images_seen, self._recipe, halflife_images=self.halflife_images)
        for average, weight in zip(self.module.parameters(), generator.parameters(), strict=True):
            average.lerp_(weight, 1 - decay)
        for copied, buffer in zip(self.module.buffers(), generator.buffers(), strict=True):
            copied.copy_(buffer)


RATE_AFTER_ROLLBACK = 0.5  # each return to a good state halves both learning rates


def autocast_dtype(recipe: Recipe, device: torch.device) -> torch.dtype | None:
    """Return the 16-bit type that `device` trains in, or None for float32.

    `auto` is bfloat16 where a GPU has it in hardware, float16 on older ones from Volta on, float32 elsewhere.
    """
    named = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if recipe.training.precision in named:
        return named[recipe.training.precision]
    if device.type != "cuda":
        return None
    major, _ = torch.cuda.get_device_capability(device)
    return torch.bfloat16 if major >= 8 else torch.float16 if major >= 7 else None


def _check_shares(batch_size: int, *, processes: int) -> None:
    if batch_size % processes:
        raise DogsganError(
            f"recipe: training.batch_size = {batch_size} cannot be shared by {processes} processes: "
            f"take a multiple of {processes}, or start one process"
        )


class TrainingState:
    """Networks, average, optimisers, scalers, random states and the place in the data of one run.

    All of it is the same in each process of a group, but for the rows of a batch that `share` names.
    `trained_generator` and `trained_discriminator` are what to call for a gradient: the networks themselves,
    or what averages their gradients over the processes.

    Raises:
        DogsganError: the networks cannot be built, or a batch has no equal shares.
    """

    def __init__(
        self, recipe: Recipe, crop_set: CropSet, device: torch.device, *, group: ProcessGroup | None = None
    ) -> None:
        training = recipe.training
        self.group = group or ProcessGroup(device)
        self.share = self.group.share
        _check_shares(training.batch_size, processes=self.share.size)
        self.recipe, self.device = recipe, device
        self.class_names = crop_set.class_names if recipe.model.conditional else ()
        self.class_count = len(self.class_names)
        torch.manual_seed(training.seed)
        networks = build_networks(recipe, class_count=self.class_count)
        self.generator = on_device(networks.generator, device)
        self.discriminator = on_device(networks.discriminator, device)
        halflives = (training.ema_halflife_images, *training.further_halflives_images)
        self.averages = [  # they keep the batch norms of a single process
            AveragedGenerator(self.generator, training, halflife_images=halflife) for halflife in halflives
        ]
        self.group.sync_batch_norm(self.generator)
        self.group.sync_batch_norm(self.discriminator, twice=training.gradient_penalty > 0)
        self.trained_generator = self.group.wrap_ddp(self.generator)
        self.trained_discriminator = self.group.wrap_ddp(self.discriminator)
        betas = (training.beta1, training.beta2)
        fused = {"foreach": True} if device.type == "mps" else {"fused": True}
        self.generator_optimizer = torch.optim.Adam(
            self.generator.parameters(), lr=training.generator_lr, betas=betas, **fused
        )
        self.discriminator_optimizer = torch.optim.Adam(
            self.discriminator.parameters(), lr=training.discriminator_lr, betas=betas, **fused
        )
        self.dtype = autocast_dtype(recipe, device)
        scaled = self.dtype is torch.float16
        self.generator_scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.discriminator_scaler = torch.amp.GradScaler(device.type, enabled=scaled)
        self.random = torch.Generator(device).manual_seed(training.seed + 1)
        self.batches = Batches(
            crop_set.pictures,
            crop_set.labels,
            channels=recipe.data.channels,
            batch_size=training.batch_size,
            flip=training.flip,
            device=device,
            random=self.random,
            seed=training.seed + 2,
            share=self.share,
            held_out=training.held_out,
        )
        self.regularizers = build_regularizers(
            training, self.discriminator, random=self.random, group=self.group
        )
        self.augmentation_share = build_augmentation_share(training)
        self.mean_logits: MeanLogits | None = None
        self.planned_images = training.planned_images
        self.images_seen = 0
        self.steps = 0
        self.rollbacks = 0
        self._overfitting_at = 0

    @property
    def averaged(self) -> AveragedGenerator:
        """The average of the recipe's half-life, which samples and checkpoints are of."""
        return self.averages[0]

    @property
    def rates_scale(self) -> float:
        """What the recipe's learning rates are multiplied by here: by the plan, and by rollbacks."""
        factor = rate_factor(
            self.images_seen, planned_images=self.planned_images, decay=self.recipe.training.lr_decay
        )
        return factor * RATE_AFTER_ROLLBACK**self.rollbacks

    def set_rates(self) -> None:
        """Set both learning rates to what they are at this place in the run."""
        for optimizer, lr in (
            (self.generator_optimizer, self.recipe.training.generator_lr),
            (self.discriminator_optimizer, self.recipe.training.discriminator_lr),
        ):
            for group in optimizer.param_groups:
                group["lr"] = lr * self.rates_scale

    def note_overfitting(self) -> None:
        """Compare held-out pictures with training ones, if the recipe holds out any."""
        if not self.batches.holds_out:
            return
        self.mean_logits = measure_overfitting(
            self.discriminator,
            self.generator,
            training=self.batches.trained_on(PICTURES),
            held_out=self.batches.held_out(PICTURES),
            model=self.recipe.model,
        )
        images = self.images_seen - self._overfitting_at
        self._overfitting_at = self.images_seen
        self.augmentation_share.note_overfitting(self.mean_logits.overfitting, images=images)

    def seed_layers(self) -> None:
        """Seed what layers draw for themselves (dropout) by the place in the run, so that resuming is exact.

        Each process of a group gets draws of its own. Only where there is dropout: on a GPU a new seed in
        every step stands in the way of capturing it.
        """
        if not self.recipe.model.discriminator_dropout:
            return
        place = (self.recipe.training.seed, self.steps, self.rollbacks, self.share.rank)
        torch.manual_seed(hash(place) % 2**63)  # of whole numbers it is the same in every process

    def networks(self) -> dict[str, nn.Module]:
        """Return the two players by the prefix of their weights in a checkpoint."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def is_finite(self) -> bool:
        """Return whether every weight and buffer is a number."""
        tensors = [
            tensor
            for network in (*self.networks().values(), *(average.module for average in self.averages))
            for tensor in network.state_dict().values()
            if tensor.is_floating_point()
        ]
        return bool(torch.stack([tensor.isfinite().all() for tensor in tensors]).all().item())

    def state_dict(self) -> dict[str, Any]:
        """Return everything but the networks' weights."""
        return {
            **{name: getattr(self, name).state_dict() for name in (*self._STATEFUL, *self._SCALERS)},
            "device": self.device.type,
            "random": self.random.get_state(),
            "images_seen": self.images_seen,
            "steps": self.steps,
            "rollbacks": self.rollbacks,
            "planned_images": self.planned_images,
            "overfitting_at": self._overfitting_at,
            "augmentation_share": self.augmentation_share.state_dict(),
            "regularizers": {name: part.state_dict() for name, part in self.regularizers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; noise and loss scale only on the same kind of device."""
        self.images_seen, self.steps = int(state["images_seen"]), int(state["steps"])
        self.rollbacks = int(state["rollbacks"])
        if "planned_images" in state:  # older checkpoints lack all of this, and their recipes use none of it
            self.planned_images = int(state["planned_images"])
            self._overfitting_at = int(state["overfitting_at"])
            self.augmentation_share.load_state_dict(state["augmentation_share"])
            for name, part in self.regularizers.items():
                part.load_state_dict(state["regularizers"][name])
        for name in self._STATEFUL:
            getattr(self, name).load_state_dict(state[name])
        if state["device"] == self.device.type:
            self.random.set_state(state["random"])
            for name in self._SCALERS:
                getattr(self, name).load_state_dict(state[name])
        else:
            self.random.manual_seed(self.recipe.training.seed + 1 + self.images_seen)
            self.group.say(
                f"this run was on {state['device']} and goes on on {self.device.type}: with other noise, so "
                "not bit for bit"
            )

    _STATEFUL = ("generator_optimizer", "discriminator_optimizer", "batches")
    _SCALERS = ("generator_scaler", "discriminator_scaler")
