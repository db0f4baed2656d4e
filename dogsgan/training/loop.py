"""The training loop: from a crop set and a recipe to a run folder with an averaged generator."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.device import fastest, is_out_of_memory, pick_device
from dogsgan.errors import DogsganError
from dogsgan.progress import progress_bar, say
from dogsgan.training import checkpoint
from dogsgan.training.compiling import compile_networks
from dogsgan.training.deadline import Deadline
from dogsgan.training.interrupts import listen_for_stop
from dogsgan.training.keeper import Keeper, restore_latest
from dogsgan.training.log import cut_log, plot_losses
from dogsgan.training.losses import build_loss
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step
from dogsgan.training.ticker import Ticker

Finishing: TypeAlias = Callable[[nn.Module], float]
"""Takes the averaged generator and returns the seconds that sampling it to the end will take."""

DIVERGED, OUT_OF_MEMORY = "diverged", "out-of-memory"
READ_INTERVAL_S = 1.0  # how often the host waits for the device to read losses


@dataclass(frozen=True)
class TrainReport:
    """How a run ended."""

    run: Path
    images_seen: int
    steps: int
    stopped_by: str
    """`images`, `budget`, `SIGTERM`, `SIGINT`, `diverged` or `out-of-memory`."""
    seconds: float
    rollbacks: int

    @property
    def trained_something(self) -> bool:
        """Whether memory sufficed for a single step."""
        return self.stopped_by != OUT_OF_MEMORY or self.steps > 0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "images_seen": self.images_seen,
            "steps": self.steps,
            "stopped_by": self.stopped_by,
            "run": str(self.run),
            "seconds": round(self.seconds, 1),
            "rollbacks": self.rollbacks,
        }

    def summary(self) -> str:
        """Say it in one line."""
        return (
            f"trained {self.images_seen:,} images in {self.steps:,} steps, {self.seconds:.0f} s; "
            f"stopped by {self.stopped_by}; run: {self.run}"
        )


def train(
    recipe: Recipe,
    crop_set: CropSet,
    run: Path,
    *,
    images: int | None = None,  # total of the run, resumed or not
    budget_s: float | None = None,  # seconds from `started` until everything after training is done, too
    started: float | None = None,  # time.monotonic() when the budget began; now if None
    resume: str = "auto",  # `auto` goes on where a run stands, `never` wants a fresh folder
    device: str = "auto",
    finishing_s: Finishing | None = None,  # measures what follows training
) -> TrainReport:
    """Train until the images or the budget run out, somebody asks to stop, or it cannot go on.

    Whatever ends it, the run folder holds the last good averaged generator as `generator.safetensors`.

    Raises:
        DogsganError: neither length is given; the run belongs to another recipe or data; the recipe cannot
        be built.
    """
    if images is None and budget_s is None:
        raise DogsganError("training needs a length: add --images N or --budget 9h")
    deadline = Deadline(budget_s, started=started)
    begun = time.monotonic()
    with listen_for_stop() as wish:
        state = _open_run(recipe, crop_set, run, resume=resume, device=pick_device(device))
        if recipe.training.compile:
            compile_networks(state.generator, state.discriminator, device=state.device)
        keeper = Keeper(state, run, deadline)
        if not checkpoint.checkpoints(run):
            keeper.save()  # something to return to, and something to sample, from the first second

        def measure_finishing() -> None:
            if finishing_s is not None and budget_s is not None:
                deadline.note_finishing(finishing_s(state.averaged.module))

        def reason_to_stop(step_s: float) -> str | None:
            if images is not None and state.images_seen >= images:
                return "images"
            if deadline.training_left_s() < step_s:
                return "budget"
            return wish.signal_name

        measure_finishing()
        with progress_bar(description="train", total=images, initial=state.images_seen) as bar:
            ticker = Ticker(state, run, deadline, begun, bar)
            with fastest():
                stopped_by = _train_until(reason_to_stop, state, keeper, ticker, measure_finishing)

            # Leave everything that a later run, a sampler and a person need.
            if stopped_by == OUT_OF_MEMORY or not (ticker.read() and state.is_finite()):
                keeper.restore()
                ticker.restart()
            if ticker.has_news():
                ticker.tick()
            keeper.save()
            _plot(run)
    seconds = time.monotonic() - begun
    return TrainReport(run, state.images_seen, state.steps, stopped_by, seconds, state.rollbacks)


def _train_until(
    reason_to_stop: Callable[[float], str | None],  # given the seconds of the last step
    state: TrainingState,
    keeper: Keeper,
    ticker: Ticker,
    measure_finishing: Callable[[], None],
) -> str:
    """Step until there is a reason to stop, and return it."""
    loss, step_s = build_loss(state.recipe.training), 0.0
    while not (reason := reason_to_stop(step_s)):
        try:
            # Train.
            step_began = time.monotonic()
            ticker.add(train_step(state, loss))
            step_s = time.monotonic() - step_began

            # Read the losses now and then; go back to the last good state if they are none any more.
            tick_due, save_due = ticker.is_due(), keeper.is_due()
            if tick_due or save_due or time.monotonic() - ticker.last_read > READ_INTERVAL_S:
                good = ticker.read() and (not save_due or state.is_finite())
                if not good:
                    rolled_back = keeper.roll_back()
                    ticker.restart()
                    if not rolled_back:
                        return DIVERGED
                    continue

            # Write what is due.
            if tick_due:
                ticker.tick()
                measure_finishing()
            if save_due:
                keeper.save()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            say(
                f"out of memory at {state.images_seen:,} images: ending with the last good generator; "
                "a smaller training.batch_size needs less"
            )
            return OUT_OF_MEMORY
    return reason


def _plot(run: Path) -> None:
    """Draw the losses; no plot is worth a run."""
    try:
        plot_losses(run)
    except (OSError, ImportError, KeyError, DogsganError) as error:
        say(f"losses.png not drawn: {error}")


def _open_run(
    recipe: Recipe, crop_set: CropSet, run: Path, *, resume: str, device: torch.device
) -> TrainingState:
    """Begin a run in an empty folder, or go on with the one that stands there."""
    begun_before = (run / checkpoint.RECIPE_FILE).exists()
    if begun_before and resume == "never":
        raise DogsganError(
            f"{run} already holds a run: choose another --run folder, or --resume auto to go on with it"
        )
    if begun_before:
        checkpoint.check_same_recipe(run, recipe, fingerprint=crop_set.fingerprint)
    if not len(crop_set):
        raise DogsganError(f"the crop set {crop_set.path} is empty: prepare it from a source with pictures")
    if crop_set.size_px != recipe.data.size_px:
        raise DogsganError(
            f"the crop set {crop_set.path} has pictures of {crop_set.size_px} px and the recipe wants "
            f"{recipe.data.size_px}: prepare it with --size {recipe.data.size_px}"
        )
    state = TrainingState(recipe, crop_set, device)
    run.mkdir(parents=True, exist_ok=True)
    checkpoint.sweep(run)
    if begun_before and checkpoint.checkpoints(run):
        restore_latest(state, run)
        cut_log(run, images_seen=state.images_seen)
        say(f"going on with {run} at {state.images_seen:,} images")
    else:
        checkpoint.save_recipe(run, recipe, fingerprint=crop_set.fingerprint)
    return state
