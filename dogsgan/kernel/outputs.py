"""The output of a kernel beside images.zip: its log, and what is worth keeping of a run."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from dogsgan.console import STDOUT
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path

MOST_GRIDS = 40  # training grids that are kept, the newest among them
BAR_INTERVAL_S = 60.0  # a bar that moves gets a line this often
LOG_FILE = "kernel.log"
SCRATCHES = (Path("/kaggle/temp"), Path("/var/tmp"))
"""Where room for crops and checkpoints is looked for beside the temporary folder."""
MEMORY = Path("/dev/shm")
"""Looked at after those: what lies there takes memory."""
KEPT = {  # name in the output folder: where it comes from, below a run
    "generator.safetensors": "generator.safetensors",
    "recipe.json": "recipe.json",
    "log.jsonl": "log.jsonl",
    "losses.png": "losses.png",
}


class KernelLog:
    """Says everything on the kernel's page and in a file of its output; neither can stop the kernel."""

    raw = False

    def __init__(self, path: Path, *, started: float) -> None:
        self.path, self.started = path, started
        self._bar_shown_at = float("-inf")

    def say(self, text: str) -> None:
        """Write lines, each with the time since the start."""
        elapsed = int(time.monotonic() - self.started)
        stamp = f"[{elapsed // 3600}:{elapsed // 60 % 60:02}:{elapsed % 60:02}]"
        lines = "".join(f"{stamp} {line}\n" for line in text.splitlines())
        STDOUT.write(lines)
        STDOUT.flush()
        with contextlib.suppress(OSError), self.path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(lines)

    def relay(self, text: str, moving: bool) -> None:
        """Pass on a line of a child; of a bar that moves, one a minute."""
        now = time.monotonic()
        if moving and now - self._bar_shown_at < BAR_INTERVAL_S:
            return
        if moving:
            self._bar_shown_at = now
        self.say(text)


def keep(run: Path | None, crops: Path, working: Path) -> list[str]:
    """Copy what is worth keeping into the output folder; return what could not be, in words."""
    wanted = [(crops / "contact-sheet.png", working / "crops.png")]
    if run is not None:
        wanted += [(run / source, working / name) for name, source in KEPT.items()]
        wanted += [(grid, working / "training" / grid.name) for grid in _spread(run / "samples")]
    problems = []
    for source, target in wanted:
        if not source.is_file():
            continue
        try:
            with atomic_path(target) as partial:
                shutil.copyfile(source, partial)
        except (DogsganError, OSError) as error:
            problems.append(f"{target.name} not kept: {error}")
    return problems


def sweep(working: Path) -> None:
    """Remove what a sampler that was killed left half-written."""
    for partial in working.glob(".*.partial"):
        partial.unlink(missing_ok=True)


def _spread(folder: Path) -> list[Path]:
    """Return at most `MOST_GRIDS` grids, evenly over the run, the last included."""
    grids = sorted(folder.glob("*.png"))
    if len(grids) <= MOST_GRIDS:
        return grids
    step = (len(grids) - 1) / (MOST_GRIDS - 1)
    return [grids[round(index * step)] for index in range(MOST_GRIDS)]


def scratch_folders(working: Path) -> list[Path]:
    """Return a folder to be made in each place with room, the roomiest first; the output folder only last."""
    temporary = Path(tempfile.gettempdir())
    roomy = [temporary] if os.environ.get("TMPDIR") else [*_roomiest([temporary, *SCRATCHES]), MEMORY]
    return [place / f"dogsgan-{os.getpid()}" for place in [*roomy, working / ".scratch"]]


def _roomiest(candidates: list[Path]) -> list[Path]:
    """Return those of `candidates` that can be written to, the one with the most free space first."""
    free = {}
    for folder in dict.fromkeys(candidates):
        if os.access(folder, os.W_OK):
            with contextlib.suppress(OSError):
                free[folder] = shutil.disk_usage(folder).free
    return sorted(free, key=lambda folder: -free[folder])
