"""A built kernel run here as Kaggle would run it, and what came of it: known before hours are spent.

Bubblewrap isolates it, without network and this package. Without that a folder stands for /kaggle and nothing
is cut off: `MISSING` says so.
"""

import contextlib
import functools
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import dogsgan
from dogsgan.competition import SLUG
from dogsgan.config import Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.data.layouts import detect_layout
from dogsgan.data.layouts.annotated import MAX_ANNOTATION_BYTES
from dogsgan.data.pictures import MAX_PICTURE_BYTES
from dogsgan.data.storage import open_storage
from dogsgan.errors import DogsganError
from dogsgan.files import holds, read_json, refuse_overwriting, write_bytes
from dogsgan.kernel.folder import BUDGET_VARIABLE, COUNT_VARIABLE, ROOT_VARIABLE, read_kernel
from dogsgan.kernel.main import REPORT_FILE
from dogsgan.kernel.prediction import Prediction, predict
from dogsgan.progress import say
from dogsgan.submission import CheckReport, check_submission

MOST_FILES = 500  # that Kaggle keeps of an output
MOUNTS = ("competition", "dataset", "none")
DRAWN_IMAGES = 120
SCRIPT = "script.py"  # as Kaggle calls the code file
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


class Watched(NamedTuple):
    """How a rehearsed kernel ended: `exited`, `time` or `memory` (killed for it), and what it took."""

    ended: str
    status: int
    seconds: float
    peak_memory_gb: float
    last_lines: tuple[str, ...]


@dataclass(frozen=True)
class RehearsalReport:
    """What a rehearsal left, took, and lets expect."""

    kernel: Path
    isolated: bool
    mount: str
    ended: str  # `exited` by itself, or killed at the limit of `time` or `memory`
    status: int
    seconds: float
    budget_s: float
    peak_memory_gb: float
    files: tuple[str, ...]
    check: CheckReport | None
    images_seen: int
    events: tuple[str, ...]  # what the kernel itself says was not as it should be
    prediction: Prediction | None
    last_lines: tuple[str, ...] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the kernel left a valid zip in time, few enough files, and enough memory."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What keeps the kernel from being pushed; empty if all is well."""
        found = []
        if self.ended != "exited":
            found.append(f"Kaggle would have killed it: the limit of {self.ended}")
        elif self.status:
            errors = [line for line in self.last_lines if "rror" in line] or ["it does not say why"]
            found.append(f"exit status {self.status}: {errors[-1]}")
        if len(self.files) >= MOST_FILES:
            found.append(f"{len(self.files)} files, and Kaggle keeps {MOST_FILES}")
        if self.check is None:
            found.append("no images.zip")
        elif not self.check.ok:
            found.append("images.zip would not do")
        elif not self.images_seen:
            found.append(
                "images.zip comes from a generator that was never trained: sampling takes most of this time "
                "here, give more --minutes or a smaller --count; or see what the kernel says"
            )
        return found

    @property
    def left_s(self) -> float:
        """Seconds of the budget that were left."""
        return self.budget_s - self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "ok": self.ok,
            **vars(self),
            "problems": self.problems,
            "kernel": str(self.kernel),
            "seconds": round(self.seconds, 1),
            "left_s": round(self.left_s, 1),
            "peak_memory_gb": round(self.peak_memory_gb, 2),
            "check": self.check.to_json() if self.check else None,
            "prediction": self.prediction.to_json() if self.prediction else None,
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        lines = [
            f"rehearsed {self.kernel} with the data mounted as {self.mount}, "
            + ("isolated by bubblewrap" if self.isolated else f"NOT isolated: {MISSING}"),
            f"{self.ended} with status {self.status} after {self.seconds:.0f} s of {self.budget_s:.0f}, "
            f"{self.left_s:.0f} s left; at most {self.peak_memory_gb:.1f} GB of memory; "
            f"{len(self.files)} files; {self.images_seen:,} images seen",
        ]
        lines += [self.check.summary()] if self.check else []
        lines += [f"the kernel says: {event}" for event in self.events]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [self.prediction.summary()] if self.prediction else []
        return "\n".join([*lines, "ready to push" if self.ok else "not ready"])


