"""Saves good states of a run, hands them to the other machines that train it, and goes back to the last one.

Process 0 writes a run. The folder that each other machine has gets copies of the checkpoints, of the log and
of the generators, so that the run goes on from any of them, whichever machine is lost.
"""

import time
from collections.abc import Iterable
from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path
from dogsgan.models.generator_file import BEST_GENERATOR_FILE, GENERATOR_FILE
from dogsgan.progress import optional, say
from dogsgan.training import checkpoint
from dogsgan.training.deadline import Deadline
from dogsgan.training.judging import BEST_FIGURES_FILE
from dogsgan.training.run_folder import LOG_FILE, RECIPE_FILE, checkpoints, cut_log, folder_of
from dogsgan.training.state import RATE_AFTER_ROLLBACK, AveragedGenerator, TrainingState

BESIDE = (RECIPE_FILE, LOG_FILE, GENERATOR_FILE, BEST_GENERATOR_FILE, BEST_FIGURES_FILE)
"""What goes along with a checkpoint, as far as it is there."""


def restore_latest(state: TrainingState, run: Path) -> None:
    """Load the newest checkpoint that can be read; those after it are set aside as `<images seen>.damaged`.

    Of several processes the first on the machine that has it loads it, and the others what is handed to them.

    Raises:
        DogsganError: none can be read; nothing is set aside then.
    """
    group = state.group
    problems: list[str] = []
    damaged: list[tuple[str, Path]] = []
    waiting = checkpoints(run) if group.leads_node else []
    while True:
        places = group.all_gather(int(waiting[-1].name) if waiting else -1)
        newest = max(places)
        if newest < 0:
            raise DogsganError(
                f"no checkpoint of {run} can be read ({problems[0]}): begin in another --run folder"
            )
        source, problem = places.index(newest), None
        if group.share.rank == source:
            try:
                checkpoint.load_checkpoint(waiting[-1], state)
            except DogsganError as error:
                problem = str(error)
                damaged.append((problem, waiting.pop()))
        problem = group.broadcast(problem, source=source)
        if problem is None:
            break
        problems.append(problem)
    for line, folder in damaged:
        say(f"{line}; set aside, going on from {newest:09d}")
        folder.rename(folder.with_suffix(".damaged"))
    with group.refuses_together():
        hand_over(run, newest, state, source=source)
    with group.refuses_together():
        if group.share.rank != source:
            checkpoint.load_checkpoint(folder_of(run, newest), state)


def hand_over(run: Path, images_seen: int, state: TrainingState, *, source: int = 0) -> None:
    """Copy the checkpoint of `images_seen` images from the machine of process `source` to all others.

    Raises:
        DogsganError: this machine has no room for it. The exchange is over then.
    """
    group, folder = state.group, folder_of(run, images_seen)
    if not (group.spans_nodes and group.leads_node):
        return
    files: list[dict[str, bytes]] = []
    if group.share.rank == source:
        files = [_contents(folder.iterdir()), _contents(run / name for name in BESIDE)]
    saved, beside = group.broadcast_to_nodes(files, source=source)
    if _contents(folder / name for name in saved) != saved:
        with atomic_path(folder) as partial:
            partial.mkdir()
            for name, content in saved.items():
                (partial / name).write_bytes(content)
    for name, content in beside.items():
        if _contents([run / name]) != {name: content}:  # the machines may share one folder, too
            with atomic_path(run / name) as partial:
                partial.write_bytes(content)
    checkpoint.drop_old_checkpoints(run, keep=state.recipe.training.keep_checkpoints)


def _contents(paths: Iterable[Path]) -> dict[str, bytes]:
    """Return what is in those files that are there, by name."""
    return {path.name: path.read_bytes() for path in paths if path.is_file()}


