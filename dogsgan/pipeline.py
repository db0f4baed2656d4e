"""What chains the rooms: `generate` (run to zip), `run` (source to scored zip), `demo` (drawn dogs to that).

The stages are the functions that the commands call; what passes between them lies in the output folder, so
that each can be used alone and a run that was stopped goes on with the stage it stopped in.
"""

import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet, is_crop_set
from dogsgan.data.pictures import decode_picture
from dogsgan.data.prepare import PrepareReport, prepare
from dogsgan.data.sources import open_source
from dogsgan.data.synthetic import draw_competition
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, sha256_of, write_json
from dogsgan.grids import save_grid
from dogsgan.presets import preset
from dogsgan.progress import progress_bar, say
from dogsgan.sampling import Sampler, check_truncation, load_sampler, rehearse_sampling
from dogsgan.scoring.networks import open_network
from dogsgan.scoring.scorer import Score, score
from dogsgan.scoring.weights import find_weights
from dogsgan.submission import CheckReport, SubmissionReport, check_submission, write_submission
from dogsgan.submission.writing import encode_png
from dogsgan.training.checkpoint import GENERATOR_FILE
from dogsgan.training.interrupts import listen_for_stop
from dogsgan.training.loop import TrainReport, train

COUNT = 10_000
DEMO_IMAGES = 1_200
DEMO_BUDGET_S = 230.0


def generate(
    run: Path, out: Path, *, count: int = COUNT, seed: int = 0, truncation: float = 1.0, device: str = "auto"
) -> SubmissionReport:
    """Sample the averaged generator of a run (or a generator file) into a zip of PNGs.

    Raises:
        DogsganError: no usable generator, or the zip cannot be written; nothing stands under `out` then.
    """
    check_truncation(truncation)
    began = time.monotonic()
    sampler = load_sampler(run, device=device)
    with progress_bar(description="generate", total=count) as bar:
        pictures = _counted(sampler, bar, count=count, seed=seed, truncation=truncation)
        report = write_submission(pictures, out, count=count)
    return SubmissionReport(report.path, report.count, time.monotonic() - began, report.bytes)


def _counted(sampler: Sampler, bar: Any, *, count: int, seed: int, truncation: float) -> Iterator[np.ndarray]:
    for batch in sampler.batches(count, seed=seed, truncation=truncation):
        yield batch
        bar.update(len(batch))


def finishing_seconds(generator: nn.Module, recipe: Recipe, *, class_count: int, count: int) -> float:
    """Measure what sampling and zipping `count` pictures will take after training, on one core."""
    sampling_s, pictures = rehearse_sampling(
        generator, z_dim=recipe.model.z_dim, class_count=class_count, count=count
    )
    began = time.monotonic()
    for picture in pictures:
        encode_png(picture)
    return sampling_s + (time.monotonic() - began) / len(pictures) * count


def train_within(
    recipe: Recipe,
    crop_set: CropSet,
    run: Path,
    *,
    images: int | None,
    budget_s: float | None,
    started: float | None = None,
    resume: str = "auto",
    device: str = "auto",
    count: int = COUNT,
) -> TrainReport:
    """Train so that `count` pictures can still be sampled and zipped within the budget.

    What the set was prepared with goes into the recipe, so that the run's recipe tells the truth.
    """
    recipe = recipe_of_set(recipe, crop_set)
    class_count = len(crop_set.class_names) if recipe.model.conditional else 0
    return train(
        recipe,
        crop_set,
        run,
        images=images,
        budget_s=budget_s,
        started=started,
        resume=resume,
        device=device,
        finishing_s=lambda generator: finishing_seconds(
            generator, recipe, class_count=class_count, count=count
        ),
    )


def recipe_of_set(recipe: Recipe, crop_set: CropSet) -> Recipe:
    """Return the recipe with the crop policy and boxes that a prepared set was really made with."""
    made_with = {
        name: crop_set.provenance[name]
        for name in ("policy", "boxes", "min_box_px")
        if name in crop_set.provenance
    }
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **made_with))


def refuse_other_crops(settings: list[str], recipe: Recipe, crop_set: CropSet) -> None:
    """Refuse settings `data.…=…` that ask for other crops than a prepared set has.

    Raises:
        DogsganError: naming the first such setting.
    """
    asked = {setting.partition("=")[0].strip() for setting in settings}
    for difference in recipe.differences(recipe_of_set(recipe, crop_set)):
        if difference.partition(":")[0] in asked:
            raise DogsganError(
                f"--set {difference} in {crop_set.path}: prepare a set that way, or leave it out"
            )


