"""Places outside the run folder where a training's log goes, too: TensorBoard, Weights & Biases.

Their packages are optional and imported when a place is asked for. What fails here costs no training.
"""

import contextlib
import importlib
import importlib.util
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json
from dogsgan.progress import optional
from dogsgan.training.state import TrainingState


class Outlet(Protocol):
    """A place outside the run folder where its log goes, too."""

    def write(self, line: Mapping[str, Any]) -> None:
        """Take a line of the log."""

    def show(self, name: str, picture: Path, *, images_seen: int) -> None:
        """Take a grid of pictures."""

    def close(self) -> None:
        """Write what is not yet written."""


class TensorBoardOutlet:
    """Writes scalars and grids into `RUN/tensorboard`."""

    def __init__(self, run: Path, *, images_seen: int, recipe: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(run / "tensorboard"), purge_step=images_seen)

    def write(self, line: Mapping[str, Any]) -> None:
        for name, value in scalars_of(line).items():
            self._writer.add_scalar(name, value, line["images_seen"])

    def show(self, name: str, picture: Path, *, images_seen: int) -> None:
        pixels = np.asarray(Image.open(picture).convert("RGB"))
        self._writer.add_image(name, pixels, images_seen, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WandbOutlet:
    """Sends scalars and grids to Weights & Biases; its own environment variables say where and how."""

    def __init__(self, run: Path, *, images_seen: int, recipe: dict[str, Any]) -> None:
        self._wandb = importlib.import_module("wandb")
        self._run = self._wandb.init(
            project="dogsgan",
            name=run.resolve().parent.name if run.name == "run" else run.name,
            id=_identifier(run),
            dir=str(run),
            config=recipe,
            resume="allow",
        )

    def write(self, line: Mapping[str, Any]) -> None:
        self._run.log(scalars_of(line) | {"images_seen": line["images_seen"]})

    def show(self, name: str, picture: Path, *, images_seen: int) -> None:
        self._run.log({name: self._wandb.Image(str(picture)), "images_seen": images_seen})

    def close(self) -> None:
        self._run.finish()


def _identifier(run: Path) -> str:
    """Return the identifier of a run, the same whenever it goes on."""
    path = run / "wandb-id.json"
    if not path.exists():
        write_json(path, secrets.token_hex(8))
    return str(read_json(path))


OUTLETS: dict[str, tuple[Callable[..., Outlet], str]] = {
    "tensorboard": (TensorBoardOutlet, "tensorboard"),
    "wandb": (WandbOutlet, "wandb"),
}
"""By name: what opens it, and the package that it needs."""


def refuse_missing_outlets(names: Sequence[str]) -> None:
    """Refuse outlets whose package is not installed, before anything starts.

    Raises:
        DogsganError: naming the first, and how to install it.
    """
    for name in names:
        if importlib.util.find_spec(OUTLETS[name][1]) is None:
            raise DogsganError(f"--log {name} needs a package: pip install 'dogsgan[{name}]'")


@contextlib.contextmanager
def opened_outlets(names: Sequence[str], run: Path, state: TrainingState) -> Iterator[list[Outlet]]:
    """Open outlets for a run that stands at `state`; one that cannot be opened is left out, and said."""
    opened: list[Outlet] = []
    for name in names:
        with optional(f"--log {name}"):
            open_outlet, _ = OUTLETS[name]
            opened.append(open_outlet(run, images_seen=state.images_seen, recipe=state.recipe.to_json()))
    try:
        yield opened
    finally:
        for outlet in opened:
            with optional("the end of a log outside"):
                outlet.close()


def scalars_of(line: Mapping[str, Any]) -> dict[str, float]:
    """Return the figures of a line of the log by name, those within others as `gamma/generator/32`."""
    found: dict[str, float] = {}
    for name, value in line.items():
        if isinstance(value, Mapping):
            found |= {f"{name}/{inner}": each for inner, each in scalars_of(value).items()}
        elif isinstance(value, int | float) and not isinstance(value, bool) and name != "images_seen":
            found[name] = value
    return found
