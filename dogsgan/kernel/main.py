"""The main program of a built kernel: data, crops, training and images.zip, within the budget.

This process touches neither torch nor a GPU, so nothing that happens there can stop it. Only without
anything to train on does it fail, at once and without a zip.
"""

import contextlib
import dataclasses
import importlib
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dogsgan import __version__
from dogsgan.config import Recipe
from dogsgan.console import STDOUT, close_streams, open_streams
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, sweep, write_json
from dogsgan.kernel.folder import Settings
from dogsgan.kernel.mounts import LOG_FILE, EarlierRun, find_data, find_run
from dogsgan.supervise.driver import Driver, Job, choose_machine
from dogsgan.supervise.session import Clock, Session
from dogsgan.training.interrupts import listen_for_stop
from dogsgan.training.record import evenly_spread
from dogsgan.training.run_folder import CHECKPOINTS, newest_checkpoint

REPORT_FILE = "kernel.json"
CROPPING_SHARE = 0.4  # of the budget, at least
MOST_GRIDS, SHOWN_GRIDS = 40, 3  # training grids that are kept, and that a notebook shows
BAR_INTERVAL_S = 60.0  # a bar that moves gets a line this often
SCRATCHES = (Path("/kaggle/temp"), Path("/var/tmp"))
"""Where room for crops and checkpoints is looked for beside the temporary folder."""
MEMORY = Path("/dev/shm")  # looked at after those: what lies there takes memory
KEPT = ("generator.safetensors", "recipe.json", "log.jsonl", "losses.png")  # files of a run
GRIDS = "training"  # a folder of the output; the newest checkpoint lies where it does in a run
UNTRAINED = (
    "WARNING: images.zip is valid but WORTHLESS: nothing was trained, its pictures come from random weights; "
    "do not submit it"
)


