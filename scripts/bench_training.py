"""Images per second of one discriminator and one generator step, as built here and as usually built.

    python scripts/bench_training.py --width 16 --batch 32 --precision float32

The usual side has the same weights and the same pictures, but upsamples, convolves and pools one after the
other and computes attention from its whole matrix. A third side has the layout of BigGAN-PyTorch's SAGAN at
as many parameters. `--compile` adds the same step under `torch.compile`. Rounds are interleaved; the best of
each counts.
"""

import argparse
import bisect
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from dogsgan import models
from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.device import pick_device, synchronize
from dogsgan.models import layers, outline_networks, parameter_count, sagan
from dogsgan.presets import preset
from dogsgan.training.compiling import compile_networks
from dogsgan.training.losses import build_loss
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step


def plain_upsample(self: layers.UpsampleConv2d, x: Tensor) -> Tensor:
    return F.conv2d(F.interpolate(x, scale_factor=2), self.weight, self.bias, padding=1)


def plain_downsample(self: layers.ConvDownsample2d, x: Tensor) -> Tensor:
    return F.avg_pool2d(F.conv2d(x, self.weight, self.bias, padding=1), 2)


def plain_attention(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return torch.bmm(torch.bmm(queries, keys.transpose(1, 2)).softmax(dim=2), values)


@contextlib.contextmanager
def usually_built() -> Iterator[None]:
    """Replace the fused layers by their plain forms."""
    with (
        mock.patch.object(layers.UpsampleConv2d, "forward", plain_upsample),
        mock.patch.object(layers.ConvDownsample2d, "forward", plain_downsample),
        mock.patch.object(layers, "_attend", plain_attention),
    ):
        yield


@contextlib.contextmanager
def built_as_biggan() -> Iterator[None]:
    """Build the 64 px SAGAN of BigGAN-PyTorch: plain layers, and each its spectral norm by itself.

    Its generator has 16, 16, 8, 4 and 2 times its width at 4, 8, 16, 32 and 64 px where ours has 16, 8, 4, 2
    and 1; the discriminators are alike. Optimiser, averages and memory format stay ours.
    """
    build = sagan.Generator

    def generator(**options: Any) -> sagan.Generator:
        with mock.patch.object(sagan, "stage_multiples", return_value=[16, 16, 8, 4, 2]):
            return build(**options)

    with (
        usually_built(),
        mock.patch.object(models, "iterate_together"),
        mock.patch.object(sagan, "Generator", generator),
    ):
        yield


def of_equal_size(recipe: Recipe) -> Recipe:
    """Return a recipe whose networks, `built_as_biggan`, have the parameters that those of `recipe` have."""

    def parameters(width: int) -> int:
        networks = outline_networks(of_width(width), class_count=120)
        return sum(parameter_count(network) for network in networks)

    def of_width(width: int) -> Recipe:
        return recipe.with_overrides([f"model.generator_width={width}"])

    widest = recipe.model.generator_width
    wanted = parameters(widest)
    with built_as_biggan():
        above = bisect.bisect_left(range(widest), wanted, lo=5, key=parameters)  # 4 carries the attention
        return of_width(min((above - 1, above), key=lambda width: abs(parameters(width) - wanted)))


def images_per_second(state: TrainingState, *, steps: int) -> float:
    loss = build_loss(state.recipe.training)
    train_step(state, loss)
    synchronize(state.device)
    began = time.perf_counter()
    for _ in range(steps):
        train_step(state, loss)
    synchronize(state.device)
    return steps * state.recipe.training.batch_size / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    recipe = preset("dogs-sagan").with_overrides(
        [
            f"model.generator_width={args.width}",
            f"model.discriminator_width={args.width}",
            f"training.batch_size={args.batch}",
            f"training.precision={args.precision}",
        ]
    )
    device = pick_device(args.device)
    with TemporaryDirectory() as folder:
        pictures = np.random.default_rng(0).integers(0, 255, (256, 64, 64, 3), dtype=np.uint8)
        names = [f"class {i}" for i in range(120)]
        write_crop_set(Path(folder) / "set", pictures, np.arange(256) % 120, class_names=names)
        crop_set = CropSet.open(Path(folder) / "set")

        def best(
            setting: Callable[[], contextlib.AbstractContextManager[None]], recipe: Recipe, compiled: bool
        ) -> float:
            with setting():
                state = TrainingState(recipe, crop_set, device)
                if compiled:
                    compile_networks(state.generator, state.discriminator, device=device)
                    images_per_second(state, steps=2)
                return images_per_second(state, steps=args.steps)

        sides = {
            "as usually built": (usually_built, recipe, False),
            "as BigGAN-PyTorch has it": (built_as_biggan, of_equal_size(recipe), False),
            "as built here": (contextlib.nullcontext, recipe, False),
        }
        if args.compile:
            sides["as built here, compiled"] = (contextlib.nullcontext, recipe, True)
        found: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(args.rounds):
            for name, side in sides.items():
                found[name].append(best(*side))
    reference = max(found["as usually built"])
    threads = torch.get_num_threads()
    print(f"width {args.width}, batch {args.batch}, {args.precision}, {device}, {threads} threads")
    for name, rates in found.items():
        print(
            f"{name:24} {max(rates):8.2f} images/s ({min(rates):.2f} to {max(rates):.2f})  "
            f"{max(rates) / reference:5.2f}×"
        )


if __name__ == "__main__":
    main()
