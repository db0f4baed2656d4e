"""One run of a study: trained to its length, and perhaps judged, in a folder that remembers both."""

import dataclasses
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.grids import save_grid
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, sha256_of, write_json
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.models.sampling import Sampler
from dogsgan.progress import optional_file
from dogsgan.stages import train_within
from dogsgan.training.deadline import Deadline
from dogsgan.training.interrupts import STOP_SIGNALS
from dogsgan.training.log import PROCESSOR_S, read_log
from dogsgan.training.loop import DIVERGED
from dogsgan.training.run_folder import checkpoints

RESULT_FILE = "result.json"
SAMPLES_SEED = 0  # of the noise that every generator is given: the same for all
_GRID_PICTURES, _GRID_COLUMNS = 80, 10


@dataclass(frozen=True)
class Trained:
    """How the training of a run went."""

    images: int | None  # what it was to see; None where only its processor time was given
    images_seen: int
    stopped_by: str  # as in a TrainReport
    rollbacks: int
    seconds_per_thousand_images: float | None  # by its log: neither pauses between calls nor grids count
    generator: str  # the sha256 of the averaged generator that it left
    budget_s: float | None = None  # the processor seconds that it was given
    processor_s: float | None = None  # those that it used; None in files of earlier versions

    @property
    def is_final(self) -> bool:
        """Whether training it again would change nothing: out of memory may be another matter next time."""
        return self.stopped_by in ("images", "budget", DIVERGED)

    @property
    def seconds(self) -> float | None:
        """What the training took by its rate."""
        rate = self.seconds_per_thousand_images
        return None if rate is None else round(rate * self.images_seen / 1000, 1)


F = TypeVar("F")
F_co = TypeVar("F_co", covariant=True)


class Judging(Protocol[F_co]):
    """Turns the pictures of a run into figures, which are a dataclass."""

    @property
    def count(self) -> int:
        """How many pictures it takes."""

    @property
    def key(self) -> dict[str, Any]:
        """What decides the figures beside the generator, as plain values."""

    def figures(self, pictures: np.ndarray) -> F_co:
        """Return the figures of N×H×W×C uint8 pictures."""

    def restored(self, saved: dict[str, Any]) -> F_co:
        """Return figures that were saved as plain values; raise KeyError or TypeError if they are others."""


@dataclass(frozen=True)
class Result(Generic[F]):
    """What became of a run."""

    trained: Trained
    figures: F | None  # None where the generator makes no pictures
    problem: str | None  # why there are no figures

    @property
    def is_final(self) -> bool:
        """Whether making it again would change nothing."""
        return self.trained.is_final


def kept_result(
    run: Path, *, images: int | None = None, budget_s: float | None = None, judge: Judging[F]
) -> Result[F] | None:
    """Return the result of a run of that length if it is there, of this judge, and of the generator there."""
    saved = _read(run)
    trained = kept_training(run, images=images, budget_s=budget_s)
    if trained is None or saved.get("key") != judge.key:
        return None
    try:
        figures = saved["figures"]
        return Result(trained, judge.restored(figures) if figures else None, saved["problem"])
    except (KeyError, TypeError):
        return None  # another version's: it is judged anew


def finish_run(
    run: Path,
    recipe: Recipe,
    crop_set: CropSet,
    *,
    images: int | None = None,
    budget_s: float | None = None,
    judge: Judging[F],
    device: str,
    grid: Path,
) -> Result[F]:
    """Train a run to its length, or go on with it; sample it, draw a grid of it, and judge it.

    What a diverged run left is judged like any other: the last good generator.

    Raises:
        KeyboardInterrupt: a signal asked to stop; the run goes on with the next call.
        DogsganError: the folder holds a run of another recipe, or something else cannot be used.
    """
    trained = finish_training(run, recipe, crop_set, images=images, budget_s=budget_s, device=device)
    figures = problem = None
    try:
        pictures = Sampler.open(run, device=device).sample(judge.count, seed=SAMPLES_SEED)
    except DogsganError as error:  # NaN: what the row is to say, and no reason to leave out the others
        problem = str(error)
    else:
        with optional_file(grid):
            save_grid(pictures[:_GRID_PICTURES], grid, columns=_GRID_COLUMNS)
        figures = judge.figures(pictures)
    result: Result[F] = Result(trained, figures, problem)
    write_json(run / RESULT_FILE, {**dataclasses.asdict(result), "key": judge.key})
    return result


def _read(run: Path) -> dict[str, Any]:
    path = run / RESULT_FILE
    saved = read_json(path) if path.exists() else {}
    return saved if isinstance(saved, dict) else {}


def kept_training(run: Path, *, images: int | None, budget_s: float | None = None) -> Trained | None:
    """Return what is noted of a training that is final, of that length, and of the generator there."""
    try:
        trained = Trained(**_read(run)["trained"])
    except (KeyError, TypeError):
        return None  # nothing there, or another version's: a run that is at its end ends at once
    file = run / GENERATOR_FILE
    same_length = (trained.images, trained.budget_s) == (images, budget_s)
    if not same_length or not trained.is_final or not file.is_file():
        return None
    return trained if sha256_of(file) == trained.generator else None


def finish_training(
    run: Path,
    recipe: Recipe,
    crop_set: CropSet,
    *,
    images: int | None,
    budget_s: float | None = None,
    device: str,
) -> Trained:
    """Train a run to its length, go on with it, or return what is known of it.

    `budget_s` are processor seconds of training, over all calls together: a run that was stopped goes on with
    what its last checkpoint left of them.

    A diverged run counts as it is, with its last good generator; one that ran out of memory is tried again
    the next time.

    Raises:
        KeyboardInterrupt: a signal asked to stop; the run goes on with the next call.
        DogsganError: the folder holds a run of another recipe or set, or it cannot be trained.
    """
    if kept := kept_training(run, images=images, budget_s=budget_s):
        return kept
    left_s = None if budget_s is None else budget_s - processor_seconds(run)
    deadline = Deadline(left_s, clock=None if budget_s is None else time.process_time)
    report = train_within(recipe, crop_set, run, images=images, deadline=deadline, device=device)
    if report.stopped_by in STOP_SIGNALS:
        raise KeyboardInterrupt
    trained = Trained(
        images=images,
        images_seen=report.images_seen,
        stopped_by=report.stopped_by,
        rollbacks=report.rollbacks,
        seconds_per_thousand_images=seconds_per_thousand_images(run),
        generator=sha256_of(run / GENERATOR_FILE),
        budget_s=budget_s,
        processor_s=processor_seconds(run),
    )
    write_json(run / RESULT_FILE, {"trained": dataclasses.asdict(trained)})
    return trained


def processor_seconds(run: Path) -> float:
    """Return the processor seconds that a run used up to its last checkpoint, by its log."""
    saved = checkpoints(run)
    images_seen = int(saved[-1].name) if saved else 0
    return max(
        (
            float(line.get(PROCESSOR_S) or 0)
            for line in read_log(run, between=True)
            if line["images_seen"] <= images_seen
        ),
        default=0.0,
    )


def seconds_per_thousand_images(run: Path) -> float | None:
    """Return what a thousand images cost by the rates in a run's log; None where it logged none."""
    seconds, before = 0.0, 0
    for line in read_log(run):
        if rate := line.get("images_per_second"):
            seconds += (line["images_seen"] - before) / rate
            before = line["images_seen"]
    return 1000 * seconds / before if before else None
