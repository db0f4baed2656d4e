"""Kill commands with SIGKILL at random moments, run them again, and compare what they leave, byte for byte.

    python scripts/kill.py [--kills 100] [--seed N] [--only train] [--keep FOLDER]

Each case begins with the same files, is killed once or twice, and is then run to its end. Set, weights,
zip, labels and findings must be those of a run that nobody disturbed, and nothing half-written may be left.
Of logs, the places in the training at which a tick was due are compared; `run.html`, which
shows times, is not. Exits with 1 at a difference, which is
kept in FOLDER.
"""

import argparse
import faulthandler
import json
import os
import random
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from tqdm import tqdm

from dogsgan import cli
from dogsgan.audit import audit  # noqa: F401 (imported once here, not in every child)
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.models import sampling
from dogsgan.pipeline import run_pipeline  # noqa: F401
from dogsgan.training import logger
from dogsgan.training.run_folder import read_log

LIMIT_S = 300.0  # of one command
HANGS = 999  # the status of one that takes longer
tqdm.monitor_interval = 0  # no thread may hold a lock when this process forks
LEFTOVER = re.compile(r"\..*\.(partial|old|lock|part)|\.fetching-.*|.*\.lock")
TIMES = ("elapsed_s", "images_per_second", "reserve_s", "seconds", "reused")  # keys that may differ
TIMED = ("output.txt", "losses.png", "run.html")  # files that show times
DURATION = re.compile(r" in [\d.]+ (minutes|hours)\b")  # of the training, in the model card
TINY = [
    "--preset=demo",
    *(
        f"--set={setting}"
        for setting in (
            "data.size_px=32",
            "model.z_dim=16",
            "model.generator_width=8",
            "model.discriminator_width=8",
            "model.generator_attention_px=16",
            "model.discriminator_attention_px=16",
            "training.batch_size=8",
            "training.tick_images=48",
            "training.checkpoint_images=24",
        )
    ),
]
SCORED = ["--network=stand-in", "--device=cpu"]
PREPARE = ["prepare", "dogs.zip", "--out=set", "--size=32", "--workers=2"]
TRAIN = ["train", "--data=set", "--run=run", "--images=96", "--device=cpu", *TINY]
GENERATE = ["generate", "run", "--out=images.zip", "--count=100", "--labels=labels.csv", "--device=cpu"]
AUDIT = ["audit", "images.zip", "--real=dogs.zip", "--out=audit", "--sample=30", *SCORED]
RUN = ["run", "dogs.zip", "--out=out", "--images=64", "--count=40", *SCORED, *TINY]
CASES: dict[str, tuple[list[list[str]], list[str]]] = {
    "prepare": ([], PREPARE),
    "train": ([PREPARE], TRAIN),
    "generate": ([PREPARE, TRAIN], GENERATE),
    "audit": ([PREPARE, TRAIN, GENERATE], AUDIT),
    "run": ([], RUN),
}
"""Name to the commands that come before, undisturbed, and the one that is killed."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="in all (100)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--only", choices=CASES, help="kill this command alone")
    parser.add_argument("--keep", type=Path, default=Path("kill-failures"), metavar="FOLDER")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chosen = random.Random(options.seed)
    names = [options.only] if options.only else list(CASES)
    with tempfile.TemporaryDirectory(prefix="dogsgan-kill-") as folder:
        base = Path(folder)
        draw_competition(base / "dogs.zip", images=60, seed=1)
        cases = {name: Case(name, base) for name in names}
        kills, failures = Counter[str](), 0
        while kills.total() < options.kills:
            case = cases[names[kills.total() % len(names)]]
            problem = case.killed(chosen, kills)
            if problem:
                failures += 1
                kept = options.keep / f"{case.name}-{failures}"
                shutil.copytree(case.place, kept, dirs_exist_ok=True)
                print(f"{case.name}: {problem}; see {kept}", flush=True)
            if kills.total() % 10 == 0:
                print(f"{kills.total()} kills: {dict(kills)}, {failures} failures", flush=True)
    print(f"{kills.total()} kills: {dict(kills)}, {failures} failures")
    return 1 if failures else 0


class Case:
    """A command with what it needs, and what it leaves when nobody disturbs it."""

    def __init__(self, name: str, base: Path) -> None:
        self.name, self.place = name, base / "place"  # one place for all, for some files name it
        before, self.command = CASES[name]
        self._start = base / f"{name}-start"
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        shutil.copy(base / "dogs.zip", self.place)
        for command in before:
            assert run(command, self.place) == 0, (self.place / "output.txt").read_text()
        self.place.rename(self._start)
        self._reset()
        began = time.monotonic()
        status = run(self.command, self.place)
        self.seconds = time.monotonic() - began
        assert status in (0, 1), (self.place / "output.txt").read_text()
        self._status, self._expected = status, contents(self.place)
        print(f"{name}: {self.seconds:.1f} s undisturbed", flush=True)

    def killed(self, chosen: random.Random, kills: "Counter[str]") -> str | None:
        """Kill the command once or twice, run it to the end; return what differs."""
        self._reset()
        moments = []
        for _ in range(chosen.choice((1, 1, 2))):
            moments.append(round(chosen.uniform(0, self.seconds), 3))
            if run(self.command, self.place, kill_after_s=moments[-1]) == -signal.SIGKILL:
                kills[self.name] += 1
        status = run(self.command, self.place)
        after = f"killed after {' and '.join(map(str, moments))} s"
        if status != self._status:
            return f"{after}: {'a hang' if status == HANGS else f'status {status}'} instead of {self._status}"
        found = contents(self.place)
        different = sorted(
            name
            for name in found.keys() | self._expected.keys()
            if found.get(name) != self._expected.get(name)
        )
        return f"{after}: {', '.join(different[:8])} differ" if different else None

    def _reset(self) -> None:
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self._start, self.place)


def run(command: list[str], place: Path, *, kill_after_s: float | None = None) -> int:
    """Run a command in a process of its own; return its status, −9 if it was killed."""
    child = os.fork()
    if child == 0:
        _be_command(command, place)
    end = time.monotonic() + (LIMIT_S if kill_after_s is None else kill_after_s)
    while time.monotonic() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    if kill_after_s is None:
        os.kill(child, signal.SIGUSR1)
        time.sleep(1)
    os.kill(child, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return HANGS if kill_after_s is None else status


def _be_command(command: list[str], place: Path) -> None:
    status = 70
    try:
        # tqdm's own lock lies in memory that all forked processes share: one that is killed while it holds
        # the lock would stop all that come after it.
        tqdm.set_lock(threading.RLock())
        os.chdir(place)
        os.environ["DOGSGAN_CACHE"] = str(place / "cache")
        output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        faulthandler.register(signal.SIGUSR1)  # says where it hangs
        sampling.STATISTICS_IMAGES = logger.GRID_STATISTICS_IMAGES = 32
        status = cli.main(command)
    except SystemExit as ended:
        status = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        os._exit(status)


def contents(place: Path) -> dict[str, object]:
    """Return what each file below a folder holds, without times; what is left half-written stands out."""
    found: dict[str, object] = {}
    for path in sorted(place.rglob("*")):
        name = path.relative_to(place).as_posix()
        if LEFTOVER.fullmatch(path.name):
            found[name] = "left over"
        elif path.is_file() and path.name not in TIMED:
            found[name] = _readers().get(path.suffix, Path.read_bytes)(path)
    return found


def _readers() -> dict[str, Callable[[Path], object]]:
    return {
        ".json": lambda path: _timeless(json.loads(path.read_bytes())),
        ".md": lambda path: DURATION.sub("", path.read_text()),
        ".jsonl": lambda path: [line["images_seen"] for line in read_log(path.parent)],
        ".npz": lambda path: path.name,  # a cache: zipfile writes the time into it
    }


def _timeless(value: object) -> object:
    if isinstance(value, dict):
        return {key: _timeless(inner) for key, inner in value.items() if key not in TIMES}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value


if __name__ == "__main__":
    sys.exit(main())
