"""Training and sampling of one job in child processes, so that a valid zip comes whatever happens to them.

A kernel chooses its machine first. Training begins again from its last checkpoint, on fewer GPUs or in
smaller batches; halfway through it a zip is written for safety; sampling falls back to the CPU.
"""

import dataclasses
import json
import math
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from safetensors import SafetensorError

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.presets import preset
from dogsgan.supervise.children import Children, Ended
from dogsgan.supervise.session import Session
from dogsgan.tensors import GENERATOR_FILE, read_metadata
from dogsgan.training.run_folder import checkpoints, newest_checkpoint

SURVEY_LIMIT_S, PROBE_LIMIT_S = 300.0, 180.0
SMALLEST = "demo"  # the preset that samples fastest
UNTIMED_SHARE = 0.1  # of the budget, kept back for sampling where it could not be timed
MOST_ATTEMPTS = 6
MOST_WITHOUT_PROGRESS = 2  # attempts in a row that save nothing new
SMALLEST_BATCH = 8
USER_ERROR_STATUS = 2  # a worker's exit status
CRASHED = "crash"
"""`stopped_by` of a report where the last trainer could not give one."""
SAFETY_SHARE = 0.5  # of the budget has passed when the zip for safety is written
SAFETY_COST = 0.1  # of the budget: where sampling takes more, training is not disturbed
SAFETY_POLL_S = 5.0  # while nothing is trained yet
NICENESS = 19  # of the sampler beside training


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
    """Images between two evaluations while it trains; see `dogsgan.reports.evaluation`."""
    outlets: tuple[str, ...] = ()
    """Where the training's log goes, too; see `training.outlets`."""
    is_checked: bool = False
    """Whether the sampler checks the zip and draws `samples.png` beside it."""


def choose_machine(
    session: Session, recipe: Recipe, cpu_recipe: Recipe, *, count: int
) -> tuple[Recipe, list[int]]:
    """Return the recipe to train and the GPUs to train it on; the clock keeps back what a rescue takes."""
    request = {"recipe": recipe.to_json(), "cpu_recipe": cpu_recipe.to_json(), "count": count}
    ended = session.run("survey", request, stop_at=session.clock.within(SURVEY_LIMIT_S))
    surveyed = ended.answer or {}
    if not surveyed:
        session.note(f"torch cannot be asked for GPUs: {ended.reason()}")
    listed = surveyed.get("gpus", 0)
    gpus = working_gpus(session, range(listed))
    chosen = recipe if gpus else cpu_recipe
    if not gpus:
        session.note(f"no GPU works ({listed} listed): {chosen.name} on the CPU, which is slower")
    if surveyed.get("recipe") == chosen.name:
        _keep_back(session, surveyed, count=count)
    else:
        time_rescue(session, chosen, count=count)
    return (chosen if gpus else _in_time(session, chosen, count=count)), gpus


def _in_time(session: Session, recipe: Recipe, *, count: int) -> Recipe:
    """Return what a CPU can sample within the budget: the recipe, or else the smallest one of its kind."""
    clock = session.clock
    if clock.rescue_s < clock.budget_s:
        return recipe
    problem = f"WARNING: sampling with {recipe.name} takes {clock.finishing_s:.0f} s of {clock.budget_s:.0f}"
    small = preset(SMALLEST)
    if (recipe.data.size_px, recipe.data.channels) != (small.data.size_px, small.data.channels):
        session.note(f"{problem}: images.zip may not be there in time")
        return recipe
    session.note(f"{problem}: {small.name} is trained instead")
    model = dataclasses.replace(small.model, conditional=recipe.model.conditional)
    small = dataclasses.replace(small, data=recipe.data, model=model)
    time_rescue(session, small, count=count)
    return small


def working_gpus(session: Session, candidates: Iterable[int]) -> list[int]:
    """Return those on which a convolution and its gradient run, each tried in a process of its own."""
    working = []
    for gpu in candidates:
        ended = session.run("probe", {}, stop_at=session.clock.within(PROBE_LIMIT_S), gpus=[gpu])
        if ended.answer is not None and ended.answer["works"]:
            working.append(gpu)
            session.log.say(f"GPU {gpu}: {ended.answer['name']}, {ended.answer['memory_gb']} GB, works")
        else:
            reason = "no operation runs on it" if ended.answer else ended.reason()
            session.note(f"GPU {gpu} is listed but not used: {reason}")
    return working


def time_rescue(session: Session, recipe: Recipe, *, count: int) -> None:
    """Time on the CPU what sampling would take, and have the clock keep that back."""
    request = {"recipe": recipe.to_json(), "count": count}
    ended = session.run("measure", request, stop_at=session.clock.within(SURVEY_LIMIT_S), gpus=[])
    if ended.answer is None:
        session.note(f"sampling on the CPU could not be timed ({ended.reason()}): more time is kept back")
        session.clock.finishing_s = UNTIMED_SHARE * session.clock.budget_s
    else:
        _keep_back(session, ended.answer, count=count)


