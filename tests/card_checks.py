"""The checks of `test_on_card.py`, as a process of its own: a device that is registered stays.

    python tests/card_checks.py FOLDER

prints what each check found as one JSON object.
"""

import dataclasses
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import card
import torch
from tiny import RECIPE, crop_set
from torch.utils._pytree import tree_map

from dogsgan.audit.auditing import audit
from dogsgan.data.cropset import CropSet
from dogsgan.models import build_networks, sampling
from dogsgan.models.generator_file import save_generator
from dogsgan.models.sampling import Sampler
from dogsgan.score import score
from dogsgan.training import step
from dogsgan.training.losses import build_loss
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step

RECIPES: dict[str, dict[str, Any]] = {
    "two batches, float16": {"precision": "float16"},
    "one batch, every option, bfloat16": {
        "precision": "bfloat16",
        "shared_fakes": True,
        "lecam": 0.3,
        "loss": "bce",
        "label_noise": 0.1,
        "label_smoothing": 0.1,
        "diffaugment_ramp_images": 1000,
        "further_halflives_images": (50, 200),
        "discriminator_steps": 2,
    },
}
FAULTS: dict[str, Callable[[Any], Any]] = {  # in what the discriminator is shown
    "reads a value": lambda x: x * x.mean().item(),
    "asks where": lambda x: x + x[x > 0].sum(),
    "draws on the CPU": lambda x: x + torch.rand(len(x), 1, 1, 1),
    "draws by the CPU's generator": lambda x: (
        x + torch.rand(len(x), 1, 1, 1, device=x.device, generator=torch.Generator())
    ),
    "goes by the CPU": lambda x: x + x.cpu().to(x.device),
    "seeds": lambda x: (torch.manual_seed(0), x)[1],
}


def begun(crop_set: CropSet, device: torch.device, **changes: Any) -> TrainingState:
    """Return a state after its first step, in which optimisers and scalers build theirs."""
    recipe = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))
    state = TrainingState(recipe, crop_set, device)
    train_step(state, build_loss(recipe.training))
    return state


def losses(crop_set: CropSet, folder: Path, device: str) -> list[float]:
    """Return what the second step in float32 says; attention is not summed in the CPU's order there."""
    state = begun(crop_set, torch.device(device), precision="float32")
    meters = train_step(state, build_loss(state.recipe.training))
    return [round(float(value), 3) for value in meters.cpu()]


def pictures(crop_set: CropSet, folder: Path, device: str) -> Any:
    """Return what a generator makes, of its own statistics."""
    return Sampler.open(folder / "generator.safetensors", device=device).sample(4).tolist()


def judged(judge: Callable[..., Any], crop_set: CropSet, folder: Path, device: str) -> dict[str, Any]:
    """Return the score or the audit of pictures against real ones."""
    cache_dir = folder / f"cache-{device}"
    network = {"network": "stand-in", "device": device, "cache_dir": cache_dir}
    found = judge(folder / "generated", crop_set.path, **network)
    values: dict[str, Any] = found.to_json()
    return values


def rounded(value: Any) -> Any:
    """Return the same with numbers of six decimals."""
    return tree_map(lambda x: round(x, 6) if isinstance(x, float) else x, value)


COMPARED: dict[str, Callable[[CropSet, Path, str], Any]] = {
    "step": losses,
    "sampling": pictures,
    "score": partial(judged, score),
    "audit": partial(judged, partial(audit, null_sample=20)),
}


def main() -> None:
    """Print device and types of each recipe's step, what is said to each fault, and what is not the CPU's."""
    card.device()  # before autograd counts the devices
    folder, found = Path(sys.argv[1]), {}
    crops = crop_set(folder / "real")
    for name, changes in RECIPES.items():
        with card.card() as checked:
            state = begun(crops, card.device(), **changes)
            checked.convolution_types.clear()
            with card.without_waiting(checked):
                meters = train_step(state, build_loss(state.recipe.training))
            parameters = [*state.generator.parameters(), *state.discriminator.parameters()]
            found[name] = {
                "device": meters.device.type,
                "convolutions": sorted(map(str, checked.convolution_types)),
                "parameters": sorted({str(parameter.dtype) for parameter in parameters}),
            }
    with card.card() as checked:
        state, honest = begun(crops, card.device()), step.diffaugment
        for name, fault in FAULTS.items():
            step.diffaugment = lambda x, kinds, f=fault, **_: f(x)
            try:
                with card.without_waiting(checked):
                    train_step(state, build_loss(state.recipe.training))
                found[name] = "nothing"
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
        step.diffaugment = honest
    crop_set(folder / "generated", count=8)
    sampling.STATISTICS_IMAGES = sampling.BATCH
    generator = build_networks(RECIPE, class_count=3).generator
    save_generator(
        folder / "generator.safetensors",
        generator,
        recipe=RECIPE,
        class_names=("a", "b", "c"),
        images_seen=7,
        halflife_images=1,
    )
    for name, compute in COMPARED.items():
        expected = compute(crops, folder, "cpu")
        with card.card() as checked:
            ours = compute(crops, folder, card.NAME)
        found[name] = [rounded(ours) == rounded(expected), sorted(checked.there), sorted(checked.elsewhere)]
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
