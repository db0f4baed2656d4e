"""What the steps of a kernel share: settings, clock, log, scratch folder, and a way to start children."""

import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from dogsgan.kernel.outputs import LOG_FILE, KernelLog, roomiest
from dogsgan.kernel.settings import Settings
from dogsgan.supervise import launch
from dogsgan.supervise.children import Children, Ended
from dogsgan.supervise.clock import Clock
from dogsgan.training.interrupts import STOP_SIGNALS, handle_signals

SCRATCHES = (Path("/kaggle/temp"), Path("/var/tmp"))
"""Where room for crops and checkpoints is looked for beside the temporary folder."""
MEMORY = Path("/dev/shm")
"""Looked at after those: what lies there takes memory."""


class Session:
    """One kernel's run. `events` are what was not as it should be, in words."""

    def __init__(self, settings: Settings, *, package: Path, started: float) -> None:
        self.settings, self._package = settings, package
        self.input, self.working = settings.root / "input", settings.root / "working"
        self.clock = Clock(started, settings.budget_s)
        self.log = KernelLog(self.working / LOG_FILE, started=started)
        self.events: list[str] = []
        self.stop_signal: str | None = None
        self.may_stop = False  # whether a wish to stop is for the child that runs
        self._children = Children(self.log.relay)
        self.scratches = self._make_scratches()
        self.scratch = self.scratches[0]

    def run(
        self,
        part: str,
        request: dict[str, Any],
        *,
        stop_at: float,
        gpus: Sequence[int] | None = (),
        beside: Children | None = None,
    ) -> Ended:
        """Run one part as a child that sees `gpus`; None shows it whatever there is.

        It may be one of other `Children`, `beside` those of the session: how slowly such a one starts tells
        nothing of the next.
        """
        command = launch.command(part, request, processes=len(gpus or ()) if part == "train" else 1)
        ended = (beside or self._children).run(
            command,
            environment=launch.environment(self._package, gpus=gpus),
            stop_at=stop_at,
            grace_s=self.clock.grace_s,
            stall_s=self.settings.stall_s,
        )
        if ended.ready_after_s is not None and beside is None:
            self.clock.note_startup(ended.ready_after_s)
        return ended

    def note(self, text: str) -> None:
        """Say something that has to stand in the last lines, too."""
        self.events.append(text)
        self.log.say(text)

    def listen(self) -> None:
        """From now on take every signal as the wish to stop training, and to sample all the same."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self.stop_signal is not None:  # a trainer that is asked twice ends without saving
                return
            self.stop_signal = signal.Signals(number).name
            if self.may_stop:
                self._children.ask_to_stop()
            self.log.say(f"{self.stop_signal}: training ends, and images.zip comes from what it has learned")

        handle_signals(STOP_SIGNALS, stop)

    def within(self, seconds: float) -> float:
        """Return when something that should take less than `seconds` is given up."""
        return time.monotonic() + min(seconds, 0.2 * self.settings.budget_s)

    def _make_scratches(self) -> list[Path]:
        """Make a folder wherever there is room, the roomiest first; the output folder only as the last."""
        asked = os.environ.get("TMPDIR")
        temporary = Path(tempfile.gettempdir())
        roomy = [temporary] if asked else [*roomiest([temporary, *SCRATCHES]), MEMORY]
        places = [*roomy, self.working / ".scratch"]
        return [place / f"dogsgan-{os.getpid()}" for place in places]
