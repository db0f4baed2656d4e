"""When each part of a kernel has to be over, so that the zip is there in time even if the GPU dies last.

All times are of `time.monotonic()`, which parent and children share.
"""

import time
from dataclasses import dataclass

from dogsgan.training.deadline import MARGIN as TRAINER_MARGIN

MARGIN = 1.5  # on what sampling was measured to take: the machine may be slower hours later
SLACK_SHARE, MOST_SLACK_S = 0.1, 60.0  # of the budget, on top: a busy machine measures unevenly
STARTUPS = 3  # a child's start, mostly imports, is given three times what it took: it varies with the disk
CLOSING_SHARE, MOST_CLOSING_S = 0.04, 120.0  # of the budget, for saving the output after the zip
GRACE_SHARE, MOST_GRACE_S = 0.04, 10.0  # between asking a child to stop and killing it
EXIT_S = 4.0  # a trainer's last grid, plot and exit; a sampler's check


@dataclass
class Clock:
    """The budget of a kernel. What is not measured yet is assumed at its worst."""

    started: float
    budget_s: float
    startup_s: float = 20.0
    """Measured: from starting a child until it has imported everything. The slowest so far counts."""
    finishing_s: float = 0.0
    """Measured: sampling and zipping on the CPU."""
    _timed: bool = False

    def note_startup(self, seconds: float) -> None:
        """Take over a measured start of a child; the slowest counts."""
        self.startup_s = max(seconds, self.startup_s) if self._timed else seconds
        self._timed = True

    @property
    def grace_s(self) -> float:
        """Between asking a child to stop and killing it."""
        return min(MOST_GRACE_S, GRACE_SHARE * self.budget_s)

    @property
    def ends_at(self) -> float:
        """When the zip has to be there."""
        return self.started + self.budget_s - min(MOST_CLOSING_S, CLOSING_SHARE * self.budget_s)

    @property
    def last_call_at(self) -> float:
        """When the last attempt at a zip is given up: at the very end of the budget."""
        return self.started + self.budget_s - self.grace_s - 1.0

    @property
    def rescue_s(self) -> float:
        """What sampling on the CPU in a fresh process takes: kept back whatever happens."""
        slack_s = min(MOST_SLACK_S, SLACK_SHARE * self.budget_s)
        return MARGIN * self.finishing_s + slack_s + STARTUPS * self.startup_s + EXIT_S

    def training_stops_at(self, *, on_gpu: bool) -> float:
        """When a trainer that has not stopped by itself is asked to; it is killed `grace_s` later.

        On a GPU another process samples first, so the time for that stands before the rescue's.
        """
        first_try_s = STARTUPS * self.startup_s if on_gpu else 0.0
        return self.ends_at - self.rescue_s - first_try_s - self.grace_s

    def training_budget_s(self, *, on_gpu: bool) -> float:
        """Return the budget that makes a trainer stop by itself a little before it would be asked to.

        It takes off what its own sampling will need by its own measurement. On a GPU that is for the first
        try; on a CPU it is the rescue, so the same time, as measured here, is not taken off twice.
        """
        stops_at = self.training_stops_at(on_gpu=on_gpu) - self.grace_s - EXIT_S
        twice_s = 0.0 if on_gpu else TRAINER_MARGIN * self.finishing_s
        return stops_at + twice_s - self.started

    def first_try_stops_at(self) -> float:
        """When sampling on a GPU is given up for the CPU."""
        return self.ends_at - self.rescue_s - self.grace_s

    def left_s(self) -> float:
        """Return the seconds until the zip has to be there."""
        return self.ends_at - time.monotonic()
