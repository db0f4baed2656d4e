"""Run a part of the kernel as a child process that may crash, hang or overrun without harm to the rest.

The kernel's main process never touches a GPU; everything that does is started here, with a watchdog. A child
reports with lines that `answer` writes; everything else it prints is for people.
"""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ANSWER = "##dogsgan "  # begins a line that is for the parent
READY = {"ready": True}
POLL_S = 0.2
KEPT_LINES = 30

Relay = Callable[[str, bool], None]
"""Takes a line that a child printed, and whether it is a bar that moves."""


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
        return self.answers[-1] if self.answers else None

    def reason(self) -> str:
        """Say in a few words how it ended."""
        if self.how == "stalled":
            return "it showed no sign of life and was killed"
        if self.how == "overran":
            return "it overran its time and was killed"
        if self.status is not None and self.status < 0:
            name = signal.Signals(-self.status).name
            return f"killed by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")
        errors = [line for line in self.last_lines if "rror" in line and "torch/distributed" not in line]
        last = (errors or [*self.last_lines, "it said nothing"])[-1]
        return f"exit status {self.status}: {last[:400]}"


@dataclass
class _Listener:
    """Reads what a child prints, in a thread."""

    relay: Relay
    answers: list[dict[str, Any]] = field(default_factory=list)
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_LINES))
    heard_at: float = field(default_factory=time.monotonic)
    ready_at: float | None = None

    def listen(self, pipe: int) -> None:
        pending = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(pipe, 1 << 16):
                self.heard_at = time.monotonic()
                lines = (pending + chunk).splitlines(keepends=True)
                pending = b"" if lines[-1].endswith((b"\n", b"\r")) else lines.pop()
                for line in lines:
                    self._take(line)
        if pending:
            self._take(pending)

    def _take(self, raw: bytes) -> None:
        text = raw.decode(errors="replace").rstrip()
        if text.startswith(ANSWER):
            with contextlib.suppress(ValueError):
                value = json.loads(text.removeprefix(ANSWER))
                if value == READY:
                    self.ready_at = time.monotonic()
                else:
                    self.answers.append(value)
        elif text.strip():
            moving = raw.endswith(b"\r")
            if not moving:
                self.lines.append(text)
            self.relay(text, moving)


def answer(value: dict[str, Any]) -> None:
    """Report `value` to the parent; what a child calls."""
    with contextlib.suppress(OSError):  # a parent that is gone: the work is worth finishing all the same
        os.write(1, f"\n{ANSWER}{json.dumps(value)}\n".encode())


def ready() -> None:
    """Tell the parent that everything is imported and the work begins; what a child calls."""
    answer(READY)


class Children:
    """Starts children one at a time, and passes a wish to stop on to the one that runs."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self._running: subprocess.Popen[bytes] | None = None

    def run(
        self,
        command: list[str],
        *,
        environment: dict[str, str],
        stop_at: float,  # time.monotonic() when it is asked to stop
        grace_s: float,  # after which one that was asked to stop is killed
        stall_s: float,  # silence after which it is killed
    ) -> Ended:
        """Run `command` to its end, or end it; its whole process group is gone afterwards."""
        began = time.monotonic()
        reader, writer = os.pipe()
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            env=environment,
            start_new_session=True,
        )
        os.close(writer)
        self._running = child
        listener = _Listener(self.relay)
        thread = threading.Thread(target=listener.listen, args=(reader,), daemon=True)
        thread.start()
        how = _watch(child, listener, stop_at=stop_at, grace_s=grace_s, stall_s=stall_s)
        _signal_group(child, signal.SIGKILL)  # whatever it left behind
        self._running = None
        thread.join(timeout=5.0)
        if not thread.is_alive():
            os.close(reader)
        status = child.poll()
        if how == "ended":
            how = "done" if status == 0 else "failed"
        ready_at = listener.ready_at
        return Ended(
            how,
            status,
            tuple(listener.answers),
            tuple(listener.lines),
            time.monotonic() - began,
            None if ready_at is None else ready_at - began,
        )

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the child that runs, if one does."""
        if self._running is not None:
            _signal_group(self._running, signal.SIGTERM)

    def kill(self) -> None:
        """Kill the child that runs, if one does."""
        if self._running is not None:
            _signal_group(self._running, signal.SIGKILL)


def _watch(
    child: "subprocess.Popen[bytes]", listener: _Listener, *, stop_at: float, grace_s: float, stall_s: float
) -> str:
    asked = False
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = child.wait(timeout=POLL_S)
            return "overran" if asked and status == -signal.SIGTERM else "ended"
        now = time.monotonic()
        if not asked and now >= stop_at:
            _signal_group(child, signal.SIGTERM)
            asked = True
        if now >= stop_at + grace_s:
            _kill(child)
            return "overran"
        if now - listener.heard_at > stall_s:
            _kill(child)
            return "stalled"


def _kill(child: "subprocess.Popen[bytes]") -> None:
    _signal_group(child, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # stuck in a driver: left behind
        child.wait(timeout=5.0)


def _signal_group(child: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)
