"""Session of a supervised run, shared by its stages: clock, log, events, and a way to start children.

All times are of `time.monotonic()`, which parent and children share.
"""

import json
import math
import os
import shutil
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from dogsgan.console import STDERR, TERMINAL
from dogsgan.cores import usable_cores
from dogsgan.errors import DogsganError
from dogsgan.progress import say
from dogsgan.supervise.children import ERROR, TRACEBACK, Children, Ended, Log
from dogsgan.training.deadline import MARGIN as TRAINER_MARGIN
from dogsgan.training.deadline import Deadline
from dogsgan.training.interrupts import StopWish

WORKER = "dogsgan.supervise.worker"
STALL_S = 900.0  # without a sign of life, after which a child is killed
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


class Terminal:
    """The log of a run in a terminal: children write as if they were this process, bars included."""

    raw = True

    def say(self, text: str) -> None:
        """Print a line on stderr."""
        say(text)

    def relay(self, text: str, moving: bool) -> None:
        """Print on stderr what a child printed there."""
        STDERR.write(text)
        STDERR.flush()


class Session:
    """One supervised run. `events` are what was not as it should be, in words.

    `package` is a zip that children import this package from; None where they find it as it is.
    """

    def __init__(self, clock: Clock, log: Log, *, package: Path | None = None) -> None:
        self.clock, self.log, self._package = clock, log, package
        self.wish = StopWish()
        self.events: list[str] = []
        self._children = Children(log)

    def run(
        self,
        part: str,
        request: dict[str, Any],
        *,
        stop_at: float,
        gpus: Sequence[int] | None = None,
        forward_signals: bool = False,
        beside: Children | None = None,
    ) -> Ended:
        """Run one part of `worker` as a child, or training on several GPUs as one child for each.

        Args:
            stop_at: when it is asked to stop.
            gpus: those that it sees; None shows it whatever there is.
            forward_signals: whether a signal that this process got is passed on to it.
            beside: other children than the session's, beside which it runs: how slowly such a one starts
                tells nothing of the next.
        """
        several = len(gpus or ()) if part == "train" else 1
        ended = (beside or self._children).run(
            [sys.executable, "-m", WORKER, part, json.dumps(request)],
            environments=environments(self._package, gpus=gpus, processes=max(several, 1)),
            stop_at=stop_at,
            grace_s=self.clock.grace_s,
            stall_s=STALL_S,
            wish=self.wish if forward_signals else None,
        )
        if ended.ready_after_s is not None and beside is None:
            self.clock.note_startup(ended.ready_after_s)
        if not self.log.raw and (traceback := ended.told(TRACEBACK)):
            self.log.say(traceback)
        return ended

    def ask(self, part: str, request: dict[str, Any]) -> dict[str, Any]:
        """Run a part that has to succeed, without a limit of time, and return its answer.

        Raises:
            DogsganError: the user error that ended it.
            RuntimeError: anything else.
        """
        ended = self.run(part, request, stop_at=float("inf"))
        if ended.answer is None:
            raise_from(ended)
        return ended.answer

    def note(self, text: str) -> None:
        """Say something that has to stand in the last lines, too."""
        self.events.append(text)
        self.log.say(text)


def raise_from(ended: Ended) -> NoReturn:
    """Raise what ended a child: its user error as one, anything else with its traceback as the cause."""
    if error := ended.told(ERROR):
        raise DogsganError(error)
    traceback = ended.told(TRACEBACK)
    raise RuntimeError(ended.reason()) from (RuntimeError(traceback) if traceback else None)


def environments(
    package: Path | None, *, gpus: Sequence[int] | None, processes: int = 1
) -> list[dict[str, str]]:
    """Return the environment of each of the `processes` that begin together.

    They see these GPUs only (None: all). Of several each has the variables that `torchrun` sets.
    """
    paths = [str(package)] if package else []
    paths += filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    common = {
        **os.environ,
        **({} if gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}),
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        **_terminal(),
    }
    if processes == 1:
        return [common]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(max(1, usable_cores() // processes))),
    }
    ranks = [{"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]
    return [{**common, **shared, **rank} for rank in ranks]


def _terminal() -> dict[str, str]:
    """Return what tells a child, whose stderr is a pipe, that a terminal of this size is behind it."""
    if not STDERR.isatty():
        return {}
    size = shutil.get_terminal_size()
    return {TERMINAL: "1", "COLUMNS": str(size.columns), "LINES": str(size.lines)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
