"""Child processes that may crash, hang or overrun without harm to the process that started them.

Whatever uses a GPU or much time runs in a child with a watchdog. A child reports on stdout, with lines that
`answer` writes; what it prints otherwise is for people. Several processes that train together are children
that begin and end together.
"""

import codecs
import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dogsgan.training.interrupts import StopWish

ANSWER = "##dogsgan "  # begins a line that is for the parent
READY = {"ready": True}
ERROR, FAILURE, TRACEBACK = "error", "failure", "traceback"
"""Keys of an answer that tells of a user error, or of any other exception and where it was raised."""
POLL_S = 0.2
KEPT_LINES = 30
LAST_S = 2.0  # for the children of a parent that is interrupted, to remove what is half-written
KILL_S = 5.0  # one that a kill has not ended by then is stuck in a driver and left behind
UNWOUND = (-signal.SIGTERM, 130)  # exit statuses of a child that a signal ended
OTHERS_S = 15.0  # of several, for those that remain when one has ended


class Log(Protocol):
    """Takes what children print and what their supervisor says."""

    raw: bool
    """Whether `relay` gets what children print as it comes, with its carriage returns, or line by line."""

    def say(self, text: str) -> None:
        """Write a line."""

    def relay(self, text: str, moving: bool) -> None:
        """Write what a child printed; `moving`: a progress bar's state, which the next one replaces."""


@dataclass(frozen=True)
class Ended:
    """How a child ended: `done`, `failed`, `stalled` or `overran`; what it reported and said last."""

    how: str
    status: int | None  # None where it could not even be killed
    answers: tuple[dict[str, Any], ...]
    last_lines: tuple[str, ...]
    seconds: float
    ready_after_s: float | None = None  # seconds until it had imported everything

    @property
    def answer(self) -> dict[str, Any] | None:
        """The last thing it reported."""
        return next((each for each in reversed(self.answers) if not {ERROR, FAILURE} & each.keys()), None)

    def told(self, key: str) -> str | None:
        """Return what the first answer with `ERROR`, `FAILURE` or `TRACEBACK` says; None without one."""
        return next((str(each[key]) for each in self.answers if key in each), None)

    def reason(self) -> str:
        """Say in a few words how it ended."""
        if self.how == "stalled":
            return "it showed no sign of life and was killed"
        if self.how == "overran":
            return "it overran its time and was killed"
        if self.status is not None and self.status < 0:
            name = signal.Signals(-self.status).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        if told := self.told(ERROR) or self.told(FAILURE):
            return told[:400]
        errors = [line for line in self.last_lines if "rror" in line]
        last = (errors or [*self.last_lines, "it said nothing"])[-1]
        return f"exit status {self.status}: {last[:400]}"


def answer(value: dict[str, Any]) -> None:
    """Report `value` to the parent; what a child calls."""
    with contextlib.suppress(OSError):  # a parent that is gone: the work is worth finishing all the same
        os.write(1, f"\n{ANSWER}{json.dumps(value)}\n".encode())


def ready() -> None:
    """Tell the parent that everything is imported and the work begins; what a child calls."""
    answer(READY)


class Children:
    """Starts children, one or several together at a time. `log` None relays nothing."""

    def __init__(self, log: Log | None) -> None:
        self.log = log
        self._running: Sequence[subprocess.Popen[bytes]] = ()

    def run(
        self,
        command: list[str],
        *,
        environments: Sequence[dict[str, str]],  # one process for each
        stop_at: float,  # time.monotonic() when they are asked to stop
        grace_s: float,  # after which those that were asked to stop are killed
        stall_s: float,  # silence after which they are killed
        wish: StopWish | None = None,  # passed on to them
    ) -> Ended:
        """Run `command` to its end, or end it; the process groups of its processes are gone afterwards."""
        began = time.monotonic()
        output = _Output(self.log)
        self._running = running = [_started(command, environment) for environment in environments]
        threads = [thread for child in running for thread in output.listen_to(child)]
        try:
            how = _watch(running, output, stop_at=stop_at, grace_s=grace_s, stall_s=stall_s, wish=wish)
        except BaseException:  # Ctrl-C: a moment to remove what is half-written
            _send(running, "SIGTERM")
            _wait_for(running, LAST_S)
            raise
        finally:
            self.kill()
            self._running = ()
            for thread in threads:
                thread.join(timeout=KILL_S)
        status = _status_of(running)
        if how == "ended":
            how = "done" if status == 0 else "failed"
        ready_after_s = None if output.ready_at is None else output.ready_at - began
        said = tuple(output.answers), tuple(output.lines)
        return Ended(how, status, *said, time.monotonic() - began, ready_after_s)

    def kill(self) -> None:
        """Kill those that run, if any do, with everything that they started."""
        running = self._running
        _send(running, "SIGKILL")
        _wait_for(running, KILL_S)


