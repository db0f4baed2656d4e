"""Folder of a run: its recipe, checkpoints and log, the plot of its losses, and the report of a training.

It needs no torch, so that a process that only supervises can read a run.
"""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, write_json, write_text

RECIPE_FILE = "recipe.json"
REALS_FILE, INIT_FILE = "reals.png", "init.png"
CHECKPOINTS = "checkpoints"
"""The folder with a folder for each checkpoint, whose name is the images seen."""


def checkpoints(run: Path) -> list[Path]:
    """Return the complete checkpoints of a run, oldest first."""
    folders = [path for path in (run / CHECKPOINTS).glob("*") if path.name.isdecimal()]
    return sorted(folders, key=lambda folder: int(folder.name))


def newest_checkpoint(run: Path) -> Path | None:
    """Return a run's newest complete checkpoint; None without one."""
    return next(reversed(checkpoints(run)), None)


def folder_of(run: Path, images_seen: int) -> Path:
    """Return where the checkpoint of that place is."""
    return run / CHECKPOINTS / f"{images_seen:09d}"


def save_recipe(run: Path, recipe: Recipe, *, fingerprint: str) -> None:
    """Write the recipe, and which data it is trained on, into the run."""
    write_json(run / RECIPE_FILE, {**recipe.to_json(), "crop_set": fingerprint})


def read_recipe(run: Path) -> tuple[Recipe, str | None] | None:
    """Return a run's recipe and the fingerprint of the crops it is trained on; None where no run is begun.

    Raises:
        DogsganError: the file is damaged.
    """
    if not (run / RECIPE_FILE).exists():
        return None
    saved = read_json(run / RECIPE_FILE)
    fingerprint = saved.pop("crop_set", None) if isinstance(saved, dict) else None
    return Recipe.from_json(saved), fingerprint


def check_same_recipe(run: Path, recipe: Recipe, *, fingerprint: str) -> Recipe:
    """Refuse to go on with a run under another recipe or on other data.

    Returns:
        The recipe to go on with: `recipe`, with what the run is older than left as it was then.

    Raises:
        DogsganError: naming each difference.
    """
    saved = read_recipe(run)
    if saved is None:
        return recipe
    differences = saved[0].differences(recipe)
    if saved[1] != fingerprint:
        differences.append("the crop set is another one")
    if differences:
        raise DogsganError(
            f"{run} was begun with another recipe ({'; '.join(differences)}): "
            "use the same settings to resume it, or another --run folder"
        )
    return recipe.as_old_as(saved[0])


LOG_FILE, PLOT_FILE = "log.jsonl", "losses.png"
PROCESSOR_S = "processor_s"
"""In a line: the processor seconds of the run so far, those of all threads, over all its calls."""
BETWEEN = "between_ticks"
"""Marks a line that was written because time had passed, and not because a tick was due."""


def append_line(run: Path, line: dict[str, Any]) -> None:
    """Add one line to the log."""
    with (run / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_log(run: Path, *, between: bool = False) -> list[dict[str, Any]]:
    """Return the log's complete lines, one a tick, and those `between` them; what a kill cut is left out."""
    lines = []
    path = run / LOG_FILE
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            line = json.loads(text)
            if not isinstance(line, dict) or type(line.get("images_seen")) is not int:
                continue
            if between or not line.get(BETWEEN):
                lines.append(line)
    return lines


def cut_log(run: Path, *, images_seen: int) -> None:
    """Drop the lines beyond `images_seen`: a resumed run writes them again."""
    kept = [line for line in read_log(run, between=True) if line["images_seen"] <= images_seen]
    write_text(run / LOG_FILE, "".join(json.dumps(line) + "\n" for line in kept))


def plot_losses(run: Path) -> None:
    """Draw both losses and the mean logits over images seen to `losses.png`, once there is a line."""
    lines = read_log(run, between=True)
    if not lines:
        return
    from matplotlib.figure import Figure  # only here: its import takes a second

    figure = Figure(figsize=(9, 4), layout="constrained")
    images = [line["images_seen"] for line in lines]
    panels = (
        ("loss", {"discriminator": "discriminator_loss", "generator": "generator_loss"}),
        ("mean logit", {"real": "real_logit", "generated": "fake_logit"}),
    )
    for axes, (title, curves) in zip(figure.subplots(1, 2), panels, strict=True):
        for label, key in curves.items():
            axes.plot(images, [line[key] for line in lines], label=label)
        axes.set(xlabel="images seen", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_path(run / PLOT_FILE) as partial:
        figure.savefig(partial, format="png", dpi=100)


@dataclass(frozen=True)
class TrainReport:
    """How a run ended."""

    run: Path
    images_seen: int
    steps: int
    stopped_by: str
    """`images`, `budget`, `diverged`, `out-of-memory` or the name of a signal, as `SIGTERM`."""
    seconds: float
    rollbacks: int
    failed: tuple[str, ...] = ()
    """A line where what was learned could not be written, and the generator on disk is an older one."""

    @property
    def trained_something(self) -> bool:
        """Whether there was time and memory for a single step, in this call or before it."""
        return self.steps > 0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "images_seen": self.images_seen,
            "steps": self.steps,
            "stopped_by": self.stopped_by,
            "run": str(self.run),
            "seconds": round(self.seconds, 1),
            "rollbacks": self.rollbacks,
            "untrained": not self.trained_something,
        }

    def summary(self) -> str:
        """Say it in one line."""
        trained = "trained" if self.trained_something else "NOTHING WAS TRAINED:"
        return (
            f"{trained} {self.images_seen:,} images in {self.steps:,} steps, {self.seconds:.0f} s; "
            f"stopped by {self.stopped_by}; run: {self.run}"
        )
