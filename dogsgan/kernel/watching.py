"""Watches a rehearsed kernel from outside: its memory, its time, and what it says."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from dogsgan.progress import say

INTERVAL_S = 1.0


@dataclass(frozen=True)
class Watched:
    """How a rehearsed kernel ended: `exited`, `time` or `memory` (killed for it), and what it took."""

    ended: str
    status: int
    seconds: float
    peak_memory_bytes: int
    last_lines: tuple[str, ...]


def watch(
    process: "subprocess.Popen[bytes]", *, limit_s: float, memory_bytes: int, quiet: bool = False
) -> Watched:
    """Wait for a kernel; kill it with all its processes at the limit of time or memory, as Kaggle does."""
    began = time.monotonic()
    lines: deque[str] = deque(maxlen=60)
    reader = threading.Thread(target=_read, args=(process, lines, quiet), daemon=True)
    reader.start()
    peak, ended = 0, "exited"
    known: dict[int, int] = {}
    try:
        while process.poll() is None:
            family = _family(process.pid)
            known |= family
            used = sum(map(_memory, family))
            peak = max(peak, used)
            if used > memory_bytes or time.monotonic() - began > limit_s:
                ended = "memory" if used > memory_bytes else "time"
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=INTERVAL_S)
    finally:
        seconds = time.monotonic() - began
        _kill(process, known)
    reader.join(timeout=5.0)
    return Watched(ended, process.wait(), seconds, peak, tuple(lines))


def _read(process: "subprocess.Popen[bytes]", lines: "deque[str]", quiet: bool) -> None:
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip()
        lines.append(line)
        if not quiet:
            say(line)


def _kill(process: "subprocess.Popen[bytes]", known: dict[int, int]) -> None:
    """Kill what a kernel started and is still the same process; the kernel first, so it starts no more."""
    if process.poll() is None:
        process.kill()
    for pid, began in {**known, **_family(process.pid)}.items():
        with contextlib.suppress(OSError, IndexError, ValueError):
            if pid != process.pid and _parent_and_start(pid)[1] == began:
                os.kill(pid, signal.SIGKILL)


def _family(pid: int) -> dict[int, int]:
    """Return the processes below `pid`, itself included, each with when it was started (in ticks)."""
    children: dict[int, list[int]] = {}
    started: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                parent, started[int(entry.name)] = _parent_and_start(int(entry.name))
                children.setdefault(parent, []).append(int(entry.name))
    found: dict[int, int] = {}
    waiting = [pid]
    while waiting:
        current = waiting.pop()
        if current in started and current not in found:
            found[current] = started[current]
            waiting += children.get(current, [])
    return found


def _parent_and_start(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[1]), int(fields[19])


def _memory(pid: int) -> int:
    """Return a process's memory in bytes, what it shares counted by its share."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
