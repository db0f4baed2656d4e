"""What a built kernel runs: data, crops, training, images.zip, in child processes and within the budget.

This process touches neither torch nor a GPU, so nothing that happens there can stop it. Whatever ends the
training, the last good generator is sampled: on the GPU, else on the CPU, and where there is none at all, an
untrained one, which it says. Only without anything to train on does it fail, at once and without a zip.
"""

import contextlib
import shutil
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dogsgan import __version__
from dogsgan.console import close_streams, open_streams
from dogsgan.errors import DogsganError
from dogsgan.files import write_json
from dogsgan.kernel.mounts import data_set_of, find_data
from dogsgan.kernel.outputs import keep, sweep
from dogsgan.kernel.settings import Settings
from dogsgan.supervise.attempts import Training
from dogsgan.supervise.children import Ended
from dogsgan.supervise.machine import choose_machine
from dogsgan.supervise.safety import SafetyZip
from dogsgan.supervise.session import Session

REPORT_FILE = "kernel.json"
CROPPING_SHARE = 0.4  # of the budget, at least
UNTRAINED = (
    "WARNING: images.zip is valid but WORTHLESS: nothing was trained, its pictures come from random weights; "
    "do not submit it"
)


class NothingToTrainOn(Exception):
    """There is no data, or none that can be used: the one thing that makes a kernel fail."""