@holds("out")
def rehearse(
    kernel: Path,
    *,
    budget_s: float = 300.0,
    count: int | None = None,  # pictures to generate; as many as the kernel says if None
    data: Path | None = None,  # a few drawn dogs if None, or digits for a grey recipe
    mount: str | None = None,  # as `lay_out` takes it
    previous: Path | None = None,  # the output of the kernel that this one goes on from
    out: Path | None = None,  # keeps the kernel's output
    memory_gb: float = 13.0,
    prelude: str = "",  # code that every Python process of the kernel runs first
    isolated: bool | None = None,  # None: if this machine can
    quiet: bool = False,
) -> RehearsalReport:
    """Run a built kernel in a fresh folder with a hard limit of `budget_s`, and look at what it leaves.

    Raises:
        DogsganError: the folder holds no kernel, the data, `previous` or a name cannot be used, or isolation
            was asked for and cannot be had here.
    """
    if isolated and not can_isolate():
        raise DogsganError(f"{MISSING}: install it, or leave out --isolated")
    isolated = can_isolate() if isolated is None else isolated
    if out is not None and data is not None:
        refuse_overwriting(out / "images.zip", data)
    code, values = read_kernel(kernel)
    values |= {"COUNT": count} if count else {}
    if previous is not None and not values.get("CONTINUE_FROM"):
        raise DogsganError(f"{kernel} does not go on from another kernel: build it with --continue-from")
    if previous is not None and not previous.is_dir():
        raise DogsganError(f"no folder {previous}: rehearse the earlier kernel with --out {previous}")
    is_grey = Recipe.from_json(values["RECIPE"]).data.channels == 1
    with tempfile.TemporaryDirectory(prefix="dogsgan-rehearsal-", ignore_cleanup_errors=True) as folder:
        kaggle = Path(folder) / "kaggle"
        if data is None:
            draw = draw_digits if is_grey else draw_competition
            data = draw(Path(folder) / ("digits" if is_grey else "dogs.zip"), images=DRAWN_IMAGES, seed=1)
        mount = lay_out(data, kaggle / "input", mount=mount)
        say(f"laid out {data} as {mount}")
        if previous is not None:
            slug = values["CONTINUE_FROM"].split("/")[1]  # names the folder on Kaggle
            shutil.copytree(previous, kaggle / "input" / slug, dirs_exist_ok=True)
        write_bytes(kaggle / "src" / SCRIPT, code.encode())
        if prelude:
            write_bytes(kaggle / "src" / "sitecustomize.py", prelude.encode())
        (kaggle / "working").mkdir()
        process = _start(kaggle, budget_s=budget_s, count=values["COUNT"], isolated=isolated)
        watched = _watch(process, limit_s=budget_s, memory_bytes=int(memory_gb * 1e9), quiet=quiet)
        if out is not None:
            shutil.copytree(kaggle / "working", out, dirs_exist_ok=True)
        found = watched._asdict() | _look_at(kaggle / "working", values)
    return RehearsalReport(Path(kernel), isolated=isolated, mount=mount, budget_s=budget_s, **found)


def lay_out(source: Path, target: Path, *, mount: str | None = None) -> str:
    """Write the files of `source` below `target`; return the mount.

    `competition` has dogs with boxes in the competition's folders, `dataset` any source as it is, and in
    `none` the data are missing. None: the first, or the second for data that are no dogs with boxes.

    Raises:
        DogsganError: there is no such mount or source, or the source has no annotations.
    """
    if mount not in (None, *MOUNTS):
        raise DogsganError(f"no mount {mount!r}; there are {', '.join(MOUNTS)}")
    target.mkdir(parents=True, exist_ok=True)
    if mount == "none":
        (target / "another-dataset").mkdir()
        (target / "another-dataset" / "table.csv").write_text("id,breed\n1,husky\n")
        return mount
    storage = open_storage(source)
    layout = detect_layout(storage.names)
    has_boxes = layout is not None and bool(layout.annotations)
    mount = mount or ("competition" if has_boxes else "dataset")
    if mount == "dataset":
        if source.is_dir():
            shutil.copytree(source, target / source.stem)
        else:
            (target / source.stem).mkdir()
            shutil.copyfile(source, target / source.stem / source.name)
        return mount
    if layout is None or not has_boxes:
        raise DogsganError(
            f"{source} has no dogs with boxes: give the competition's data or Stanford Dogs, or mount it as "
            "a dataset"
        )
    pictures, annotations = target / SLUG / "all-dogs/all-dogs", target / SLUG / "annotation/Annotation"
    pictures.mkdir(parents=True)
    for name in layout.pictures:  # a name in the source is never a path here
        (pictures / PurePosixPath(name).name).write_bytes(storage.read(name, limit=MAX_PICTURE_BYTES))
    for name in layout.annotations:
        path = annotations.joinpath(*PurePosixPath(name).parts[-2:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read(name, limit=MAX_ANNOTATION_BYTES))
    return mount


def _look_at(working: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a report that come from what the kernel left."""
    files = tuple(sorted(p.relative_to(working).as_posix() for p in working.rglob("*") if p.is_file()))
    told: dict[str, Any] = read_json(working / REPORT_FILE) if REPORT_FILE in files else {}
    check = None
    if "images.zip" in files:
        data = Recipe.from_json(told.get("recipe") or values["RECIPE"]).data
        check = check_submission(
            working / "images.zip", count=values["COUNT"], size_px=data.size_px, channels=data.channels
        )
    return {
        "files": files,
        "check": check,
        "images_seen": told.get("sample", {}).get("images_seen", 0),
        "events": tuple(told.get("events", ())),
        "prediction": _predicted(told, values),
    }


def _predicted(told: dict[str, Any], values: dict[str, Any]) -> Prediction | None:
    """Predict for the recipe of a GPU, or that of a continued run; None where nothing was trained."""
    begun_at, trained = told.get("continued_at"), told.get("train", {})
    if (trained.get("images_seen") or 0) <= (begun_at or 0):
        return None
    recipe = Recipe.from_json(values["RECIPE"] if begun_at is None else told["recipe"])
    return predict(recipe, reserve_s=told["seconds"] - trained["seconds"])


@functools.cache
def can_isolate() -> bool:
    """Return whether bubblewrap is installed and allowed to begin namespaces."""
    if shutil.which("bwrap") is None:
        return False
    probe = [*_namespaces(), sys.executable, "-I", "-c", ""]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


def _start(kaggle: Path, *, budget_s: float, count: int, isolated: bool) -> "subprocess.Popen[bytes]":
    """Start the kernel in a folder that stands for /kaggle, with input/, working/ and src/."""
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
    command = [sys.executable, str(inside / "src" / SCRIPT)]
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


def _watch(process: "subprocess.Popen[bytes]", *, limit_s: float, memory_bytes: int, quiet: bool) -> Watched:
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
