"""Saves good states of a run, and returns to the last of them."""

import contextlib
import time
from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.progress import say
from dogsgan.training import checkpoint
from dogsgan.training.deadline import Deadline
from dogsgan.training.log import cut_log
from dogsgan.training.state import TrainingState

RATE_AFTER_ROLLBACK = 0.5  # each return to a good state halves both learning rates


def restore_latest(state: TrainingState, run: Path) -> None:
    """Load the newest checkpoint that can be read; those after it are set aside as `<images seen>.damaged`.

    Raises:
        DogsganError: none can be read; nothing is set aside then.
    """
    problems, damaged = [], []
    for folder in reversed(checkpoint.checkpoints(run)):
        try:
            checkpoint.load_checkpoint(folder, state)
        except DogsganError as error:
            problems.append(str(error))
            damaged.append(folder)
            continue
        for problem, bad in zip(problems, damaged, strict=True):
            say(f"{problem}; set aside, going on from {folder.name}")
            bad.rename(bad.with_suffix(".damaged"))
        return
    raise DogsganError(f"no checkpoint of {run} can be read ({problems[0]}): begin in another --run folder")


class Keeper:
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
        self._saved_at = self.state.images_seen
        with contextlib.suppress(DogsganError):  # a full disk: the log keeps a few lines too many
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