class _Output:
    """What children print: their answers, their last lines, and when they were heard last."""

    def __init__(self, log: Log | None) -> None:
        self._log = log
        self.answers: list[dict[str, Any]] = []
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self.last_output_at = time.monotonic()
        self.ready_at: float | None = None

    def listen_to(self, child: "subprocess.Popen[bytes]") -> list[threading.Thread]:
        """Start the threads that read what a child prints."""
        raw = self._log.relay if self._log is not None and self._log.raw else None
        threads = [
            threading.Thread(target=self._listen, args=(child.stdout, self._take_answer, None), daemon=True),
            threading.Thread(target=self._listen, args=(child.stderr, self._take_line, raw), daemon=True),
        ]
        for thread in threads:
            thread.start()
        return threads

    def _listen(
        self, pipe: Any, take: Callable[[str, bool], None], raw: Callable[[str, bool], None] | None
    ) -> None:
        decoder, pending = codecs.getincrementaldecoder("utf-8")("replace"), ""
        with pipe:
            while chunk := os.read(pipe.fileno(), 1 << 16):
                self.last_output_at = time.monotonic()
                text = decoder.decode(chunk)
                if raw is not None:
                    raw(text, False)
                lines = (pending + text).splitlines(keepends=True)
                pending = lines.pop() if lines and not lines[-1].endswith(("\n", "\r")) else ""
                for line in lines:
                    take(line.rstrip(), line.endswith("\r"))
        if pending:
            take(pending.rstrip(), False)

    def _take_answer(self, line: str, moving: bool) -> None:
        if not line.startswith(ANSWER):
            self._take_line(line, moving)
            return
        with contextlib.suppress(ValueError):
            value = json.loads(line.removeprefix(ANSWER))
            if value != READY:
                self.answers.append(value)
            elif self.ready_at is None:
                self.ready_at = time.monotonic()

    def _take_line(self, line: str, moving: bool) -> None:
        if not line.strip():
            return
        if not moving:
            self.lines.append(line)
        if self._log is not None and not self._log.raw:
            self._log.relay(line, moving)


def _started(command: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,  # its end tells a child that this process is gone
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # Windows, for CTRL_BREAK_EVENT
    )


def _watch(
    running: "Sequence[subprocess.Popen[bytes]]",
    output: _Output,
    *,
    stop_at: float,
    grace_s: float,
    stall_s: float,
    wish: StopWish | None,
) -> str:
    asked, passed_on = False, None
    while not _wait_for(running, POLL_S):
        now = time.monotonic()
        if any(child.poll() not in (None, 0) for child in running):
            _wait_for(running, OTHERS_S)  # they notice it themselves, and say so
            break
        if wish is not None and wish.signal_name not in (None, passed_on):
            passed_on = wish.signal_name
            _send(running, str(passed_on))
        if not asked and now >= stop_at:
            _send(running, "SIGTERM")
            asked = True
        if now >= stop_at + grace_s:
            return "overran"
        if now - output.last_output_at > stall_s:
            return "stalled"
    return "overran" if asked and _status_of(running) in UNWOUND else "ended"


def _wait_for(running: "Sequence[subprocess.Popen[bytes]]", seconds: float) -> bool:
    """Wait until all have ended, `seconds` at most; return whether they have."""
    ends_at = time.monotonic() + seconds
    for child in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(timeout=max(0.0, ends_at - time.monotonic()))
    return all(child.poll() is not None for child in running)


def _status_of(running: "Sequence[subprocess.Popen[bytes]]") -> int | None:
    """Return the exit status that tells most: a user error, a signal, any other failure, success."""
    found = [child.poll() for child in running]
    if None in found:
        return None
    statuses = [status for status in found if status]
    return next((status for status in statuses if status == 2), min(statuses, default=0))


def _send(running: "Sequence[subprocess.Popen[bytes]]", name: str) -> None:
    """Send a signal to the process group of each."""
    for child in running:
        with contextlib.suppress(OSError, ValueError):
            if hasattr(os, "killpg"):
                os.killpg(child.pid, getattr(signal, name))
            elif name == "SIGKILL":
                child.kill()
            else:  # Windows
                child.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
