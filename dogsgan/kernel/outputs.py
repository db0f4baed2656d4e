"""The output of a kernel beside images.zip: its log, and what is worth keeping of a run."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from dogsgan.console import STDOUT
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, sweep
from dogsgan.training.run_folder import CHECKPOINTS, newest_checkpoint

MOST_GRIDS = 40  # training grids that are kept, the newest among them
BAR_INTERVAL_S = 60.0  # a bar that moves gets a line this often
LOG_FILE = "kernel.log"
SCRATCHES = (Path("/kaggle/temp"), Path("/var/tmp"))
"""Where room for crops and checkpoints is looked for beside the temporary folder."""
MEMORY = Path("/dev/shm")  # looked at after those: what lies there takes memory
KEPT = ("generator.safetensors", "recipe.json", "log.jsonl", "losses.png")  # files of a run
GRIDS = "training"  # a folder of the output; the newest checkpoint lies where it does in a run


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
        if moving:
            if time.monotonic() - self._bar_shown_at < BAR_INTERVAL_S:
                return
            self._bar_shown_at = time.monotonic()
        self.say(text)


def is_output(folder: Path) -> bool:
    """Return whether a folder is the output of a kernel, whose pictures are generated ones."""
    return all((folder / name).is_file() for name in (LOG_FILE, "images.zip"))


def keep(run: Path | None, crops: Path, working: Path) -> list[str]:
    """Copy what is worth keeping into the output folder; return what could not be, in words.

    What a sampler that was killed left half-written is removed.
    """
    sweep(working)
    wanted = {working / "crops.png": crops / "contact-sheet.png"}
    if run is not None:
        wanted |= {working / name: run / name for name in KEPT}
        wanted |= {working / GRIDS / grid.name: grid for grid in _spread(run / "samples")}
        if newest := newest_checkpoint(run):  # last, for it is the largest; another kernel goes on from it
            wanted[working / CHECKPOINTS / newest.name] = newest
    problems = []
    for target, source in wanted.items():
        try:
            _copy(source, target)
        except (DogsganError, OSError) as error:
            problems.append(f"{target.name} not kept: {error}")
    return problems


def restore(output: Path, run: Path) -> None:
    """Copy to `run` what `keep` left of a run in a kernel's output, so that it goes on.

    Raises:
        DogsganError: there is no room, or the output cannot be read.
    """
    if newest := newest_checkpoint(output):
        _copy(newest, run / CHECKPOINTS / newest.name)
    for name in KEPT:
        _copy(output / name, run / name)
    for grid in output.glob(f"{GRIDS}/*.png"):
        _copy(grid, run / "samples" / grid.name)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, if it is there."""
    if source.exists():
        with atomic_path(target) as partial:
            (shutil.copytree if source.is_dir() else shutil.copyfile)(source, partial)


def _spread(folder: Path) -> list[Path]:
    """Return at most `MOST_GRIDS` grids, evenly over the run, the last included."""
    grids = sorted(folder.glob("*.png"))
    step = max(1.0, (len(grids) - 1) / (MOST_GRIDS - 1))
    return [grids[round(index * step)] for index in range(min(len(grids), MOST_GRIDS))]


def scratch_folders(working: Path) -> list[Path]:
    """Return a folder to be made in each place with room, the roomiest first; the output folder only last."""
    temporary = Path(tempfile.gettempdir())
    usable = [folder for folder in {temporary, *SCRATCHES} if os.access(folder, os.W_OK)]
    roomy = [*sorted(usable, key=lambda folder: -shutil.disk_usage(folder).free), MEMORY]
    if os.environ.get("TMPDIR"):
        roomy = [temporary]
    return [place / f"dogsgan-{os.getpid()}" for place in [*roomy, working / ".scratch"]]