class Kernel:
    """One run on Kaggle: `work` does everything; a notebook calls the steps in their order here."""

    def __init__(self, settings: Settings, *, package: Path, started: float) -> None:
        self.settings = settings
        self.working = settings.root / "working"
        self.working.mkdir(parents=True, exist_ok=True)
        log = KernelLog(self.working / LOG_FILE, started=started)
        self.session = Session(Clock(started, settings.budget_s), log, package=package)
        self.scratches = scratch_folders(self.working)
        self.scratch = self.scratches[0]
        self.earlier: EarlierRun | None = None
        self.source: Path | None = None
        self.crops: dict[str, Any] = {}
        self.driver: Driver | None = None
        self._listening = contextlib.ExitStack()

    def work(self) -> int:
        """Take every step, and return the exit status: 0 with a valid zip."""
        say = self.session.log.say
        say(f"dogsgan {__version__}: {self.settings.budget_s:.0f} s until images.zip is there")
        try:
            self.find()
            self.crop()
        except DogsganError as error:
            say(f"error: {error}")
            say("there is no images.zip, because nothing could be trained; no hours were lost")
            return 1
        self.train()
        self.sample()
        return self.finish()

    def find(self) -> None:
        """Find the data, and the earlier kernel's run where one goes on, whose recipe counts then.

        Raises:
            DogsganError: the data are not there.
        """
        if kernel := self.settings.continue_from:
            self._find_earlier(kernel)
        found = find_data(self.settings.root / "input", self.scratch, self.settings.recipe)
        self.session.log.say(f"data: {found.description}")
        self.source = found.path

    def _find_earlier(self, kernel: str) -> None:
        """Find the run that goes on; without one that can, say it loudly and begin anew."""
        try:
            earlier = find_run(self.settings.root / "input", kernel)
            earlier.recipe.model.check_truncation(self.settings.truncation)
        except DogsganError as error:
            self.session.note(f"WARNING: training begins anew: {error}")
            return
        self.earlier = earlier
        say, recipe = self.session.log.say, earlier.recipe
        say(f"going on with {kernel}, {recipe.name} at {earlier.images_seen:,} images, in {earlier.output}")
        if differences := self.settings.recipe.differences(recipe):
            say(f"its recipe counts, not RECIPE ({'; '.join(differences)})")
        self.settings = dataclasses.replace(self.settings, recipe=recipe, cpu_recipe=recipe)

    def crop(self) -> None:
        """Cut the dogs out, into a folder that is not part of the output, wherever there is room for it.

        Raises:
            DogsganError: that failed everywhere.
        """
        session, clock, reason = self.session, self.session.clock, ""
        # Never at once, though a short budget may leave no time for training.
        stop_at = max(clock.training_stops_at(on_gpu=False), clock.started + CROPPING_SHARE * clock.budget_s)
        for scratch in self.scratches:
            self.scratch = scratch
            request = {
                "recipe": self.settings.recipe.to_json(),
                "source": str(self.source),
                "crops": str(self.crops_folder),
            }
            ended = session.run("crop", request, stop_at=stop_at, gpus=[])
            if ended.answer is not None:
                self.crops = ended.answer
                return
            reason = ended.reason()
            session.note(f"cropping into {self.scratch} failed: {reason}")
            shutil.rmtree(self.crops_folder, ignore_errors=True)  # joined data may lie beside them
        raise DogsganError(f"the data cannot be cropped: {reason}")

    def train(self) -> None:
        """Train on the GPUs that work until the time is up, whatever happens, signals included."""
        answer = "training ends, and images.zip comes from what it has learned"
        listening = listen_for_stop(answer, repeated_ends=False, tell=self.session.log.say)
        self.session.wish = self._listening.enter_context(listening)
        settings = self.settings
        with self._whatever_happens():
            recipes = settings.recipe, settings.cpu_recipe
            recipe, gpus = choose_machine(self.session, *recipes, count=settings.count)
            self.driver = Driver(self.session, self._job(recipe), gpus=gpus)
            if self.earlier is not None:
                self._restore(self.earlier)
            self.driver.train()

    def _restore(self, earlier: EarlierRun) -> None:
        try:
            restore(earlier.output, self._run_folder)
        except (DogsganError, OSError) as error:
            self.session.note(f"WARNING: training begins anew: the earlier run cannot be copied: {error}")
            shutil.rmtree(self._run_folder, ignore_errors=True)
            self.earlier = None

    def sample(self) -> None:
        """Write images.zip from the last good generator: on a GPU if one works, else on the CPU."""
        with self._whatever_happens():
            if self.driver is None:  # no machine could be chosen
                self.driver = Driver(self.session, self._job(self.settings.cpu_recipe), gpus=[])
            self.driver.sample()

    def finish(self) -> int:
        """Keep what is worth keeping, say what happened, and return the exit status: 0 with a valid zip."""
        session = self.session
        for problem in keep(self._run, self.crops_folder, self.working):
            session.note(problem)
        with contextlib.suppress(DogsganError, OSError):
            write_json(self.working / REPORT_FILE, self._report())
        for scratch in self.scratches:
            shutil.rmtree(scratch, ignore_errors=True)
        session.log.say("what happened:")
        for event in session.events or ["nothing unforeseen"]:
            session.log.say(f"  {event}")
        session.log.say(self._conclusion())
        self._listening.close()
        close_streams(0)  # a page that nobody reads changes nothing
        return 0 if self.sampled.get("valid") else 1

    def show(self, step: str) -> None:
        """Show in a notebook what there is after the step `crops`, `training` or `samples`; never fail."""
        run = self._run or Path()
        found = {
            "crops": [self.crops_folder / "contact-sheet.png"],
            "training": [*evenly_spread(run / "samples", most=SHOWN_GRIDS), run / "losses.png"],
            "samples": [self.working / "samples.png"],
        }
        for path in filter(Path.is_file, found[step]):
            try:
                shown = importlib.import_module("IPython.display")
                shown.display(shown.Image(filename=str(path)))
            except (ImportError, OSError, ValueError) as error:
                STDOUT.write(f"{path} ({type(error).__name__}: not shown)\n")

    @property
    def sampled(self) -> dict[str, Any]:
        """What the sampler said of images.zip; empty where there is none."""
        return self.driver.sampled if self.driver else {}

    @property
    def crops_folder(self) -> Path:
        """The prepared set."""
        return self.scratch / "crops"

    @property
    def _run_folder(self) -> Path:
        return self.scratch / "run-1"

    @property
    def _run(self) -> Path | None:
        return self.driver.training.runs[-1] if self.driver else None

    def _job(self, recipe: Recipe) -> Job:
        settings = self.settings
        return Job(
            recipe,
            self.crops_folder,
            run=self._run_folder,
            zip_path=self.working / "images.zip",
            images=settings.images,
            count=settings.count,
            seed=settings.seed,
            truncation=settings.truncation,
            class_count=self.crops.get("breeds", 0),
            cpu_recipe=settings.cpu_recipe,
            is_checked=True,
        )

    def _report(self) -> dict[str, Any]:
        training = self.driver.training if self.driver else None
        earlier = self.earlier if self._run == self._run_folder else None
        return {
            "version": __version__,
            "seconds": round(time.monotonic() - self.session.clock.started, 1),
            "budget_s": self.settings.budget_s,
            "data": str(self.source),
            "crops": {key: self.crops.get(key) for key in ("crops", "images", "breeds", "skipped")},
            "gpus": len(training.gpus or ()) if training else 0,
            "recipe": training.recipe.to_json() if training else None,
            "continued_at": earlier.images_seen if earlier else None,
            "train": training.report if training else {},
            "sample": self.sampled,
            "events": self.session.events,
        }

    def _conclusion(self) -> str:
        if not self.sampled:
            return "error: there is no images.zip"
        left = self.session.clock.started + self.settings.budget_s - time.monotonic()
        check, images_seen = self.sampled["check"] or {"problems": []}, self.sampled["images_seen"]
        problems = "; ".join(f"{p['kind']} ({p['count']})" for p in check["problems"]) or "no problem"
        said = (
            f"images.zip: {self.settings.count:,} pictures by a generator that has seen "
            f"{images_seen:,} images; the check finds {problems}; {left:.0f} s of the budget are left"
        )
        return said if images_seen else f"{said}\n{UNTRAINED}"

    @contextlib.contextmanager
    def _whatever_happens(self) -> Iterator[None]:
        """Go on after a bug in the supervision, which must not cost the zip."""
        try:
            yield
        except Exception as error:
            self.session.note(f"a bug of dogsgan: {type(error).__name__}: {error}")
            self.session.log.say(traceback.format_exc())


