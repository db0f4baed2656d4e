"""The planned length of a run in images, which its learning rates decay to."""

from dogsgan.training.deadline import Deadline
from dogsgan.training.state import TrainingState

MEASURED_SHARE = 0.03
"""Of the budget: how long the speed is measured before the length is planned from it."""


class LengthPlan:
    """Fixes the planned length once, from the budget and the speed so far, or from the images asked for.

    The length is part of the state, so that a resumed run keeps it whatever its own budget is.

    Args:
        images: total that the run was asked for; None for no limit.
    """

    def __init__(self, state: TrainingState, deadline: Deadline, *, images: int | None) -> None:
        self.state, self.deadline, self.images = state, deadline, images
        self._images_at_start, self._began = state.images_seen, deadline.clock()

    def fix(self) -> bool:
        """Fix the length if the recipe wants one and the speed is known; return whether that was just now."""
        state = self.state
        if state.planned_images or not state.recipe.training.lr_decay:
            return False
        state.planned_images = state.group.broadcast(self._length())
        if state.planned_images:
            state.group.say(f"planned length: {state.planned_images:,} images")
        return state.planned_images > 0

    def _length(self) -> int:
        """Return the images that the budget will last for, or 0 while the speed is not known well enough."""
        if self.deadline.budget_s is None:
            return self.images or 0
        seconds = self.deadline.clock() - self._began
        if seconds < MEASURED_SHARE * self.deadline.budget_s:
            return 0
        speed = (self.state.images_seen - self._images_at_start) / seconds
        length = self.state.images_seen + int(speed * max(self.deadline.training_left_s(), 0.0))
        return min(length, self.images or length)