@dataclass(frozen=True)
class RunReport:
    """What every stage of a run reported; None for one that did not run."""

    out: Path
    seconds: float
    prepare: PrepareReport | None
    train: TrainReport
    generate: dict[str, Any]
    check: CheckReport
    score: Score | None
    notes: tuple[str, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        """Return the reports by stage."""
        return {
            "out": str(self.out),
            "seconds": round(self.seconds, 1),
            "prepare": self.prepare.to_json() if self.prepare else None,
            "train": self.train.to_json(),
            "generate": self.generate,
            "check": self.check.to_json(),
            "score": self.score.to_json() if self.score else None,
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """Return one paragraph a stage."""
        parts = [stage.summary() for stage in (self.prepare, self.train, self.check, self.score) if stage]
        return "\n".join([*parts, *self.notes, f"everything is in {self.out} ({self.seconds:.0f} s)"])


def run_pipeline(
    source: Path,
    out: Path,
    *,
    recipe: Recipe,
    images: int | None = None,
    budget_s: float | None = None,
    started: float | None = None,
    count: int = COUNT,
    seed: int = 0,
    truncation: float = 1.0,
    network: str = "auto",
    weights: Path | None = None,
    workers: int | None = None,
    device: str = "auto",
) -> RunReport:
    """Go from a source to a scored zip in `out`, or go on where an earlier call stopped.

    `out` then holds `crops/`, `run/`, `images.zip`, `samples.png` and `report.json`. The budget of a call
    covers everything up to the finished zip; the score comes after it.

    Args:
        network: as for `score`; `auto` is the competition's public network where its weights are found, else
        `stand-in`.

    Raises:
        DogsganError: something a person can mend; what was finished stays for the next call.
    """
    began = time.monotonic()
    started = began if started is None else started
    check_truncation(truncation)
    network, network_note = _chosen_network(network, weights)
    notes = [network_note] if network_note else []

    crop_set, prepared = _prepared(source, out / "crops", recipe, workers=workers)
    with listen_for_stop() as wish:  # whatever stops training, the zip still comes
        trained = train_within(
            recipe,
            crop_set,
            out / "run",
            images=images,
            budget_s=budget_s,
            started=started,
            device=device,
            count=count,
        )
        generated = _generated(out, count=count, seed=seed, truncation=truncation, device=device)
    zip_path = out / "images.zip"
    checked = check_submission(zip_path, count=count, size_px=recipe.data.size_px)
    _save_sample_grid(zip_path, out / "samples.png")
    scored = None
    stopped_by = wish.signal_name or trained.stopped_by
    if stopped_by in ("SIGTERM", "SIGINT"):
        notes.append(
            f"stopped by {stopped_by}: not scored; `dogsgan score {zip_path} --real {source}` does that"
        )
    else:
        try:
            scored = score(zip_path, source, network=network, weights=weights, device=device)
        except DogsganError as error:
            notes.append(f"not scored: {error}")
    report = RunReport(
        out, time.monotonic() - began, prepared, trained, generated, checked, scored, tuple(notes)
    )
    write_json(out / "report.json", report.to_json())
    return report


def _prepared(
    source: Path, out: Path, recipe: Recipe, *, workers: int | None
) -> tuple[CropSet, PrepareReport | None]:
    if is_crop_set(source):
        return CropSet.open(source), None
    data = recipe.data
    report = prepare(
        source,
        out,
        size_px=data.size_px,
        policy=data.policy,
        boxes=data.boxes,
        min_box_px=data.min_box_px,
        workers=workers,
    )
    say(report.summary())
    return report.crop_set, report


def _generated(out: Path, *, count: int, seed: int, truncation: float, device: str) -> dict[str, Any]:
    """Sample into `images.zip`, unless the one that stands there came from the same weights and arguments."""
    zip_path, record_path = out / "images.zip", out / "generate.json"
    key = {
        "generator": sha256_of(out / "run" / GENERATOR_FILE),
        "count": count,
        "seed": seed,
        "truncation": truncation,
    }
    if zip_path.exists() and record_path.exists():
        record = read_json(record_path)
        if record.get("key") == key and record.get("zip") == sha256_of(zip_path):
            return {**record["report"], "reused": True}
    report = generate(out / "run", zip_path, count=count, seed=seed, truncation=truncation, device=device)
    say(report.summary())
    write_json(record_path, {"key": key, "zip": sha256_of(zip_path), "report": report.to_json()})
    return {**report.to_json(), "reused": False}


def _chosen_network(network: str, weights: Path | None) -> tuple[str, str | None]:
    """Return the network to score with, opened once before hours are spent, and a note on the choice."""
    if network == "auto" and weights is None:
        try:
            find_weights("public")
        except DogsganError:
            return "stand-in", (
                "no weights of the competition's network here: scored by the stand-in, whose figure is not "
                "Kaggle's; `dogsgan weights public` fetches them"
            )
    name = "public" if network == "auto" else network
    open_network(name, weights=weights, device="cpu")
    return name, None


def _save_sample_grid(zip_path: Path, path: Path, *, columns: int = 16, rows: int = 10) -> None:
    """Draw the first pictures of a zip."""
    source = open_source(zip_path)
    shown = source.images[: columns * rows]
    pictures = [np.asarray(decode_picture(source.read(image), image.name)) for image in shown]
    save_grid(np.stack(pictures), path, columns=columns)


def demo(
    out: Path,
    *,
    budget_s: float = DEMO_BUDGET_S,
    images: int | None = None,
    count: int = COUNT,
    device: str = "auto",
) -> RunReport:
    """Draw dogs in the competition's layout and run everything on them, with preset and network to match."""
    started = time.monotonic()
    source = out / "drawn-dogs.zip"
    if not source.exists():
        draw_competition(source, images=DEMO_IMAGES)
    return run_pipeline(
        source,
        out,
        recipe=preset("demo"),
        images=images,
        budget_s=budget_s,
        started=started,
        network="stand-in",
        count=count,
        device=device,
    )
