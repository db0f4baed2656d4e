"""Session of a supervised run, shared by its stages: clock, log, events, and a way to start children."""

import json
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dogsgan.console import STDERR, TERMINAL
from dogsgan.cores import usable_cores
from dogsgan.errors import DogsganError
from dogsgan.progress import say
from dogsgan.supervise.children import ERROR, TRACEBACK, Children, Ended, Log
from dogsgan.supervise.clock import Clock
from dogsgan.training.interrupts import StopWish

WORKER = "dogsgan.supervise.worker"
STALL_S = 900.0


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

    Args:
        stall_s: seconds without a sign of life after which a child is killed.
        package: a zip that children import this package from; None where they find it as it is.
    """

    def __init__(
        self, clock: Clock, log: Log, *, stall_s: float = STALL_S, package: Path | None = None
    ) -> None:
        self.clock, self.log, self.stall_s, self._package = clock, log, stall_s, package
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
            stall_s=self.stall_s,
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
        assert ended.answer is not None
        return ended.answer

    def note(self, text: str) -> None:
        """Say something that has to stand in the last lines, too."""
        self.events.append(text)
        self.log.say(text)


def raise_from(ended: Ended) -> None:
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