def _keep_back(session: Session, timed: dict[str, Any], *, count: int) -> None:
    session.clock.finishing_s = timed["finishing_s"]
    seconds = session.clock.rescue_s
    session.log.say(f"{seconds:.0f} s are kept back for sampling {count:,} pictures on the CPU")


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
            "budget_s": session.clock.training_budget_s(on_gpu=bool(self.gpus)),
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
        return self.session.clock.training_stops_at(on_gpu=bool(self.gpus))


def _images_seen(generator: Path) -> int:
    """Return what a generator's file says of itself; −1 where it cannot be read."""
    try:
        return int(json.loads(read_metadata(generator)["dogsgan"])["images_seen"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError):
        return -1


class SafetyZip:
    """Samples the newest generator once, on the CPU, beside the training that this context encloses.

    `report` is what the sampler said; it is empty as long as there is no such zip. Its place is the final
    one's, which replaces it. Leaving the context ends a sampler that still runs. Without a budget there is
    no such zip.
    """

    def __init__(self, session: Session, request: Callable[[], dict[str, Any]]) -> None:
        """Ask `request` for what to sample when the time has come; empty while nothing is trained yet."""
        self._session, self._request = session, request
        self._children = Children(None)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write_when_due, daemon=True)
        self.report: dict[str, Any] = {}

    def __enter__(self) -> Self:
        clock = self._session.clock
        if not math.isinf(clock.budget_s) and clock.rescue_s <= SAFETY_COST * clock.budget_s:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        while self._thread.is_alive():
            self._children.kill()
            self._thread.join(timeout=0.1)

    def _write_when_due(self) -> None:
        session = self._session
        clock = session.clock
        wait_s = max(0.0, clock.started + SAFETY_SHARE * clock.budget_s - time.monotonic())
        while True:
            if self._over.wait(timeout=wait_s):
                return
            if request := self._request():
                break
            wait_s = SAFETY_POLL_S
        request = {**request, "device": "cpu", "niceness": NICENESS}
        ended = session.run("sample", request, stop_at=clock.ends_at, gpus=[], beside=self._children)
        self.report = ended.answer or {}
        if session.log.raw:  # a bar is being drawn there
            return
        if self.report:
            images_seen = self.report["images_seen"]
            session.log.say(f"for safety, images.zip is there by the generator of {images_seen:,} images")
        elif not self._over.is_set():
            session.log.say(f"there is no images.zip for safety yet: {ended.reason()}")


class Driver:
    """The stages of one job. `sampled` is what the sampler said of the zip; empty where there is none."""

    def __init__(self, session: Session, job: Job, *, gpus: list[int] | None = None) -> None:
        """Train on the GPUs of these numbers; on none if the list is empty; on the job's device if None."""
        self.session, self.job = session, job
        self.training = Training(session, job, gpus=gpus)
        self.safety = SafetyZip(session, self._request_if_trained)
        self.sampled: dict[str, Any] = {}

    def train(self) -> None:
        """Train until the time is up, whatever happens."""
        with self.safety:
            self.training.run()

    def sample(self) -> Ended:
        """Write the zip from the last good generator: where it was trained, else on the CPU.

        Where that fails the zip of halfway counts, if there is one. Return how the last sampler ended.
        """
        session, clock, gpus = self.session, self.session.clock, self.training.gpus
        if gpus is None or (gpus and time.monotonic() < clock.first_try_stops_at()):
            device = self.job.device if gpus is None else "auto"
            ended = self._sample_on(gpus and gpus[:1], device, stop_at=clock.first_try_stops_at())
            is_user_error = gpus is None and ended.status == USER_ERROR_STATUS
            if self.sampled or is_user_error:
                return ended
            where = "the GPU" if gpus else device
            session.note(f"sampling on {where} failed ({ended.reason()}): the CPU samples")
        stop_at = clock.ends_at if self.safety.report and clock.is_hard else clock.last_call_at
        ended = self._sample_on([], "cpu", stop_at=stop_at)
        if not self.sampled:
            session.note(f"sampling on the CPU failed: {ended.reason()}")
            self.sampled = self.safety.report
            if self.sampled:
                session.note("images.zip is the one that was written for safety, halfway through training")
        return ended

    def _sample_on(self, gpus: list[int] | None, device: str, *, stop_at: float) -> Ended:
        ended = self.session.run("sample", {**self._request(), "device": device}, stop_at=stop_at, gpus=gpus)
        self.sampled = ended.answer or {}
        return ended

    def _request_if_trained(self) -> dict[str, Any]:
        return self._request() if self.training.reached() > 0 else {}

    def _request(self) -> dict[str, Any]:
        job = self.job
        return {
            "generators": [str(path) for path in self.training.generators()],
            "recipe": self.training.recipe.to_json(),
            "class_count": job.class_count,
            "out": str(job.zip_path),
            "grid": str(job.zip_path.with_name("samples.png")) if job.is_checked else None,
            "count": job.count,
            "seed": job.seed,
            "truncation": job.truncation,
        }
