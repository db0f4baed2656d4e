"""The times at which each part of a supervised run has to end, so that the zip is there before the deadline.

All times are of `time.monotonic()`, which parent and children share.
"""

import math
import time
from dataclasses import dataclass

from dogsgan.training.deadline import MARGIN as TRAINER_MARGIN
from dogsgan.training.deadline import Deadline

MARGIN = 1.5  # on what sampling was measured to take: the machine may be slower hours later
SLACK_SHARE, MOST_SLACK_S = 0.1, 60.0  # of the budget, on top: a busy machine measures unevenly
STARTUPS = 3  # a child's start, mostly imports, is given three times what it took: it varies with the disk
CLOSING_SHARE, MOST_CLOSING_S = 0.04, 120.0  # of the budget, for saving the output after the zip
GRACE_SHARE, MOST_GRACE_S = 0.04, 10.0  # between asking a child to stop and killing it
SOFT_GRACE_SHARE = 0.02
EXIT_S = 4.0  # a trainer's last grid, plot and exit; a sampler's check


@dataclass
class Clock:
    """The budget of a run. What is not measured yet is assumed at its worst."""

    started: float
    budget_s: float
    """Infinite without a budget."""
    is_hard: bool = True
    """Whether the run is killed when the budget is over, as on Kaggle. Else less is kept back for the end."""
    startup_s: float = 20.0
    """Measured: from starting a child until it has imported everything. The slowest so far counts."""
    finishing_s: float = 0.0
    """Measured: sampling and zipping; on the CPU where the budget is hard."""
    _timed: bool = False

    @classmethod
    def of(cls, deadline: Deadline) -> "Clock":
        """Return the clock of a run that nothing kills at its deadline."""
        budget_s = math.inf if deadline.budget_s is None else deadline.budget_s
        return cls(deadline.started, budget_s, is_hard=False)

    def note_startup(self, seconds: float) -> None:
        """Take over a measured start of a child; the slowest counts."""
        self.startup_s = max(seconds, self.startup_s) if self._timed else seconds
        self._timed = True

    @property
    def grace_s(self) -> float:
        """Seconds between asking a child to stop and killing it."""
        return min(MOST_GRACE_S, (GRACE_SHARE if self.is_hard else SOFT_GRACE_SHARE) * self.budget_s)

    @property
    def ends_at(self) -> float:
        """The time at which the zip has to be there."""
        closing_s = min(MOST_CLOSING_S, CLOSING_SHARE * self.budget_s) if self.is_hard else 0.0
        return self.started + self.budget_s - closing_s

    @property
    def last_call_at(self) -> float:
        """The time at which the last attempt at a zip is given up: the very end of a hard budget."""
        return self.started + self.budget_s - self.grace_s - 1.0 if self.is_hard else math.inf

    @property
    def rescue_s(self) -> float:
        """Seconds that sampling in a fresh process takes: kept back whatever happens."""
        if not self.is_hard:
            return TRAINER_MARGIN * self.finishing_s + self.startup_s + EXIT_S
        slack_s = min(MOST_SLACK_S, SLACK_SHARE * self.budget_s)
        return MARGIN * self.finishing_s + slack_s + STARTUPS * self.startup_s + EXIT_S

    def training_stops_at(self, *, on_gpu: bool) -> float:
        """Return when a trainer that has not stopped by itself is asked to; it is killed `grace_s` later.

        On a GPU another process samples first, so the time for that stands before the rescue's.
        """
        first_try_s = STARTUPS * self.startup_s if on_gpu and self.is_hard else 0.0
        return self.ends_at - self.rescue_s - first_try_s - self.grace_s

    def training_budget_s(self, *, on_gpu: bool) -> float | None:
        """Return the budget that makes a trainer stop by itself a little before it would be asked to.

        It takes off what its own sampling will need by its own measurement. With a hard budget on a GPU that
        is for the first try; else it is the time measured here, which is not taken off twice.
        """
        if math.isinf(self.budget_s):
            return None
        twice_s = 0.0 if on_gpu and self.is_hard else TRAINER_MARGIN * self.finishing_s
        exit_s = self.grace_s + EXIT_S if self.is_hard else 0.0
        return self.training_stops_at(on_gpu=on_gpu) - exit_s + twice_s - self.started

    def first_try_stops_at(self) -> float:
        """Return when sampling on a GPU is given up for the CPU; never where the budget is not hard."""
        return self.ends_at - self.rescue_s - self.grace_s if self.is_hard else math.inf

    def within(self, seconds: float) -> float:
        """Return when something that should take less than `seconds` is given up."""
        return time.monotonic() + min(seconds, 0.2 * self.budget_s)
