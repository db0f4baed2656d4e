"""The training loop: from a crop set and a recipe to a run folder with an averaged generator."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.device import pick_device
from dogsgan.errors import DogsganError
from dogsgan.grids import save_grid
from dogsgan.progress import progress_bar, say
from dogsgan.training import checkpoint
from dogsgan.training.compiling import compile_networks
from dogsgan.training.deadline import Deadline
from dogsgan.training.ema import to_uint8, with_own_statistics
from dogsgan.training.interrupts import listen_for_stop
from dogsgan.training.log import append_line, cut_log, plot_losses
from dogsgan.training.losses import build_loss
from dogsgan.training.state import TrainingState
from dogsgan.training.step import METERS, train_step

READ_INTERVAL_S = 1.0  # how often the host waits for the device to read losses
EXPLODED = 1e4  # a loss beyond this is no training any more
RATE_AFTER_ROLLBACK = 0.5  # each return to a good state halves both learning rates
GRID_ROWS, GRID_COLUMNS = 8, 10
GRID_STATISTICS_IMAGES = 512


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
    finishing_s: Callable[[nn.Module], float]
    | None = None,  # measures what follows training, for a generator
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
    state = _open_run(recipe, crop_set, run, resume=resume, device=pick_device(device))
    if recipe.training.compile:
        compile_networks(state.generator, state.discriminator, device=state.device)
    keeper = _Keeper(state, run, deadline)
    if not checkpoint.checkpoints(run):
        keeper.save()  # something to return to, and something to sample, from the first second
    loss = build_loss(recipe.training)
    total = images if images is not None else None
    if finishing_s is not None:
        deadline.note_finishing(finishing_s(state.averaged.module))

    with (
        listen_for_stop() as wish,
        progress_bar(description="train", total=total, initial=state.images_seen) as bar,
    ):
        ticker = _Ticker(state, run, deadline, begun, bar)
        step_s = 0.0
        while True:
            # Stop where the images, the budget or somebody says so.
            if images is not None and state.images_seen >= images:
                stopped_by = "images"
                break
            if deadline.training_left_s() < step_s:
                stopped_by = "budget"
                break
            if wish.signal_name is not None:
                stopped_by = wish.signal_name
                break

            # Train.
            step_began = time.monotonic()
            try:
                ticker.add(train_step(state, loss))
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                say(f"out of memory at {state.images_seen:,} images: ending with the last good generator")
                stopped_by = "out-of-memory"
                break
            step_s = time.monotonic() - step_began

            # Read the losses now and then, and return to the last good state if they are not losses any more.
            due = ticker.is_due(), keeper.is_due()
            if any(due) or time.monotonic() - ticker.last_read > READ_INTERVAL_S:
                good = ticker.read()
                if good and keeper.is_due():
                    good = state.is_finite()
                if not good and not keeper.roll_back():
                    stopped_by = "diverged"
                    break
                if not good:
                    ticker.restart()
                    continue
            if due[0]:
                ticker.tick()
                if finishing_s is not None:
                    deadline.note_finishing(finishing_s(state.averaged.module))
            if due[1]:
                keeper.save()

        # Leave everything that a later run, a sampler and a person need.
        if stopped_by in ("diverged", "out-of-memory"):
            keeper.restore()
            ticker.restart()
        elif not (ticker.read() and state.is_finite()):
            say("the last steps were no good: ending with the last good generator")
            keeper.restore()
            ticker.restart()
        if ticker.has_news():
            ticker.tick()
        keeper.save()
        plot_losses(run)
    seconds = time.monotonic() - begun
    return TrainReport(run, state.images_seen, state.steps, stopped_by, seconds, state.rollbacks)


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
    if begun_before and checkpoint.checkpoints(run):
        restore_latest(state, run)
        cut_log(run, images_seen=state.images_seen)
        say(f"going on with {run} at {state.images_seen:,} images")
    else:
        checkpoint.save_recipe(run, recipe, fingerprint=crop_set.fingerprint)
    return state


def restore_latest(state: TrainingState, run: Path) -> None:
    """Load the newest checkpoint that can be read.

    Raises:
        DogsganError: none can.
    """
    problems = []
    for folder in reversed(checkpoint.checkpoints(run)):
        try:
            checkpoint.load_checkpoint(folder, state)
        except DogsganError as error:
            problems.append(str(error))
            say(f"{error}; trying the one before")
            continue
        return
    raise DogsganError(f"no checkpoint of {run} can be read ({problems[0]}): begin in another --run folder")


class _Keeper:
    """Saves good states and returns to them."""

    def __init__(self, state: TrainingState, run: Path, deadline: Deadline) -> None:
        self.state, self.run, self.deadline = state, run, deadline
        self._saved_at = state.images_seen if checkpoint.checkpoints(run) else -1

    def is_due(self) -> bool:
        interval = self.state.recipe.training.checkpoint_images
        return self.state.images_seen // interval > max(self._saved_at, 0) // interval

    def save(self) -> None:
        """Write checkpoint and generator; a disk that is full costs the checkpoint, not the run."""
        state, began = self.state, time.monotonic()
        try:
            if state.images_seen != self._saved_at:
                folder = checkpoint.save_checkpoint(state, self.run)
                self._saved_at = state.images_seen
            else:
                folder = checkpoint.checkpoints(self.run)[-1]
            checkpoint.publish_generator(folder, self.run)
        except DogsganError as error:
            if not (self.run / checkpoint.GENERATOR_FILE).exists():
                raise
            say(f"checkpoint at {state.images_seen:,} images not written: {error}")
        self.deadline.note_saving(time.monotonic() - began)

    def restore(self) -> None:
        """Go back to the last good state."""
        restore_latest(self.state, self.run)
        cut_log(self.run, images_seen=self.state.images_seen)

    def roll_back(self) -> bool:
        """Go back with lower rates and other noise; return False when that was done often enough."""
        state, rollbacks = self.state, self.state.rollbacks + 1
        bad_at = state.images_seen
        self.restore()
        if rollbacks > state.recipe.training.max_rollbacks:
            say(
                f"training diverged again at {bad_at:,} images: ending with the generator of "
                f"{state.images_seen:,}"
            )
            return False
        state.rollbacks = rollbacks
        scale = RATE_AFTER_ROLLBACK**rollbacks
        state.set_rates(scale)
        state.random.manual_seed(state.recipe.training.seed + 1 + rollbacks * 1_000_003)
        say(
            f"training diverged at {bad_at:,} images: back to {state.images_seen:,} with {scale:g} × the "
            f"learning rates ({rollbacks} of {state.recipe.training.max_rollbacks} times)"
        )
        return True


class _Ticker:
    """Collects losses on the device, shows them, and writes the log and the sample grids."""

    def __init__(self, state: TrainingState, run: Path, deadline: Deadline, begun: float, bar: Any) -> None:
        self.state, self.run, self.deadline, self.begun, self.bar = state, run, deadline, begun, bar
        self.restart()

    def restart(self) -> None:
        """Forget what was collected: the state has changed under it."""
        self._sum = torch.zeros(len(METERS), device=self.state.device)
        self._totals = torch.zeros(len(METERS), dtype=torch.float64)
        self._count = self._unread = 0
        self._tick_images, self._tick_began = self.state.images_seen, time.monotonic()
        self.last_read = time.monotonic()
        self._show({})

    def add(self, values: torch.Tensor) -> None:
        self._sum += values
        self._unread += 1

    def is_due(self) -> bool:
        interval = self.state.recipe.training.tick_images
        return self.state.images_seen // interval > self._tick_images // interval

    def has_news(self) -> bool:
        return self._count > 0

    def read(self) -> bool:
        """Wait for the device, show the losses, and return whether they are still losses."""
        if self._unread:
            values = self._sum.cpu().double()
            self._sum.zero_()
            mean = values / self._unread
            self._totals += values
            self._count += self._unread
            self._unread = 0
            if not bool((mean.abs() < EXPLODED).all()):
                return False
            self._show(dict(zip(METERS, mean.tolist(), strict=True)))
        self.last_read = time.monotonic()
        return True

    def _show(self, values: dict[str, float]) -> None:
        shown = {}
        if values:
            shown = {"D": f"{values['discriminator_loss']:.3f}", "G": f"{values['generator_loss']:.3f}"}
            shown |= {f"γ{name}": f"{value:.3f}" for name, value in _gammas(self.state.generator).items()}
        left = self.deadline.training_left_s()
        if left < float("inf"):
            shown["left"] = f"{max(left, 0) / 60:.1f} min"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(self.state.images_seen - self.bar.n)

    def tick(self) -> None:
        """Write a line of the log and a grid of samples."""
        state, now = self.state, time.monotonic()
        means = (self._totals / max(self._count, 1)).tolist()
        line = {
            "images_seen": state.images_seen,
            "steps": state.steps,
            "elapsed_s": round(now - self.begun, 2),
            "images_per_second": round((state.images_seen - self._tick_images) / (now - self._tick_began), 2),
            **{name: round(value, 5) for name, value in zip(METERS, means, strict=True)},
            "gamma": {player: _gammas(getattr(state, player)) for player in ("generator", "discriminator")},
            "reserve_s": round(self.deadline.reserve_s, 1),
            "rollbacks": state.rollbacks,
        }
        try:
            append_line(self.run, line)
            _save_samples(state, self.run)
        except (OSError, DogsganError) as error:
            say(f"log or samples at {state.images_seen:,} images not written: {error}")
        self.restart()


def _gammas(network: nn.Module) -> dict[str, float]:
    """Return the weight γ of each attention layer by its map size."""
    return {
        name.split(".")[-2]: round(parameter.item(), 5)
        for name, parameter in network.named_parameters()
        if name.endswith(".gamma")
    }


def _save_samples(state: TrainingState, run: Path) -> None:
    """Draw the same noise and classes at every tick, by the averaged generator."""
    count = GRID_ROWS * GRID_COLUMNS
    model = with_own_statistics(
        state.averaged.module,
        z_dim=state.recipe.model.z_dim,
        class_count=state.class_count,
        images=GRID_STATISTICS_IMAGES,
    )
    z = torch.randn(count, state.recipe.model.z_dim, generator=torch.Generator().manual_seed(0)).to(
        state.device
    )
    labels = (torch.arange(count) * max(state.class_count, 1) // count).to(state.device)
    with torch.no_grad():
        pictures = to_uint8(model(z, labels))
    save_grid(pictures, run / "samples" / f"{state.images_seen:09d}.png", columns=GRID_COLUMNS)


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        sign in text for sign in ("out of memory", "can't allocate memory", "not enough memory")
    )