class CheckpointManager:
    """Saves good states and returns to them; of several processes the first writes, all return together."""

    def __init__(self, state: TrainingState, run: Path, deadline: Deadline) -> None:
        self.state, self.run, self.deadline = state, run, deadline
        saved = bool(checkpoints(run)) if state.group.is_main else False
        self._saved_at = state.group.broadcast(state.images_seen if saved else -1)
        self._tried_at = self._saved_at
        self.failed: tuple[str, ...] = ()
        """A line where the last generator could not be written."""

    def has_saved(self) -> bool:
        """Return whether there is a checkpoint to return to."""
        return self._saved_at >= 0

    def is_due(self) -> bool:
        interval = self.state.recipe.training.checkpoint_images
        return self.state.images_seen // interval > max(self._tried_at, 0) // interval

    def save(self, published: AveragedGenerator | None = None) -> None:
        """Write checkpoint and generator; a disk that is full costs the checkpoint, not the run.

        The generator is the average of the recipe's half-life, or the one that is to be `published`. It alone
        may still fit; a checkpoint is tried again when the next is due.
        """
        self._tried_at, self.failed = self.state.images_seen, ()
        if self.state.group.is_main:
            self._write(published or self.state.averaged)
        self._saved_at = self.state.group.broadcast(self._saved_at)
        if self._saved_at == self.state.images_seen:
            try:
                hand_over(self.run, self._saved_at, self.state)
            except DogsganError as error:
                say(f"no copy of the checkpoint at {self._saved_at:,} images on this machine: {error}")

    def _write(self, published: AveragedGenerator) -> None:
        state, began = self.state, time.monotonic()
        try:
            folder = folder_of(self.run, state.images_seen)
            if state.images_seen != self._saved_at or not folder.is_dir():  # somebody may have removed it
                checkpoint.save_checkpoint(state, self.run)
                self._saved_at = state.images_seen
            checkpoint.publish_generator(folder, self.run, published, state)
        except DogsganError as error:
            if not (self.run / GENERATOR_FILE).exists():
                raise
            line = f"checkpoint at {state.images_seen:,} images not written: {error}"
            if self._publishes_alone():
                say(f"{line} (its generator is)")
            else:
                self.failed = (f"{line} (nor is its generator)",)
                say(*self.failed)
        self.deadline.note_saving(time.monotonic() - began)

    def _publishes_alone(self) -> bool:
        try:
            checkpoint.save_averaged(self.state, self.run / GENERATOR_FILE)
        except DogsganError:
            return False
        return True

    def give_up_to_last_save(self) -> None:
        """Have the state's counts say what is on disk, without touching its device.

        A GPU that waits for a process which is gone never finishes what is queued on it.
        """
        state, training = self.state, self.state.recipe.training
        state.images_seen = max(self._saved_at, 0)
        state.steps = state.images_seen // (training.batch_size * training.discriminator_steps)
        self._cut_log()

    def restore(self) -> None:
        """Go back to the last good state."""
        restore_latest(self.state, self.run)
        self._saved_at = self._tried_at = self.state.images_seen
        self._cut_log()

    def _cut_log(self) -> None:
        if self.state.group.is_main:
            with optional("the removal of later lines from the log"):  # a full disk, say
                cut_log(self.run, images_seen=self.state.images_seen)

    def roll_back(self) -> bool:
        """Go back with lower rates and other noise; return False when that was done often enough."""
        state, rollbacks = self.state, self.state.rollbacks + 1
        bad_at = state.images_seen
        self.restore()
        if rollbacks > state.recipe.training.max_rollbacks:
            state.group.say(
                f"training diverged again at {bad_at:,} images: ending with the generator of "
                f"{state.images_seen:,}"
            )
            return False
        state.rollbacks = rollbacks
        scale = RATE_AFTER_ROLLBACK**rollbacks
        state.random.manual_seed(state.recipe.training.seed + 1 + rollbacks * 1_000_003)
        state.group.say(
            f"training diverged at {bad_at:,} images: back to {state.images_seen:,} with {scale:g} × the "
            f"learning rates ({rollbacks} of {state.recipe.training.max_rollbacks} times)"
        )
        return True
