"""What chains the rooms: `run`, from a source to a scored and audited zip.

The stages are the functions that the commands call; what passes between them lies in the output folder, so
that each can be used alone and a run that was stopped goes on with the stage it stopped in.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.audit import Audit, audit
from dogsgan.audit.copies.evidence import NULL_SAMPLE
from dogsgan.audit.planning import AUDIT_LIMIT_S
from dogsgan.choosing import choose_recipe, refuse_too_slow, unconditional_without_labels
from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.prepare import PrepareReport
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.choice import chosen_network
from dogsgan.features.networks import open_network
from dogsgan.files import holds, read_json, sha256_of, write_json
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.progress import say
from dogsgan.score import Score, score
from dogsgan.stages import (
    COUNT,
    crops_of,
    generate,
    recipe_of_set,
    save_labels,
    save_sample_grid,
    train_within,
)
from dogsgan.submission import CheckReport, check_submission
from dogsgan.submission.checking import Problem
from dogsgan.training.checkpoint import read_recipe
from dogsgan.training.deadline import Deadline
from dogsgan.training.interrupts import ENDING, listen_for_stop, outlast_notices
from dogsgan.training.report import TrainReport

Tell = Callable[[str], None]
"""Takes what a stage found, as it ends."""
UNTRAINED = "worthless: the generator is untrained and the pictures are noise; give it a longer budget"


@dataclass(frozen=True)
class RunReport:
    """What every stage of a run reported; None for one that did not run, or not yet."""

    out: Path
    seconds: float = 0.0
    prepare: PrepareReport | None = None
    train: TrainReport | None = None
    generate: dict[str, Any] | None = None
    check: CheckReport | None = None
    score: Score | None = None
    audit: Audit | None = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a zip that the competition would take, by a generator that was trained."""
        trained = self.train is not None and self.train.trained_something
        return trained and self.check is not None and self.check.ok

    @property
    def untrained(self) -> bool:
        """Whether the zip comes from a generator that has learned nothing."""
        return self.train is not None and not self.train.trained_something

    def to_json(self) -> dict[str, Any]:
        """Return the reports by stage."""
        return {
            "out": str(self.out),
            "seconds": round(self.seconds, 1),
            "ok": self.ok,
            "untrained": self.untrained,
            "prepare": self.prepare.to_json() if self.prepare else None,
            "train": self.train.to_json() if self.train else None,
            "generate": self.generate,
            "check": self.check.to_json() if self.check else None,
            "score": self.score.to_json() if self.score else None,
            "audit": self.audit.to_json(report=self.out / "audit" / "report.html") if self.audit else None,
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """Return one paragraph a stage."""
        stages = (self.prepare, self.train, self.check, self.score, self.audit)
        parts = [self.marked(stage.summary()) for stage in stages if stage]
        return "\n".join([*parts, *self.notes, self.closing()])

    def closing(self) -> str:
        """Return the last line: where everything is."""
        return self.marked(f"everything is in {self.out} ({self.seconds:.0f} s)")

    def marked(self, text: str) -> str:
        """Return a stage's text, marked where it tells of an untrained generator."""
        return f"[untrained generator] {text}" if self.untrained else text


class _Record:
    """A run's report while it grows: each stage is told, and saved in `report.json`, as it ends."""

    def __init__(self, out: Path, *, began: float, tell: Tell) -> None:
        self.report, self._began, self._tell = RunReport(out), began, tell

    def add(self, text: str, **found: Any) -> None:
        """Take over what a stage found. A report that cannot be written costs no stage."""
        self.report = dataclasses.replace(self.report, **found)
        self._tell(self.report.marked(text))
        self.save()

    def note(self, text: str) -> None:
        """Take over a remark."""
        self.add(text, notes=(*self.report.notes, text))

    def save(self) -> None:
        """Write `report.json`."""
        self.report = dataclasses.replace(self.report, seconds=time.monotonic() - self._began)
        try:
            write_json(self.report.out / "report.json", self.report.to_json())
        except DogsganError as error:
            say(f"report.json is not written: {error}")


@holds("out")
def run_pipeline(
    source: Path,
    out: Path,
    *,
    recipe: Recipe | None = None,
    settings: Sequence[str] = (),
    images: int | None = None,
    deadline: Deadline | None = None,
    count: int = COUNT,
    seed: int = 0,
    truncation: float = 1.0,
    network: str = "auto",
    weights: Path | None = None,
    workers: int | None = None,
    device: str = "auto",
    audited: bool = True,
    audit_sample: int | None = None,
    null_sample: int = NULL_SAMPLE,
    score_sample: int | None = None,
    tell: Tell = say,
) -> RunReport:
    """Go from a source to a scored and audited zip in `out`, or go on where an earlier call stopped.

    `out` then holds `crops/`, `run/`, `images.zip`, its classes in `labels.csv` where the recipe knows any,
    `samples.png`, `best.png` and `worst.png` where the network is a classifier, `audit/` and `report.json`,
    which grows with every stage. The budget of a call covers everything up to the finished zip; the score and
    the audit come after it.

    Args:
        recipe: what to train; None for that of the run in `out`, or one chosen by device, data and budget
            (`choose_recipe`), changed by `settings`.
        audited: whether to audit; `audit_sample` pictures chosen by chance, or as many as `AUDIT_LIMIT_S`
            leaves time for, beside at most
            `null_sample` training pictures.
        score_sample: how many pictures to score, chosen by chance; None: all.
        network: as for `score`.
        tell: takes each stage's result as it ends.

    Raises:
        DogsganError: something a person can mend; what was finished stays for the next call.
    """
    began = time.monotonic()
    deadline = deadline or Deadline(None)
    opened, run = open_source(source), out / "run"
    if recipe is None:
        recipe = choose_recipe(
            opened, run, settings=settings, device=device, left_s=deadline.left_s(), count=count
        )
    recipe = unconditional_without_labels(recipe, opened)
    recipe.model.check_truncation(truncation)
    chosen = chosen_network(network, size_px=recipe.data.size_px, weights=weights)
    judge = open_network(chosen.name, weights=weights, device="cpu")  # refused before hours are spent
    _refuse_other_recipe(out, recipe, opened)
    refuse_too_slow(recipe, opened, run, left_s=deadline.left_s(), count=count, device=device)

    record = _Record(out, began=began, tell=tell)
    if chosen.note:
        record.report = dataclasses.replace(record.report, notes=(chosen.note,))
        say(chosen.note)
    crop_set = _crops(opened, out, recipe, record, workers=workers)
    answer = "training ends after this step, and images.zip comes from what it has learned"
    with outlast_notices():
        with listen_for_stop(answer) as wish:  # whatever stops training, the zip still comes
            trained = train_within(
                recipe,
                crop_set,
                run,
                images=images,
                deadline=deadline,
                device=device,
                count=count,
            )
            record.add(trained.summary(), train=trained)
            wish.answer = "images.zip is finished first"
            generated, said = _generated(out, count=count, seed=seed, truncation=truncation, device=device)
        record.add(said, generate=generated)
        _checked(out, recipe, record, count=count, class_names=crop_set.class_names)
        stopped_by = wish.signal_name or trained.stopped_by
        if stopped_by in ENDING:
            record.note(
                f"stopped by {stopped_by}: not scored; `dogsgan score {out / 'images.zip'} --real {source}` "
                "does that, `dogsgan audit` looks for copies"
            )
        else:
            options = {"network": chosen.name, "weights": weights, "device": device}
            if recipe.model.conditional and judge.classifier is not None:
                options["labels"] = out / "labels.csv"
            if audited:
                samples = {"sample": audit_sample, "scored": score_sample, "null_sample": null_sample}
                _audited(source, record, options=options | samples | {"time_limit_s": AUDIT_LIMIT_S})
            if record.report.score is None:
                _scored(source, record, options=options | {"sample": score_sample})
            _save_best_and_worst(record)
    record.save()
    return record.report


def _refuse_other_recipe(out: Path, recipe: Recipe, source: Source) -> None:
    """Refuse to go on with another recipe, before another one's crops replace those of the run."""
    kept = read_recipe(out / "run")
    if kept is None:
        return
    wanted = recipe if source.crop_set is None else recipe_of_set(recipe, source.crop_set)
    if differences := kept[0].differences(wanted):
        raise DogsganError(
            f"{out} holds a run of {kept[0].name}, and this would be another ({'; '.join(differences)}): "
            "leave out --preset and --set to go on with it, or give another --out"
        )
    if source.crop_set is not None and kept[1] != source.crop_set.fingerprint:
        raise DogsganError(
            f"the run in {out} is trained on other crops than {source.path}: give the source that it was "
            "begun with, or another --out"
        )


def _crops(source: Source, out: Path, recipe: Recipe, record: _Record, *, workers: int | None) -> CropSet:
    kept = read_recipe(out / "run")
    crop_set, prepared = crops_of(
        source, out / "crops", recipe.data, workers=workers, same_as=kept[1] if kept else None, quiet=True
    )
    if prepared is not None:
        record.add(prepared.summary(), prepare=prepared)
    return crop_set


def _checked(out: Path, recipe: Recipe, record: _Record, *, count: int, class_names: Sequence[str]) -> None:
    """Check the zip, and write what shows it."""
    zip_path = out / "images.zip"
    if recipe.model.conditional:
        save_labels(out / "labels.csv", count=count, class_names=class_names)
    checked = check_submission(
        zip_path, count=count, size_px=recipe.data.size_px, channels=recipe.data.channels
    )
    if record.report.untrained:
        problem = Problem("untrained", checked.count, zip_path.name, UNTRAINED, refused=False)
        checked = dataclasses.replace(checked, ok=False, problems=(*checked.problems, problem))
    save_sample_grid(zip_path, out / "samples.png")
    record.add(checked.summary(), check=checked)


def _audited(source: Path, record: _Record, *, options: dict[str, Any]) -> None:
    """Audit, which scores first. Nothing in an audit may cost the report of a run of hours."""
    out = record.report.out

    def take_score(scored: Score) -> None:
        record.add(scored.summary(), score=scored)

    try:
        found = audit(
            out / "images.zip",
            source,
            out=out / "audit",
            untrained=record.report.untrained,
            on_score=take_score,
            **options,
        )
    except DogsganError as error:
        record.note(f"not audited: {error}")
    except Exception as error:
        record.note(f"not audited: {type(error).__name__}: {error}")
    else:
        record.add(found.summary(), audit=found, score=found.scores[0])


def _scored(source: Path, record: _Record, *, options: dict[str, Any]) -> None:
    try:
        scored = score(record.report.out / "images.zip", source, **options)
    except DogsganError as error:
        record.note(f"not scored: {error}")
    except Exception as error:
        record.note(f"not scored: {type(error).__name__}: {error}")
    else:
        record.add(scored.summary(), score=scored)


def _save_best_and_worst(record: _Record) -> None:
    """Draw the pictures that a classifier recognises best, and those that it recognises worst."""
    scored, out = record.report.score, record.report.out
    if scored is None or scored.recognition is None:
        return
    names = scored.recognition.ordered()
    save_sample_grid(out / "images.zip", out / "best.png", names=names)
    save_sample_grid(out / "images.zip", out / "worst.png", names=names[::-1])


def _generated(
    out: Path, *, count: int, seed: int, truncation: float, device: str
) -> tuple[dict[str, Any], str]:
    """Sample into `images.zip`, unless the one that stands there came from the same weights and arguments.

    Return the report, and what to say.
    """
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
            return {**record["report"], "reused": True}, f"{zip_path}: there already, reused"
    report = generate(out / "run", zip_path, count=count, seed=seed, truncation=truncation, device=device)
    write_json(record_path, {"key": key, "zip": sha256_of(zip_path), "report": report.to_json()})
    return {**report.to_json(), "reused": False}, report.summary()
