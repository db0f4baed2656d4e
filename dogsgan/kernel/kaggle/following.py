"""The state of a run on Kaggle, and its log until it ends."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError, printable
from dogsgan.kernel.kaggle.client import Kaggle
from dogsgan.kernel.kaggle.errors import TemporaryError
from dogsgan.kernel.kaggle.metadata import KernelRef, resolve
from dogsgan.progress import say

FINISHED = ("complete", "failed", "cancelled")
POLL_S = 20.0
PATIENCE_S = 3600.0  # how long Kaggle may be out of reach while a run is followed: the run goes on meanwhile
LAST_LINES = 5


@dataclass(frozen=True)
class KernelState:
    """How the newest run of a kernel stands."""

    kernel: str
    version: int | None  # the newest version's number; None where Kaggle does not tell
    status: str  # queued, running, cancelling, complete, failed or cancelled
    message: str  # Kaggle's reason for a failure, if it gives one
    log: tuple[str, ...]  # the log's last lines

    @property
    def ok(self) -> bool:
        """False for a run that ended without completing."""
        return self.status not in ("failed", "cancelled")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return a line for people, and the log's last lines."""
        head = f"{self.headline()}: {self.message}" if self.message else self.headline()
        return "\n".join([head, *(f"  | {line}" for line in self.log)])

    def headline(self) -> str:
        """Return which run it is and how it stands."""
        version = "" if self.version is None else f" version {self.version}"
        return f"{self.kernel}{version} {'is ' * (self.status != 'failed')}{self.status}"

    def require_complete(self) -> None:
        """Refuse to go on without a complete run.

        Raises:
            DogsganError: it still runs, or failed, or was cancelled; with the last lines of its log.
        """
        if self.status != "complete":
            wait = f"wait (`dogsgan kernel status {self.kernel} --follow`)"
            after = "fix that, then push it again" if self.status in FINISHED else wait
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


def state_of(kaggle: Kaggle, ref: KernelRef) -> KernelState:
    """Ask how the newest run stands. Its log may be missing: the state is known all the same."""
    version = kaggle.newest_version(ref)
    state, message = kaggle.status(ref)
    found = KernelState(str(ref), version, state, message, ())
    with contextlib.suppress(DogsganError):
        found = replace(found, log=tuple(log_lines(kaggle.log(ref))[-LAST_LINES:]))
    return found


def follow_run(
    kaggle: Kaggle, ref: KernelRef, *, fresh: bool = False, show: Callable[[str], None] = say
) -> KernelState:
    """Show the log of the newest run until it has ended; return how it ended.

    `fresh` says that the run was started just now: an end is believed only when it is seen twice, because
    the first answer may still be about the run before. Temporary failures are waited out for `PATIENCE_S`.

    Raises:
        DogsganError: Kaggle refuses, or stays out of reach.
    """
    shown, seen, answered = 0, "", time.monotonic()
    while True:
        try:
            state, _ = kaggle.status(ref)
            answered = time.monotonic()
            if state != seen:
                show(f"{ref} is {state}")
            is_over = state in FINISHED and (state == seen or not fresh)
            if is_over or state == "running":
                shown = _show_log(kaggle, ref, show, after=shown)
            if is_over:
                return state_of(kaggle, ref)
            seen = state
        except TemporaryError as error:
            if time.monotonic() - answered > PATIENCE_S:
                raise DogsganError(f"{error}; the run on Kaggle goes on meanwhile") from error
            show(f"still following {ref}: {error}")
        time.sleep(POLL_S)


def _show_log(kaggle: Kaggle, ref: KernelRef, show: Callable[[str], None], *, after: int) -> int:
    """Show the pieces of the log after the first ones, until the run or the connection ends; count all.

    It is sent from its beginning each time. A log that cannot be had is no failure.
    """
    with contextlib.suppress(DogsganError):
        for index, piece in enumerate(kaggle.log_stream(ref)):
            if index >= after:
                after = index + 1
                for line in _shown_lines(piece):
                    show(f"  | {line}")
    return after


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
