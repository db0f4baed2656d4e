"""Images per second of the training step in several forms, one JSON line each as soon as it is known.

    python scripts/gpu_speed.py --preset dogs-best --device cuda 32:float16:eager 64:float16:compile

A form is BATCH:PRECISION:KIND; kinds are `eager`, `plain` (the layers as usually built), `biggan` (the layout
of BigGAN-PyTorch's SAGAN at as many parameters), `compile`, and `graphs` (compiled, with CUDA graphs). The
first line tells the device and the matrix products that it reaches. A form that fails costs no other.
"""

import argparse
import contextlib
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from bench_training import built_as_biggan, of_equal_size, usually_built

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.device import fastest, pick_device, synchronize
from dogsgan.presets import preset
from dogsgan.training.compiling import compile_networks
from dogsgan.training.cost import step_cost
from dogsgan.training.losses import build_loss
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step

SETTINGS = {"plain": usually_built, "biggan": built_as_biggan}
CLASSES, PICTURES = 120, 2048


def main() -> None:
    args = _parser().parse_args()
    device = pick_device(args.device)
    limits = device_limits(device, side=args.matrix_side)
    print(json.dumps(limits), flush=True)
    for form in args.forms:
        batch, precision, kind = form.split(":")
        settings = [*args.set, f"training.batch_size={batch}", f"training.precision={precision}"]
        recipe = preset(args.preset).with_overrides(settings)
        try:
            row = measured(recipe, kind, device, seconds=args.seconds)
            row["share_of_bfloat16"] = row["tflops"] / limits["tflops_bfloat16"]
        except Exception as error:
            row = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
        if device.type == "cuda":
            torch.cuda.empty_cache()
        print(json.dumps({"form": form, **row}), flush=True)


def device_limits(device: torch.device, *, side: int) -> dict[str, Any]:
    """Return the device's name and memory, and the TFLOP/s of its matrix products of a side."""
    found: dict[str, Any] = {"device": str(device), "torch": torch.__version__}
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {"name": properties.name, "memory_gb": properties.total_memory / 1e9}
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        a = torch.randn(side, side, device=device, dtype=dtype)
        a @ a
        synchronize(device)
        began, rounds = time.perf_counter(), 5
        for _ in range(rounds):
            a @ a
        synchronize(device)
        seconds = time.perf_counter() - began
        found[f"tflops_{str(dtype).split('.')[1]}"] = rounds * 2 * side**3 / seconds / 1e12
    return found


def measured(recipe: Recipe, kind: str, device: torch.device, *, seconds: float) -> dict[str, Any]:
    """Return the speed, peak memory and launch share of one form of the step."""
    recipe = of_equal_size(recipe) if kind == "biggan" else recipe
    with TemporaryDirectory() as folder, fastest():
        size_px = recipe.data.size_px
        random = np.random.default_rng(0)
        pictures = random.integers(0, 255, (PICTURES, size_px, size_px, 3), dtype=np.uint8)
        names = [f"class {i}" for i in range(CLASSES)]
        write_crop_set(Path(folder) / "set", pictures, np.arange(PICTURES) % CLASSES, class_names=names)
        with SETTINGS.get(kind, contextlib.nullcontext)():
            return _rate(recipe, kind, CropSet.open(Path(folder) / "set"), device, seconds=seconds)


def _rate(
    recipe: Recipe, kind: str, crop_set: CropSet, device: torch.device, *, seconds: float
) -> dict[str, Any]:
    state = TrainingState(recipe, crop_set, device)
    loss, cost = build_loss(recipe.training), step_cost(recipe)
    if kind in ("compile", "graphs"):
        compile_networks(state.generator, state.discriminator, device=device, graphs=kind == "graphs")
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    began = time.perf_counter()
    for _ in range(3):  # cuDNN tries its algorithms, a compiler compiles
        train_step(state, loss)
    synchronize(device)
    warm_s = time.perf_counter() - began
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        for _ in range(4):
            train_step(state, loss)
        steps += 4
        synchronize(device)
    steps_per_second = steps / (time.perf_counter() - began)
    queued_began = time.perf_counter()
    train_step(state, loss)
    queued_s = time.perf_counter() - queued_began
    synchronize(device)
    peak = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    return {
        "images_per_second": steps_per_second * cost.images,
        "warm_s": warm_s,
        "queueing_share": queued_s * steps_per_second,  # near 1: the host, not the device, decides the speed
        "peak_gb": peak,
        "tflops": steps_per_second * cost.flops / 1e12,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("forms", nargs="+", metavar="BATCH:PRECISION:KIND")
    parser.add_argument("--preset", default="dogs-best")
    parser.add_argument("--set", action="append", default=[], metavar="A.B=C")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seconds", type=float, default=4.0, help="of measuring each form (4)")
    parser.add_argument("--matrix-side", type=int, default=8192)
    return parser


if __name__ == "__main__":
    main()
