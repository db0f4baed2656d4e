"""Run a kernel's code file as Kaggle would: its folders, no network, two cores, nothing of this package.

In Linux namespaces where they are allowed. Elsewhere plainly: a folder stands for /kaggle, the network is
there and nothing is read-only for root, which `Isolation.missing` says.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import dogsgan
from dogsgan.kernel import stage
from dogsgan.kernel.settings import BUDGET_VARIABLE, COUNT_VARIABLE, ROOT_VARIABLE

CORES = 2
PASSED_ON = ("OMP_NUM_THREADS", "LD_LIBRARY_PATH", "CUDA_HOME", "NVIDIA_VISIBLE_DEVICES")
MISSING = (
    "namespaces are not allowed here: the network is not cut off, /kaggle is another folder, and its input "
    "is read-only by permissions alone"
)


@dataclass(frozen=True)
class Surroundings:
    """Folders outside that a kernel sees as /kaggle/input, /kaggle/working and /kaggle/src, in one folder."""

    folder: Path

    @property
    def input(self) -> Path:
        """What is mounted read-only."""
        return self.folder / "kaggle" / "input"

    @property
    def working(self) -> Path:
        """What comes out."""
        return self.folder / "kaggle" / "working"

    @property
    def source(self) -> Path:
        """The code file, and `sitecustomize.py`, which every Python process runs first."""
        return self.folder / "kaggle" / "src"


@functools.cache
def namespaces() -> tuple[str, ...] | None:
    """Return the command that begins fresh namespaces here, or None where none does."""
    unshare = shutil.which("unshare")
    if unshare is None:
        return None
    base = ("--mount", "--net", "--pid", "--fork", "--kill-child")
    for options in (("--user", "--map-root-user", *base), base):
        command = (unshare, *options)
        probe = [*command, sys.executable, "-I", "-c", _PROBE]
        done = subprocess.run(probe, capture_output=True, timeout=60, check=False)
        if done.returncode == 0:
            return command
    return None


_PROBE = """
import ctypes, sys
libc = ctypes.CDLL(None)
private, none = (1 << 18) | 16384, b"none"
sys.exit(bool(libc.mount(none, b"/", b"", private, b"") or libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, b"")))
"""


def _list_of_fonts() -> dict[str, str]:
    """Return where matplotlib keeps its list of fonts, which Kaggle's image has, too."""
    try:
        return {"MPLCONFIGDIR": str(Path.home() / ".cache" / "matplotlib")}
    except RuntimeError:  # a user without a home
        return {}


def start(
    surroundings: Surroundings,
    code_file: str,
    *,
    budget_s: float,
    count: int,
    isolated: bool,
    disk_mb: int | None = None,  # room in every folder that can be written to; no limit if None
) -> "subprocess.Popen[bytes]":
    """Start the kernel; what it prints comes through the process's stdout."""
    inside = Path("/kaggle") if isolated else surroundings.folder / "kaggle"
    environment = {
        **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/tmp" if isolated else str(surroundings.folder),
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(inside / "src"),
        "PYTHONUNBUFFERED": "1",
        **_list_of_fonts(),
        BUDGET_VARIABLE: f"{budget_s}s",
        COUNT_VARIABLE: str(count),
        "KAGGLE_KERNEL_RUN_TYPE": "Batch",
    }
    command = [sys.executable, str(inside / "src" / code_file)]
    working = surroundings.working
    if isolated:
        command = _staged(surroundings, command, environment, disk_mb=disk_mb)
        environment = dict(os.environ)
    else:
        environment |= {ROOT_VARIABLE: str(inside), "TMPDIR": str(surroundings.folder / "tmp")}
        (surroundings.folder / "tmp").mkdir(exist_ok=True)
        _write_protect(surroundings.input)
    process = subprocess.Popen(
        command,
        cwd=working,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    os.sched_setaffinity(process.pid, _cores())
    return process


def _staged(
    surroundings: Surroundings, command: list[str], environment: dict[str, str], *, disk_mb: int | None
) -> list[str]:
    root = surroundings.folder / "root"
    root.mkdir()
    prefixes = {str(Path(path).resolve()) for path in (sys.prefix, sys.base_prefix)}
    spec = {
        "root": str(root),
        "input": str(surroundings.input),
        "working": str(surroundings.working),
        "source": str(surroundings.source),
        "disk_mb": disk_mb,
        "needed": sorted(prefixes),
        "hidden": [str(Path(dogsgan.__file__).resolve().parent)],
        "command": command,
        "environment": environment,
        "cores": sorted(_cores()),
    }
    begin = namespaces()
    assert begin is not None
    return [*begin, sys.executable, "-I", str(Path(stage.__file__).resolve()), json.dumps(spec)]


def _cores() -> set[int]:
    return set(sorted(os.sched_getaffinity(0))[:CORES])


def _write_protect(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
