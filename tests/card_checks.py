"""The checks of `test_step_on_card.py`, as a process of its own: a device that is registered stays.

    python tests/card_checks.py SET

prints what each check found as one JSON object.
"""

import dataclasses
import gc
import json
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import card
import torch
from tiny import RECIPE

from dogsgan.data.cropset import CropSet
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
    "asks where": lambda x: x[x[:, 0, 0, 0] > 0],
    "draws on the CPU": lambda x: x + torch.rand(len(x), 1, 1, 1),
    "draws by the CPU's generator": lambda x: (
        x + torch.rand(len(x), 1, 1, 1, device=x.device, generator=torch.Generator())
    ),
    "goes by the CPU": lambda x: x + x.cpu().to(x.device),
    "seeds": lambda x: (torch.manual_seed(0), x)[1],
}


def begun(crop_set: CropSet, **changes: Any) -> TrainingState:
    """Return a state on the card after its first step, in which optimisers and scalers build theirs."""
    recipe = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))
    state = TrainingState(recipe, crop_set, card.device())
    train_step(state, build_loss(recipe.training))
    return state


def main() -> None:
    """Print the device and the types of each recipe's step, and what is said to each fault."""
    warnings.filterwarnings("ignore", "Accessing the data pointer")
    gc.disable()  # tensors without memory do not always survive being collected
    crop_set, found = CropSet.open(Path(sys.argv[1])), {}
    for name, changes in RECIPES.items():
        with card.card() as checked:
            state = begun(crop_set, **changes)
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
        state = begun(crop_set)
        for name, fault in FAULTS.items():
            step.diffaugment = lambda x, kinds, f=fault, **_: f(x)
            try:
                with card.without_waiting(checked):
                    train_step(state, build_loss(state.recipe.training))
                found[name] = "nothing"
            except Exception as error:
                found[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(found), flush=True)
    os._exit(0)


if __name__ == "__main__":
    main()
