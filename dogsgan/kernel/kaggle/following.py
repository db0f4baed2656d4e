"""The state of a run on Kaggle, and its log until it ends."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError, printable
from dogsgan.kernel.kaggle.client import Kaggle
from dogsgan.kernel.kaggle.errors import PassingTroubleError
from dogsgan.kernel.kaggle.metadata import KernelRef, resolve
from dogsgan.kernel.kaggle.planning import Plan
from dogsgan.progress import say

FINISHED = ("complete", "failed", "cancelled")
POLL_S = 20.0
PATIENCE_S = 3600.0
"""How long Kaggle may be out of reach while a run is followed: the run goes on meanwhile."""
LAST_LINES = 5


@dataclass(frozen=True)
class KernelState:
    """How the newest run of a kernel stands."""

    kernel: str
    version: int | None
    """The newest version's number; None where Kaggle does not tell."""
    status: str
    """queued, running, cancelling, complete, failed or cancelled."""
    message: str
    """Kaggle's reason for a failure, if it gives one."""
    log: tuple[str, ...]
    """The log's last lines."""

    @property
    def finished(self) -> bool:
        """Whether the run has ended, well or not."""
        return self.status in FINISHED

    @property
    def ok(self) -> bool:
        """False for a run that ended without completing."""
        return self.status not in ("failed", "cancelled")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "kernel": self.kernel,
            "version": self.version,
            "status": self.status,
            "message": self.message,
            "log": list(self.log),
        }

    def summary(self) -> str:
        """Return a line for people, and the log's last lines."""
        lines = [f"{self.headline()}{': ' + self.message if self.message else ''}"]
        return "\n".join([*lines, *(f"  | {line}" for line in self.log)])

    def headline(self) -> str:
        """Return which run it is and how it stands."""
        version = "" if self.version is None else f" version {self.version}"
        return f"{self.kernel}{version} {'is ' * (self.status != 'failed')}{self.status}"

    def require_complete(self) -> None:
        """Refuse to go on without a complete run.

        Raises:
            DogsganError: it still runs, or failed, or was cancelled; with the last lines of its log.
        """
        if self.status == "complete":
            return
        after = (
            "mend that, then push it again"
            if self.finished
            else f"wait (`dogsgan kernel status {self.kernel} --follow`)"
        )
        reason = f" ({self.message})" if self.message else ""
        last = f"; its last lines: {' ⏎ '.join(self.log)}" if self.log else ""
        raise DogsganError(f"{self.headline()}{reason}: {after}{last}")


def status(kernel: str | Path, *, follow: bool = False) -> KernelState:
    """Return how the newest run of a kernel (`USER/SLUG` or its folder) stands; `follow` waits for its end.

    Raises:
        DogsganError: Kaggle does not tell.
    """
    ref, _ = resolve(kernel)
    kaggle = Kaggle.connect()
    return follow_run(kaggle, ref) if follow else state_of(kaggle, ref)


def plan_status(kernel: str | Path) -> Plan:
    """Return what `status` would send."""
    ref, _ = resolve(kernel)
    return Plan(state_calls(ref), "with --follow, asked again until the run has ended")


def state_calls(ref: KernelRef) -> tuple[tuple[str, dict[str, Any]], ...]:
    """Return the calls that `state_of` makes."""
    return tuple((name, {"kernel": str(ref)}) for name in ("get_kernel", "kernels_status", "kernels_logs"))


def state_of(kaggle: Kaggle, ref: KernelRef) -> KernelState:
    """Ask how the newest run stands."""
    version = kaggle.newest_version(ref)
    state, message = kaggle.status(ref)
    return KernelState(str(ref), version, state, message, _last_lines(kaggle, ref))


def _last_lines(kaggle: Kaggle, ref: KernelRef) -> tuple[str, ...]:
    """Return the end of the log; nothing where there is none yet, for the state is known all the same."""
    try:
        return tuple(log_lines(kaggle.log(ref))[-LAST_LINES:])
    except DogsganError:
        return ()


def follow_run(
    kaggle: Kaggle,
    ref: KernelRef,
    *,
    fresh: bool = False,
    show: Callable[[str], None] = say,
) -> KernelState:
    """Show the log of the newest run until it has ended; return how it ended.

    `fresh` says that the run was started just now: an end is believed only when it is seen twice, for the
    first answer may still be about the run before. Passing trouble is waited out for `PATIENCE_S`.

    Raises:
        DogsganError: Kaggle refuses, or stays out of reach.
    """
    log = _FollowedLog(kaggle, ref, show)
    answered = time.monotonic()
    seen = ""
    while True:
        try:
            state, _ = kaggle.status(ref)
            answered = time.monotonic()
            if state != seen:
                show(f"{ref} is {state}")
            if state in FINISHED and (state == seen or not fresh):
                log.show_new()
                return state_of(kaggle, ref)
            seen = state
            if state == "running":
                log.show_new()
        except PassingTroubleError as error:
            if time.monotonic() - answered > PATIENCE_S:
                raise DogsganError(f"{error}; the run on Kaggle goes on meanwhile") from error
            show(f"still following {ref}: {error}")
        time.sleep(POLL_S)


class _FollowedLog:
    """Shows a log that is sent from its beginning each time, every piece once."""

    def __init__(self, kaggle: Kaggle, ref: KernelRef, show: Callable[[str], None]) -> None:
        self._kaggle = kaggle
        self._ref = ref
        self._show = show
        self._shown = 0

    def show_new(self) -> None:
        """Show what is new until the run or the connection ends. A log that cannot be had is no failure."""
        try:
            for index, piece in enumerate(self._kaggle.log_stream(self._ref)):
                if index < self._shown:
                    continue
                self._shown = index + 1
                for line in _shown_lines(piece):
                    self._show(f"  | {line}")
        except DogsganError:
            return


def log_lines(stored: str) -> list[str]:
    """Return the lines of a stored log: JSON with the pieces that were printed, or plain text."""
    try:
        pieces = json.loads(stored)
        text = "".join(str(piece["data"]) for piece in pieces)
    except (ValueError, TypeError, KeyError, RecursionError):
        text = stored
    return _shown_lines(text)


def _shown_lines(text: str) -> list[str]:
    """Return the lines that are not blank, without what would steer a terminal; a bar's states are lines."""
    return [printable(line.expandtabs(4)) for line in text.splitlines() if line.strip()]
