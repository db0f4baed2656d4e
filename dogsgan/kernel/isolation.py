"""A rehearsed kernel's process: in Kaggle's folders, without network and this package, with Kaggle's limits.

Bubblewrap isolates it. Without that a folder stands for /kaggle and nothing is cut off: `MISSING` says so.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import dogsgan
from dogsgan.kernel.settings import BUDGET_VARIABLE, COUNT_VARIABLE, ROOT_VARIABLE
from dogsgan.progress import say

CORES = 2
PASSED_ON = ("OMP_NUM_THREADS", "LD_LIBRARY_PATH", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES")
OWN_FOLDERS = ("kaggle", "dev", "proc", "tmp")  # not the machine's
SCRATCH = ("/tmp", "/var/tmp", "/dev/shm")  # what a kernel may take for scratch
INTERVAL_S = 1.0
KEPT_LINES = 30
MISSING = (
    "bubblewrap (bwrap) is not installed or not allowed here: the network is not cut off, /kaggle is another "
    "folder, and its input is not write-protected"
)


@functools.cache
def can_isolate() -> bool:
    """Return whether bubblewrap is installed and allowed to begin namespaces."""
    if shutil.which("bwrap") is None:
        return False
    probe = [*_namespaces(), sys.executable, "-I", "-c", ""]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def start(
    kaggle: Path, code_file: str, *, budget_s: float, count: int, isolated: bool
) -> "subprocess.Popen[bytes]":
    """Start the kernel; what it prints comes through the process's stdout.

    `kaggle` is a folder that stands for /kaggle, with input/, working/ and src/. In the last are the code
    file and, for what every Python process is to run first, `sitecustomize.py`.
    """
    inside = Path("/kaggle") if isolated else kaggle
    environment = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/tmp" if isolated else str(kaggle.parent),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(inside / "src"),
        "PYTHONUNBUFFERED": "1",
        BUDGET_VARIABLE: f"{budget_s}s",
        COUNT_VARIABLE: str(count),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
    }
    command = [sys.executable, str(inside / "src" / code_file)]
    if isolated:
        binds = ["--ro-bind", str(kaggle / "input"), "/kaggle/input"]
        binds += ["--ro-bind", str(kaggle / "src"), "/kaggle/src"]
        binds += ["--bind", str(kaggle / "working"), "/kaggle/working", "--chdir", "/kaggle/working"]
        command = [*_namespaces(), *binds, *command]
    else:
        environment |= {ROOT_VARIABLE: str(inside), "TMPDIR": str(kaggle.parent)}
    process = subprocess.Popen(
        command,
        cwd=kaggle / "working",
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[:CORES])
    return process


def _namespaces() -> list[str]:
    """Return the command that begins namespaces: the machine read-only, without network and this package."""
    command = ["bwrap", "--unshare-net", "--unshare-pid", "--die-with-parent"]
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink():
            command += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir() and path.name not in OWN_FOLDERS:
            command += ["--ro-bind", str(path), str(path)]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for path in sorted(Path("/dev").glob("nvidia*")):
        command += ["--dev-bind", str(path), str(path)]
    for folder in SCRATCH:
        command += ["--tmpfs", folder]
    for prefix in {Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve()}:  # a Python below /tmp
        command += ["--ro-bind", str(prefix), str(prefix)]
    return [*command, "--tmpfs", str(Path(dogsgan.__file__).resolve().parent)]


@dataclass(frozen=True)
class Watched:
    """How a rehearsed kernel ended: `exited`, `time` or `memory` (killed for it), and what it took."""

    ended: str
    status: int
    seconds: float
    peak_memory_gb: float
    last_lines: tuple[str, ...]


def watch(
    process: "subprocess.Popen[bytes]", *, limit_s: float, memory_bytes: int, quiet: bool = False
) -> Watched:
    """Wait for a kernel; kill it with all its processes at the limit of time or memory, as Kaggle does."""
    began = time.monotonic()
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    reader = threading.Thread(target=_read, args=(process, lines, quiet), daemon=True)
    reader.start()
    peak, ended = 0, "exited"
    try:
        while process.poll() is None:
            used = sum(map(_memory, _family(process.pid)))
            peak = max(peak, used)
            if used > memory_bytes or time.monotonic() - began > limit_s:
                ended = "memory" if used > memory_bytes else "time"
                break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=INTERVAL_S)
    finally:
        seconds = time.monotonic() - began
        for pid in _family(process.pid) if process.poll() is None else ():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    reader.join(timeout=5.0)
    return Watched(ended, process.wait(), seconds, peak / 1e9, tuple(lines))


def _read(process: "subprocess.Popen[bytes]", lines: "deque[str]", quiet: bool) -> None:
    assert process.stdout is not None
    for raw in process.stdout:
        line = raw.decode(errors="replace").rstrip()
        lines.append(line)
        if not quiet:
            say(line)


def _family(pid: int) -> list[int]:
    """Return a process and those below it, parents first."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text().rsplit(")", 1)[1].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    found = [pid]
    for current in found:
        found += children.get(current, [])
    return found


def _memory(pid: int) -> int:
    """Return a process's memory in bytes, what it shares counted by its share."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
