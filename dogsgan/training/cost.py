"""The cost of a training step in memory, arithmetic and memory traffic, counted from shapes on any machine.

The step itself runs on the meta device, on tensors without values, with the casts and the attention kernel of
a GPU. Not counted: the power iterations of spectral norms, and what cuDNN needs within a convolution.
"""

import weakref
from dataclasses import dataclass, replace
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.models import on_device, outline_networks, parameter_count
from dogsgan.training.distributed import ProcessGroup
from dogsgan.training.losses import build_loss, build_regularizers
from dogsgan.training.schedules import build_augmentation_share
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step

META = torch.device("meta")
PICTURES = 22_000
"""Crops that lie on the device, as the competition's data give."""
ALLOWANCE_BYTES = 1.5e9
"""What no shape tells: about 0.5 GB for the CUDA context and 1 GB for cuDNN's workspace and fragmentation."""
CAST = (torch.conv2d, torch.conv_transpose2d, F.linear, torch.matmul, Tensor.matmul, Tensor.__matmul__)
"""What autocast runs in 16 bits, as far as the networks call it."""


@dataclass(frozen=True)
class StepCost:
    """One step of both networks for one process."""

    kept_bytes: int
    """Weights, averages and Adam's moments."""
    step_bytes: int
    """The most that gradients and activations take at once."""
    data_bytes: int
    gradient_bytes: int
    """What two processes exchange in a step."""
    flops: int
    moved_bytes: int
    """Read and written by all operations, each by itself."""
    operations: int
    images: int
    """Real ones that the step sees."""

    @property
    def peak_bytes(self) -> int:
        """The most memory that training takes, with the allowance."""
        return self.kept_bytes + self.step_bytes + self.data_bytes + int(ALLOWANCE_BYTES)


@cache
def step_cost(recipe: Recipe, *, class_count: int = 120) -> StepCost:
    """Count a step of a recipe on a GPU, its whole batch in one process.

    Raises:
        DogsganError: the networks cannot be built.
    """
    training, data = recipe.training, recipe.data
    casts, counter = _AsOnGPU(), _Counter()
    with torch.random.fork_rng(devices=[]), casts, counter:
        state = _outline(recipe, class_count=class_count if recipe.model.conditional else 0)
        counter.reset()
        for network in state.networks:  # of the step before; each lives until its network's next backward
            for parameter in network.parameters():
                parameter.grad = torch.empty_like(parameter)
        train_step(cast(TrainingState, state), build_loss(training))
    generator, discriminator = (4 * parameter_count(network) for network in state.networks)
    averages = 1 + len(training.further_halflives_images)
    return StepCost(
        kept_bytes=3 * (generator + discriminator) + averages * generator,
        step_bytes=counter.peak,
        data_bytes=PICTURES * data.size_px**2 * data.channels,
        gradient_bytes=generator + training.discriminator_steps * discriminator,
        flops=counter.flops,
        moved_bytes=counter.moved,
        operations=counter.operations,
        images=training.batch_size * training.discriminator_steps,
    )