class Kernel:
    """One run on Kaggle: `work` does everything; a notebook calls the steps in their order here."""

    def __init__(self, settings: Settings, *, package: Path, started: float) -> None:
        settings.root.joinpath("working").mkdir(parents=True, exist_ok=True)
        self.session = Session(settings, package=package, started=started)
        self.source: Path | None = None
        self.crops: dict[str, Any] = {}
        self.training: Training | None = None
        self.safety = SafetyZip(self.session, self._to_sample_if_trained)
        self.sampled: dict[str, Any] = {}

    def work(self) -> int:
        """Take every step, and return the exit status: 0 with a valid zip."""
        self.session.log.say(
            f"dogsgan {__version__}: {self.session.settings.budget_s:.0f} s until images.zip is there"
        )
        try:
            self.find()
            self.crop()
        except NothingToTrainOn as error:
            self.session.log.say(f"error: {error}")
            self.session.log.say("there is no images.zip, for nothing could be trained; no hours were lost")
            return 1
        self.train()
        self.sample()
        return self.finish()

    def find(self) -> None:
        """Find the data.

        Raises:
            NothingToTrainOn: it is not there.
        """
        session = self.session
        recipe = session.settings.recipe
        try:
            found = find_data(
                session.input,
                session.scratch,
                with_boxes=recipe.model.conditional,
                kind=data_set_of(recipe.data),
                recipe_name=recipe.name,
            )
        except DogsganError as error:
            raise NothingToTrainOn(str(error)) from error
        session.log.say(f"data: {found.description}")
        self.source = found.path

    def crop(self) -> None:
        """Cut the dogs out, into a folder that is not part of the output, wherever there is room for it.

        Raises:
            NothingToTrainOn: that failed everywhere.
        """
        session, reason = self.session, ""
        for scratch in session.scratches:
            session.scratch = scratch
            request = {
                "recipe": session.settings.recipe.to_json(),
                "source": str(self.source),
                "crops": str(self._crops_folder),
            }
            ended = session.run("crop", request, stop_at=self._cropping_stops_at)
            if ended.answer is not None:
                self.crops = ended.answer
                return
            reason = ended.reason()
            session.note(f"cropping into {session.scratch} failed: {reason}")
            shutil.rmtree(self._crops_folder, ignore_errors=True)  # joined data may lie beside them
        raise NothingToTrainOn(f"the data cannot be cropped: {reason}")

    def train(self) -> None:
        """Train on the GPUs that work until the time is up, whatever happens."""
        self.session.listen()
        self._whatever_happens(self._train)

    def sample(self) -> None:
        """Write images.zip from the last good generator: on a GPU if one works, else on the CPU."""
        self._whatever_happens(self._sample)

    def finish(self) -> int:
        """Keep what is worth keeping, say what happened, and return the exit status: 0 with a valid zip."""
        session = self.session
        run = self.training.runs[-1] if self.training else None
        sweep(session.working)
        for problem in keep(run, self._crops_folder, session.working):
            session.note(problem)
        with contextlib.suppress(DogsganError, OSError):
            write_json(session.working / REPORT_FILE, self._report())
        for scratch in session.scratches:
            shutil.rmtree(scratch, ignore_errors=True)
        session.log.say("what happened:")
        for event in session.events or ["nothing unforeseen"]:
            session.log.say(f"  {event}")
        session.log.say(self._conclusion())
        close_streams(0)  # a page that nobody reads changes nothing
        return 0 if self.sampled.get("valid") else 1

    def pictures(self, step: str) -> list[Path]:
        """Return what there is to look at after the step `crops`, `training` or `samples`."""
        run = self.training.runs[-1] if self.training else Path()
        grids = sorted((run / "samples").glob("*.png"))
        found = {
            "crops": [self._crops_folder / "contact-sheet.png"],
            "training": [
                *grids[:1],
                *grids[len(grids) // 2 : len(grids) // 2 + 1],
                *grids[-1:],
                run / "losses.png",
            ],
            "samples": [self.session.working / "samples.png"],
        }
        return [path for path in dict.fromkeys(found[step]) if path.is_file()]

    @property
    def _cropping_stops_at(self) -> float:
        """When cropping is given up: never at once, though a short budget may leave no time for training."""
        clock = self.session.clock
        return max(clock.training_stops_at(on_gpu=False), clock.started + CROPPING_SHARE * clock.budget_s)

    @property
    def _crops_folder(self) -> Path:
        return self.session.scratch / "crops"

    def _train(self) -> None:
        recipe, gpus = choose_machine(self.session)
        self.training = Training(self.session, recipe, gpus=gpus, crops=self._crops_folder)
        with self.safety:
            self.training.go_on_until_the_end()

    def _sample(self) -> None:
        session, clock = self.session, self.session.clock
        gpus = self.training.gpus[:1] if self.training else []
        if gpus and time.monotonic() < clock.first_try_stops_at():
            ended = self._sample_on(gpus, stop_at=clock.first_try_stops_at())
            if self.sampled:
                return
            session.note(f"sampling on the GPU failed ({ended.reason()}): the CPU samples")
        ended = self._sample_on([], stop_at=clock.ends_at if self.safety.report else clock.last_call_at)
        if not self.sampled:
            session.note(f"sampling on the CPU failed: {ended.reason()}")
            self._fall_back_on_safety()

    def _fall_back_on_safety(self) -> None:
        self.sampled = self.safety.report
        if self.sampled:
            self.session.note("images.zip is the one that was written for safety, halfway through training")

    def _sample_on(self, gpus: list[int], *, stop_at: float) -> Ended:
        request = {**self._to_sample(), "device": "auto" if gpus else "cpu"}
        ended = self.session.run("sample", request, stop_at=stop_at, gpus=gpus)
        self.sampled = ended.answer or {}
        return ended

    def _to_sample_if_trained(self) -> dict[str, Any]:
        return self._to_sample() if self.training and self.training.reached() > 0 else {}

    def _to_sample(self) -> dict[str, Any]:
        session, settings, training = self.session, self.session.settings, self.training
        return {
            "generators": [str(path) for path in training.generators()] if training else [],
            "recipe": (training.recipe if training else settings.cpu_recipe).to_json(),
            "class_count": self.crops.get("breeds", 0),
            "out": str(session.working / "images.zip"),
            "grid": str(session.working / "samples.png"),
            "count": settings.count,
            "seed": settings.seed,
            "truncation": settings.truncation,
            "device": "cpu",
        }

    def _report(self) -> dict[str, Any]:
        training = self.training
        return {
            "version": __version__,
            "seconds": round(time.monotonic() - self.session.clock.started, 1),
            "budget_s": self.session.settings.budget_s,
            "data": str(self.source),
            "crops": {key: self.crops.get(key) for key in ("crops", "images", "breeds", "skipped")},
            "gpus": len(training.gpus) if training else 0,
            "recipe": training.recipe.to_json() if training else None,
            "train": training.report if training else {},
            "sample": self.sampled,
            "events": self.session.events,
        }

    def _conclusion(self) -> str:
        if not self.sampled:
            return "error: there is no images.zip"
        left = self.session.clock.started + self.session.settings.budget_s - time.monotonic()
        check, images_seen = self.sampled["check"] or {"problems": []}, self.sampled["images_seen"]
        problems = "; ".join(f"{p['kind']} ({p['count']})" for p in check["problems"]) or "no problem"
        said = (
            f"images.zip: {self.session.settings.count:,} pictures by a generator that has seen "
            f"{images_seen:,} images; the check finds {problems}; {left:.0f} s of the budget are left"
        )
        return said if images_seen else f"{said}\n{UNTRAINED}"

    def _whatever_happens(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # a bug in the supervision must not cost the zip
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
