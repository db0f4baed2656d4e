"""The time budget: when training has to stop so that what comes after it still fits."""

import os
import re
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from dogsgan.errors import DogsganError

MARGIN = 1.25  # on everything that was measured
FIXED_RESERVE_S = 2.0  # imports, the last log lines, closing the zip

_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> float:
    """Return the seconds that `9h`, `1h30m`, `45s` or `90` (seconds) stand for.

    Raises:
        DogsganError: it is no duration above zero.
    """
    compact = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        seconds = float(compact)
    elif re.fullmatch(r"(\d+(\.\d+)?[smhd])+", compact):
        parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", compact)
        seconds = sum(float(number) * _UNITS_S[unit] for number, unit in parts)
    else:
        seconds = 0.0
    if not 0 < seconds < 1e8:
        raise DogsganError(f"{text!r} is no duration: write 9h, 1h30m, 45m, 30s or a number of seconds")
    return seconds


def launched_s_ago() -> float:
    """Return how long ago the `torchrun` began that started this process; 0 without one, or not on Linux.

    It starts its processes anew when one is lost, and a budget goes on meanwhile.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 0.0
    try:
        fields = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")


class Deadline:
    """A budget that began at `started` (by its clock) and covers training and everything after it.

    Args:
        budget_s: seconds from `started` to the finished result; None for no limit.
        clock: what counts the seconds, None for `time.monotonic`. By another clock, such as
            `time.process_time`, the budget is that of training alone: nothing is kept back.
    """

    def __init__(
        self,
        budget_s: float | None,
        *,
        started: float | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.budget_s = budget_s
        self.clock = clock or time.monotonic
        self.keeps_back = clock is None
        self.started = self.clock() if started is None else started
        self._finishing_s: deque[float] = deque(maxlen=3)
        self._saving_s: deque[float] = deque(maxlen=3)

    def note_finishing(self, seconds: float) -> None:
        """Keep back what sampling and zipping were measured to need; the slowest of the last three counts."""
        self._finishing_s.append(seconds)

    def note_saving(self, seconds: float) -> None:
        """Keep back what a checkpoint was measured to need; the slowest of the last three counts."""
        self._saving_s.append(seconds)

    def check_length(self, images: int | None) -> None:
        """Refuse a training without an end: neither a budget nor `images`."""
        if images is None and self.budget_s is None:
            raise DogsganError("training needs a length: add --images N or --budget 9h")

    def left_s(self) -> float | None:
        """Return the seconds until the end of the budget; None without one."""
        return None if self.budget_s is None else self.started + self.budget_s - self.clock()

    @property
    def reserve_s(self) -> float:
        """Seconds kept back for what follows training."""
        if not self.keeps_back:
            return 0.0
        return (
            MARGIN * (max(self._finishing_s, default=0.0) + max(self._saving_s, default=0.0))
            + FIXED_RESERVE_S
        )

    def training_left_s(self) -> float:
        """Return the seconds that training may still use; infinite without a budget."""
        if self.budget_s is None:
            return float("inf")
        return self.started + self.budget_s - self.reserve_s - self.clock()