def open_kernel(values: dict[str, Any], *, package: Path, started: float) -> Kernel:
    """Return the kernel that the values at a built file's head describe; they are checked first.

    Raises:
        SystemExit: a value cannot be used; one line says which.
    """
    open_streams()
    try:
        return Kernel(Settings.from_values(values), package=package, started=started)
    except DogsganError as error:
        raise SystemExit(f"error: {error}") from error


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


def keep(run: Path | None, crops: Path, working: Path) -> list[str]:
    """Copy what is worth keeping into the output folder; return what could not be, in words.

    What a sampler that was killed left half-written is removed.
    """
    sweep(working)
    wanted = {working / "crops.png": crops / "contact-sheet.png"}
    if run is not None:
        wanted |= {working / name: run / name for name in KEPT}
        grids = evenly_spread(run / "samples", most=MOST_GRIDS)
        wanted |= {working / GRIDS / grid.name: grid for grid in grids}
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
    """Copy to `run` what `keep` left of a run in a kernel's output, so that it goes on."""
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


def scratch_folders(working: Path) -> list[Path]:
    """Return a folder to be made in each place with room, the roomiest first; the output folder only last."""
    temporary = Path(tempfile.gettempdir())
    usable = [folder for folder in {temporary, *SCRATCHES} if os.access(folder, os.W_OK)]
    roomy = [*sorted(usable, key=lambda folder: -shutil.disk_usage(folder).free), MEMORY]
    if os.environ.get("TMPDIR"):
        roomy = [temporary]
    return [place / f"dogsgan-{os.getpid()}" for place in [*roomy, working / ".scratch"]]
