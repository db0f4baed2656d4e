"""The generator file: averaged weights as safetensors, with all that is needed to build and sample them."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.tensors import GENERATOR_FILE as GENERATOR_FILE
from dogsgan.tensors import load_file, save_file


def save_generator(
    path: Path,
    generator: nn.Module,
    *,
    recipe: Recipe,
    class_names: tuple[str, ...],
    images_seen: int,
    halflife_images: int,
) -> None:
    """Write a generator, whose average over the weights has that half-life, with its description."""
    described = {
        "recipe": recipe.to_json(),
        "class_names": list(class_names),
        "images_seen": images_seen,
        "halflife_images": halflife_images,
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in generator.state_dict().items()}
    save_file(tensors, path, metadata={"dogsgan": json.dumps(described)})


def read_generator(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return weights and description of a generator file.

    Raises:
        DogsganError: there is no such file, or it is not one of these.
    """
    if not path.is_file():
        raise DogsganError(f"no generator at {path}: train a run first, or name its folder")
    remedy = "name a run folder or the generator.safetensors of one"
    try:
        weights, metadata = load_file(path)
        described = json.loads(metadata["dogsgan"])
        if not isinstance(described, dict) or not isinstance(described.get("class_names"), list):
            raise ValueError("its description is incomplete")
        if type(described.get("images_seen")) is not int:
            raise ValueError("its description does not say how many images it has seen")
    except (SafetensorError, OSError, KeyError, ValueError, RecursionError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        raise DogsganError(f"{path} holds no dogsgan generator ({reason}): {remedy}") from error
    return weights, described
