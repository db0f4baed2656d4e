"""The generator file: averaged weights as safetensors, with all that is needed to build and sample them."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor, nn

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError, first_line
from dogsgan.files import atomic_path, sha256_of
from dogsgan.tensors import GENERATOR_FILE as GENERATOR_FILE
from dogsgan.tensors import load_file, save_file

BEST_GENERATOR_FILE = "best-generator.safetensors"
"""In a run that was judged while it trained: the averaged generator with the lowest Fréchet distance."""


def generator_file_of(path: Path) -> Path:
    """Return the generator file of a run folder, or the one that a model card names; a file as it is."""
    if path.is_dir():
        return path / GENERATOR_FILE
    if path.name == "README.md":
        with contextlib.suppress(OSError, UnicodeDecodeError):
            for line in path.read_text(encoding="utf-8").splitlines():
                name, _, value = line.partition(": ")
                if name == "generator":
                    return path.parent / Path(value.strip()).name  # beside it, wherever it claims
    return path


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
        raise DogsganError(f"{path} holds no dogsgan generator ({first_line(error)}): {remedy}") from error
    return weights, described


STATISTICS_VERSION = 1
"""Raised with every change of how batch-norm statistics are collected: kept ones are then collected anew."""


@dataclass(frozen=True)
class KeptStatistics:
    """Batch-norm statistics that were collected for a generator file, in a file beside it.

    They are all buffers of the generator, the vectors of its spectral norms included. They hold for these
    weights and these `settings` of the collection only.
    """

    generator_file: Path
    settings: dict[str, Any]

    @property
    def path(self) -> Path:
        """Where they are: `generator.statistics.safetensors` beside `generator.safetensors`."""
        return self.generator_file.with_suffix(".statistics.safetensors")

    def load_into(self, generator: nn.Module) -> bool:
        """Replace the buffers of `generator` by those kept; return False where there are none for it."""
        with contextlib.suppress(SafetensorError, OSError, ValueError):
            found, metadata = load_file(self.path)
            buffers = dict(generator.named_buffers())
            fits = found.keys() == buffers.keys() and all(
                found[name].shape == buffer.shape and found[name].dtype == buffer.dtype
                for name, buffer in buffers.items()
            )
            if fits and metadata.get("dogsgan") == self._key():
                for name, buffer in buffers.items():
                    buffer.copy_(found[name])
                return True
        return False

    def save(self, generator: nn.Module) -> None:
        """Keep the buffers of `generator`.

        Raises:
            DogsganError: the file cannot be written.
        """
        buffers = {name: buffer.detach().cpu().contiguous() for name, buffer in generator.named_buffers()}
        with atomic_path(self.path) as partial:
            save_file(buffers, partial, metadata={"dogsgan": self._key()})

    def _key(self) -> str:
        return json.dumps(
            {"version": STATISTICS_VERSION, "generator": sha256_of(self.generator_file), **self.settings}
        )
