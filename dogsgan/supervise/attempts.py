"""Training in child processes, begun again from its last checkpoint, on fewer GPUs or in smaller batches."""

import dataclasses
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.supervise.children import Ended
from dogsgan.supervise.machine import time_rescue, working_gpus
from dogsgan.supervise.session import Session
from dogsgan.tensors import GENERATOR_FILE, read_metadata
from dogsgan.training.run_folder import checkpoints, newest_checkpoint

MOST_ATTEMPTS = 6
MOST_WITHOUT_PROGRESS = 2  # attempts in a row that save nothing new
SMALLEST_BATCH = 8
USER_ERROR_STATUS = 2  # a worker's exit status
CRASHED = "crash"
"""`stopped_by` of a report where the last trainer could not give one."""


@dataclass(frozen=True)
class Job:
    """What is trained and sampled, and where."""

    recipe: Recipe
    crops: Path
    """A prepared set."""
    run: Path
    """Folder of the run, which goes on where it has a checkpoint; those that are begun anew lie beside it."""
    zip_path: Path
    images: int | None = None
    """Training ends after so many real images, resumed or not; None: when the time is up."""
    count: int = COUNT
    seed: int = 0
    truncation: float = 1.0
    class_count: int = 0
    """Of the prepared set."""
    device: str = "auto"
    """Where no GPUs are named."""
    cpu_recipe: Recipe | None = None
    """Begun anew where no GPU works any more. None: the recipe is never changed, and no run begun anew."""
    evaluate_every: int | None = None
    """Images between two evaluations while it trains; see `dogsgan.evaluation`."""
    outlets: tuple[str, ...] = ()
    """Where the training's log goes, too; see `training.outlets`."""
    is_checked: bool = False
    """Whether the sampler checks the zip and draws `samples.png` beside it."""


class Training:
    """A job on the GPUs that work (None: on its device), through whatever happens.

    `report` is what the last trainer said, `ended` how it ended.
    """

    def __init__(self, session: Session, job: Job, *, gpus: list[int] | None = None) -> None:
        self.session, self.job, self.gpus, self.recipe = session, job, gpus, job.recipe
        self.runs = [job.run]
        self.report: dict[str, Any] = {}
        self.ended: Ended | None = None
        self.attempts = self._without_progress = 0

    @property
    def on_gpu(self) -> bool:
        """Whether named GPUs are used."""
        return bool(self.gpus)

    def run(self) -> None:
        """Train until the time or the images are up, or nothing is left to try."""
        for _ in range(MOST_ATTEMPTS):
            if self.session.wish:  # it came before there was a trainer to tell
                return
            before = self.reached()
            self.attempts += 1
            self.ended = ended = self._attempt()
            if ended.answer is None:
                self.report = {}
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
            paths = [folder / GENERATOR_FILE for folder in reversed(checkpoints(run))]
            # The run's own is the best of the newest's averages, or newer where the disk was full.
            found += sorted([run / GENERATOR_FILE, *paths], key=_images_seen, reverse=True)
        return [path for path in found if path.is_file()]

    def reached(self) -> int:
        """Return the images that the last run's newest checkpoint has seen; −1 where there is none."""
        newest = newest_checkpoint(self.runs[-1])
        return -1 if newest is None else int(newest.name)

    def _attempt(self) -> Ended:
        session, job = self.session, self.job
        request = {
            "recipe": self.recipe.to_json(),
            "crops": str(job.crops),
            "run": str(self.runs[-1]),
            "images": job.images,
            "budget_s": session.clock.training_budget_s(on_gpu=self.on_gpu),
            "started": session.clock.started,
            "device": self._device(),
            "count": job.count,
            "locks": job.cpu_recipe is None,
            "evaluate_every": job.evaluate_every,
            "outlets": list(job.outlets),
        }
        return session.run("train", request, stop_at=self._stop_at(), gpus=self.gpus, forward_signals=True)

    def _device(self) -> str:
        if self.gpus is None:
            return self.job.device
        return "auto" if self.gpus else "cpu"

    def _note_unless_planned(self, report: dict[str, Any]) -> None:
        session, stopped_by, images_seen = self.session, report["stopped_by"], report["images_seen"]
        if stopped_by == "SIGTERM" and not session.wish:  # the watchdog's: nobody else asked
            session.log.say(f"training was asked to stop at {images_seen:,} images: its time was up")
            report["stopped_by"] = "budget"
        elif stopped_by not in ("images", "budget"):
            session.note(f"training stopped by {stopped_by} at {images_seen:,} images")

    def _can_go_on(self, ended: Ended, *, progressed: bool) -> bool:
        """Return whether another attempt is worth it, having changed what has to be changed for it."""
        if ended.answer is not None:
            return ended.answer["stopped_by"] == "out-of-memory" and self._with_smaller_batches(ended.answer)
        if self.session.wish or ended.how == "overran":
            return False
        if self._stop_at() - time.monotonic() < 2 * self.session.clock.startup_s:
            return False
        return self._retry_on_working_devices(
            progressed=progressed, is_user_error=ended.status == USER_ERROR_STATUS
        )

    def _with_smaller_batches(self, report: dict[str, Any]) -> bool:
        batch_size = self.recipe.training.batch_size // 2
        if report["steps"] or batch_size < SMALLEST_BATCH or self.job.cpu_recipe is None:
            return False
        training = dataclasses.replace(self.recipe.training, batch_size=batch_size)
        self._restart(dataclasses.replace(self.recipe, training=training), why=f"batches of {batch_size}")
        return True

    def _retry_on_working_devices(self, *, progressed: bool, is_user_error: bool) -> bool:
        """After a crash: the GPUs that still work, one of them if that did not help, else the CPU."""
        self._without_progress = 0 if progressed else self._without_progress + 1
        if not self.gpus:
            if is_user_error:
                return not progressed and self._leave_earlier_run()
            if self._without_progress >= MOST_WITHOUT_PROGRESS:
                return False
            self.session.note("training goes on from its last checkpoint")
            return True
        before = len(self.gpus)
        self.gpus = working_gpus(self.session, self.gpus)
        if is_user_error and len(self.gpus) == before:
            return not progressed and self._leave_earlier_run()
        if not progressed:
            self.gpus = self.gpus[:1]
        if self.gpus and (progressed or len(self.gpus) < before):
            self.session.note(f"training goes on from its last checkpoint with {len(self.gpus)} GPU")
            return True
        if self.reached() > 0 or self.job.cpu_recipe is None:
            return False  # what a GPU has learned is worth more than a small run begun anew
        self.gpus = []
        self._restart(self.job.cpu_recipe, why="the CPU, which is slower")
        time_rescue(self.session, self.recipe, count=self.job.count)
        return True

    def _leave_earlier_run(self) -> bool:
        """Begin anew beside an earlier kernel's run that training refuses; return whether there is one."""
        if self.job.cpu_recipe is None or self.attempts > 1 or self.reached() < 0:
            return False
        self._restart(self.recipe, why=f"{self.recipe.name}: WARNING, the earlier run cannot be continued")
        return True

    def _restart(self, recipe: Recipe, *, why: str) -> None:
        self.recipe = recipe
        self.runs.append(self.job.run.with_name(f"run-{len(self.runs) + 1}"))
        self.session.note(f"training begins anew with {why}")

    def _stop_at(self) -> float:
        return self.session.clock.training_stops_at(on_gpu=self.on_gpu)


def _images_seen(generator: Path) -> int:
    """Return what a generator's file says of itself; −1 where it cannot be read."""
    try:
        return int(json.loads(read_metadata(generator)["dogsgan"])["images_seen"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return -1