def check_fits(recipe: Recipe, *, memory_gb: float) -> None:
    """Refuse a recipe whose step does not fit a GPU, naming the largest half of its batch that does.

    Raises:
        DogsganError: it does not fit, or the networks cannot be built.
    """
    needed_gb, batch = step_cost(recipe).peak_bytes / 1e9, recipe.training.batch_size
    if needed_gb <= memory_gb:
        return
    refusal = (
        f"recipe: training.batch_size = {batch} takes {needed_gb:.1f} GB of a GPU that has {memory_gb:g}"
    )
    while (batch := batch // 2) >= 2:
        smaller = replace(recipe, training=replace(recipe.training, batch_size=batch))
        if step_cost(smaller).peak_bytes <= memory_gb * 1e9:
            raise DogsganError(
                f"{refusal}: add --set training.batch_size={batch}, or --gpu-memory for a larger GPU"
            )
    raise DogsganError(f"{refusal}, and no batch fits: take smaller widths, or --gpu-memory for a larger GPU")


def _outline(recipe: Recipe, *, class_count: int) -> SimpleNamespace:
    """Return what a step uses of a `TrainingState`, without values. Adam's own step allocates nothing."""
    training, size_px = recipe.training, recipe.data.size_px
    networks = outline_networks(recipe, class_count=class_count)
    generator, discriminator = (on_device(network, META) for network in networks)
    shown = torch.empty(training.batch_size, size_px, size_px, recipe.data.channels).permute(0, 3, 1, 2)
    labels = torch.zeros(training.batch_size, dtype=torch.int64)
    cpu = torch.device("cpu")
    random, group = torch.Generator(), ProcessGroup(cpu)
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return SimpleNamespace(
        recipe=recipe,
        device=cpu,  # as autocast sees it
        dtype=None if training.precision == "float32" else torch.bfloat16,
        networks=networks,
        **dict.fromkeys(("generator", "trained_generator"), generator),
        **dict.fromkeys(("discriminator", "trained_discriminator"), discriminator),
        averages=(),
        generator_optimizer=torch.optim.SGD(generator.parameters(), foreach=True),
        discriminator_optimizer=torch.optim.SGD(discriminator.parameters(), foreach=True),
        **dict.fromkeys(("generator_scaler", "discriminator_scaler"), scaler),
        **dict.fromkeys(("seed_layers", "set_rates"), lambda: None),
        batches=SimpleNamespace(next=lambda: (shown, labels)),
        regularizers=build_regularizers(training, discriminator, random=random, group=group),
        augmentation_share=build_augmentation_share(training),
        random=random,
        share=group.share,
        class_count=class_count,
        images_seen=0,
        steps=0,
    )


class _AsOnGPU(TorchFunctionMode):
    """Puts new tensors on the meta device, casts as autocast does, and takes the fused attention kernel."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        attends = func is F.scaled_dot_product_attention
        if "device" in kwargs or func in (torch.empty, torch.zeros):
            kwargs["device"] = META
        if torch.is_autocast_enabled("cpu") and (func in CAST or attends):
            args = tuple(_in_16_bits(x) for x in args)
        if attends and torch.backends.cuda.mem_efficient_sdp_enabled():  # not for a second derivative
            kernel = torch.ops.aten._scaled_dot_product_efficient_attention
            return kernel(*args, None, torch.is_grad_enabled(), **kwargs)[0]
        return func(*args, **kwargs)


def _in_16_bits(x: Any) -> Any:
    return x.to(torch.bfloat16) if isinstance(x, Tensor) and x.is_floating_point() else x


class _Counter(TorchDispatchMode):
    """Counts operations, what they read and write, and the most bytes that live at once."""

    def __init__(self) -> None:
        super().__init__()
        self._sizes: dict[int, int] = {}
        self.reset()

    def reset(self) -> None:
        """Begin anew: what lives now is not counted."""
        self._sizes.clear()
        self.live = self.peak = self.moved = self.operations = self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        given = [x for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)]
        made = [x for x in tree_leaves(result) if isinstance(x, Tensor)]
        known = {x.untyped_storage()._cdata for x in given}
        fresh = [x for x in made if x.untyped_storage()._cdata not in known]
        for storage in (x.untyped_storage() for x in fresh):
            if storage._cdata not in self._sizes:
                self._sizes[storage._cdata] = storage.nbytes()
                self.live += storage.nbytes()
                weakref.finalize(storage, self._free, storage._cdata)
        self.peak = max(self.peak, self.live)
        if fresh or func._schema.is_mutable:  # else a view
            self.operations += 1
            if formula := flop_registry.get(func.overloadpacket):
                self.flops += formula(*args, **(kwargs or {}), out_val=result)
            self.moved += sum(min(x.nbytes, x.untyped_storage().nbytes()) for x in (*given, *made))
        return result

    def _free(self, storage: int) -> None:
        self.live -= self._sizes.pop(storage, 0)
