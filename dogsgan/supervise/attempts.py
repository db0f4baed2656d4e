"""Training in a child process, begun again from its last checkpoint, on fewer GPUs or in smaller batches."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from dogsgan.config import Recipe
from dogsgan.supervise.children import Ended
from dogsgan.supervise.machine import time_rescue, working_gpus
from dogsgan.supervise.session import Session
from dogsgan.tensors import read_metadata

MOST_ATTEMPTS = 6
SMALLEST_BATCH = 8
GENERATOR_FILE = "generator.safetensors"
CANNOT_BE_MENDED = 2  # a worker's exit status


class Training:
    """A recipe on the GPUs that work, through whatever happens. `report` is what the last trainer said."""

    def __init__(self, session: Session, recipe: Recipe, *, gpus: list[int], crops: Path) -> None:
        self.session, self.recipe, self.gpus, self.crops = session, recipe, gpus, crops
        self.runs = [session.scratch / "run-1"]
        self.report: dict[str, Any] = {}

    def go_on_until_the_end(self) -> None:
        """Train until the time or the images are up, or nothing is left to try."""
        for _ in range(MOST_ATTEMPTS):
            if self.session.stop_signal:  # it came before there was a trainer to tell
                return
            before = self.reached()
            ended = self._attempt()
            if ended.answer is None:
                self.session.note(f"training ended: {ended.reason()}")
            else:
                self.report = ended.answer
                self._note_unless_planned(self.report)
            if not self._can_go_on(ended, progressed=self.reached() > before):
                return

    def generators(self) -> list[Path]:
        """Return every generator on disk, the most trained of the last run first."""
        found: list[Path] = []
        for run in reversed(self.runs):
            checkpoints = sorted((run / "checkpoints").glob("*"), reverse=True)
            paths = [folder / GENERATOR_FILE for folder in checkpoints if folder.name.isdigit()]
            # The run's own is a copy of the newest, or newer where the disk had no room for a checkpoint.
            found += sorted([*paths, run / GENERATOR_FILE], key=_images_seen, reverse=True)
        return [path for path in found if path.is_file()]

    def reached(self) -> int:
        """Return the images that the last run's newest checkpoint has seen; −1 where there is none."""
        folders = (self.runs[-1] / "checkpoints").glob("*")
        return max((int(folder.name) for folder in folders if folder.name.isdigit()), default=-1)

    def _attempt(self) -> Ended:
        session, on_gpu = self.session, bool(self.gpus)
        request = {
            "recipe": self.recipe.to_json(),
            "crops": str(self.crops),
            "run": str(self.runs[-1]),
            "images": session.settings.images,
            "budget_s": session.clock.training_budget_s(on_gpu=on_gpu),
            "started": session.clock.started,
            "device": "auto" if on_gpu else "cpu",
            "count": session.settings.count,
        }
        session.may_stop = True
        ended = session.run("train", request, stop_at=self._stop_at(), gpus=self.gpus)
        session.may_stop = False
        return ended

    def _note_unless_planned(self, report: dict[str, Any]) -> None:
        session, stopped_by, images_seen = self.session, report["stopped_by"], report["images_seen"]
        if stopped_by == "SIGTERM" and session.stop_signal is None:  # the watchdog's: nobody else asked
            session.log.say(f"training was asked to stop at {images_seen:,} images: its time was up")
        elif stopped_by not in ("images", "budget"):
            session.note(f"training stopped by {stopped_by} at {images_seen:,} images")

    def _can_go_on(self, ended: Ended, *, progressed: bool) -> bool:
        """Return whether another attempt is worth it, having changed what has to be changed for it."""
        if ended.answer is not None:
            return ended.answer["stopped_by"] == "out-of-memory" and self._with_smaller_batches(ended.answer)
        if self.session.stop_signal or ended.how == "overran" or ended.status == CANNOT_BE_MENDED:
            return False
        if self._stop_at() - time.monotonic() < 2 * self.session.clock.startup_s:
            return False
        return self._on_what_still_works(progressed=progressed)

    def _with_smaller_batches(self, report: dict[str, Any]) -> bool:
        batch_size = self.recipe.training.batch_size // 2
        if report["steps"] or batch_size < SMALLEST_BATCH:
            return False
        training = dataclasses.replace(self.recipe.training, batch_size=batch_size)
        self._begin_anew(dataclasses.replace(self.recipe, training=training), why=f"batches of {batch_size}")
        return True

    def _on_what_still_works(self, *, progressed: bool) -> bool:
        """After a crash: the GPUs that still work, one of them if that did not help, else the CPU."""
        if not self.gpus:
            return progressed
        before = len(self.gpus)
        self.gpus = working_gpus(self.session, self.gpus)
        if not progressed:
            self.gpus = self.gpus[:1]
        if self.gpus and (progressed or len(self.gpus) < before):
            self.session.note(f"training goes on from its last checkpoint with {len(self.gpus)} GPU")
            return True
        if self.reached() > 0:
            return False  # what a GPU has learned is worth more than a small run begun anew
        self.gpus = []
        self._begin_anew(self.session.settings.cpu_recipe, why="the CPU, which is slower")
        time_rescue(self.session, self.recipe)
        return True

    def _begin_anew(self, recipe: Recipe, *, why: str) -> None:
        self.recipe = recipe
        self.runs.append(self.session.scratch / f"run-{len(self.runs) + 1}")
        self.session.note(f"training begins anew with {why}")

    def _stop_at(self) -> float:
        return self.session.clock.training_stops_at(on_gpu=bool(self.gpus))


def _images_seen(generator: Path) -> int:
    """Return what a generator's file says of itself; −1 where it cannot be read."""
    try:
        return int(json.loads(read_metadata(generator)["dogsgan"])["images_seen"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return -1
