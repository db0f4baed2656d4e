"""The command `run`: from a source to a scored and audited zip.

Training and sampling are supervised child processes. What passes between the stages lies in the output
folder, so that each can be used alone, and a run that was stopped goes on with the stage it stopped in.
"""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.data.prepare import PrepareReport
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.files import holds, read_json, refuse_overwriting, sha256_of, write_json
from dogsgan.progress import optional_file, say
from dogsgan.reports.page import PAGE_FILE, write_page
from dogsgan.stages import crops_of, save_labels, save_sample_grid
from dogsgan.submission import CheckReport, SubmissionReport, check_submission
from dogsgan.submission.checking import Problem
from dogsgan.supervise.children import ERROR
from dogsgan.supervise.driver import CRASHED, Driver, Job
from dogsgan.supervise.session import Clock, Session, Terminal, raise_from
from dogsgan.tensors import GENERATOR_FILE
from dogsgan.training.deadline import Deadline
from dogsgan.training.interrupts import ENDING, listen_for_stop, outlast_notices
from dogsgan.training.record import CARD_FILE, RunRecord, write_card
from dogsgan.training.run_folder import TrainReport

if TYPE_CHECKING:
    from dogsgan.audit import Audit
    from dogsgan.score import Score

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
    score: "Score | None" = None
    audit: "Audit | None" = None
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a zip that the competition would take, by a generator that was trained."""
        return self.train is not None and not self.untrained and self.check is not None and self.check.ok

    @property
    def untrained(self) -> bool:
        """Whether the zip comes from a generator that has learned nothing, or of which nothing was saved."""
        sampled_untrained = self.generate is not None and bool(self.generate.get("untrained"))
        return sampled_untrained or (self.train is not None and not self.train.trained_something)

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

    @contextlib.contextmanager
    def noting(self, what: str) -> Iterator[None]:
        """Take over a failure as a remark: a look at the zip may not cost the report of a run of hours."""
        try:
            yield
        except DogsganError as error:
            self.note(f"{what}: {error}")
        except Exception as error:
            self.note(f"{what}: {type(error).__name__}: {error}")

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
    null_sample: int | None = None,
    score_sample: int | None = None,
    is_stretched: bool = False,
    evaluate_every: int | None = None,
    outlets: Sequence[str] = (),
    tell: Tell = say,
) -> RunReport:
    """Go from a source to a scored and audited zip in `out`, or go on where an earlier call stopped.

    `out` then holds `crops/`, `run/`, `images.zip`, its classes in `labels.csv` where the recipe knows any,
    `samples.png`, `best.png` and `worst.png` where the network is a classifier, `audit/`, `report.json`,
    which grows with every stage, and `run.html`, which shows it all. The budget of a call covers everything
    up to the finished zip; the score and the audit come after it.

    Args:
        recipe: what to train; None for that of the run in `out`, or one chosen by device, data and budget
            (`choose_recipe`), changed by `settings`.
        audited: whether to audit; `audit_sample` pictures chosen by chance, or as many as `AUDIT_LIMIT_S`
            leaves time for, beside at most `null_sample` training pictures (None: as many as `audit` takes).
        score_sample: how many pictures to score, chosen by chance; None: all.
        network: as for `score`.
        is_stretched: whether the deadline is moved where sampling would take more than half of the budget.
        evaluate_every: images between two evaluations while it trains, within the budget; None: none.
        outlets: names of `training.outlets.OUTLETS`, where the training's log goes, too.
        tell: takes each stage's result as it ends.

    Raises:
        DogsganError: a user error; what was finished stays for the next call.
        RuntimeError: no pictures could be sampled.
    """
    began = time.monotonic()
    refuse_overwriting(out / "images.zip", source)
    deadline = deadline or Deadline(None)
    deadline.check_length(images)
    session = Session(Clock.of(deadline), Terminal())
    settled = session.ask(
        "dogsgan.choosing:settle",
        {
            "source": str(source),
            "out": str(out),
            "recipe": recipe and recipe.to_json(),
            "settings": list(settings),
            "budget_s": deadline.budget_s,
            "started": deadline.started,
            "is_stretched": is_stretched,
            "count": count,
            "truncation": truncation,
            "network": network,
            "weights": weights and str(weights),
            "device": device,
        },
    )
    recipe = Recipe.from_json(settled["recipe"])
    if settled["budget_s"] is not None:
        session.clock.budget_s, session.clock.finishing_s = settled["budget_s"], settled["finishing_s"]

    record = _Record(out, began=began, tell=tell)
    if settled["note"]:
        record.report = dataclasses.replace(record.report, notes=(settled["note"],))
        say(settled["note"])
    opened = open_source(source)  # its list and its pictures' hashes serve the audit, too
    crop_set, prepared = crops_of(
        opened,
        out / "crops",
        recipe.data,
        workers=workers,
        same_as=settled["crop_set"],
        quiet=True,
    )
    if prepared is not None:
        record.add(prepared.summary(), prepare=prepared)
    job = Job(
        recipe,
        crop_set.path,
        run=out / "run",
        zip_path=out / "images.zip",
        images=images,
        count=count,
        seed=seed,
        truncation=truncation,
        class_count=len(crop_set.class_names),
        device=settled["device"],
        evaluate_every=evaluate_every,
        outlets=tuple(outlets),
    )
    driver = Driver(session, job)
    answer = "training ends after this step, and images.zip comes from what it has learned"
    with outlast_notices():
        with listen_for_stop(answer) as wish:  # whatever stops training, the zip still comes
            session.wish = wish
            training_began = time.monotonic()
            driver.train()
            trained = _train_report(driver, seconds=time.monotonic() - training_began)
            record.add(trained.summary(), train=trained)
            wish.answer = "images.zip is finished first"
            generated, said = _generated(driver)
        record.report = dataclasses.replace(record.report, notes=(*record.report.notes, *session.events))
        record.add(said, generate=generated)
        _note_older_generator(record, trained, generated)
        _checked(out, recipe, record, count=count, class_names=crop_set.class_names)
        stopped_by = wish.signal_name or trained.stopped_by
        if stopped_by in ENDING:
            record.note(
                f"stopped by {stopped_by}: not scored; `dogsgan score {out / 'images.zip'} --real {source}` "
                "does that, `dogsgan audit` looks for copies"
            )
        else:
            options = {"network": settled["network"], "weights": weights, "device": device}
            if settled["recognises"] and recipe.model.conditional and (out / "labels.csv").is_file():
                options["labels"] = out / "labels.csv"
            if audited:
                from dogsgan.audit.planning import AUDIT_LIMIT_S

                samples = {"sample": audit_sample, "scored": score_sample, "time_limit_s": AUDIT_LIMIT_S}
                if null_sample is not None:
                    samples["null_sample"] = null_sample
                _audited(opened, record, options=options | samples)
            if record.report.score is None:
                _scored(opened, record, options=options | {"sample": score_sample})
            _save_best_and_worst(record)
    record.save()
    with optional_file(out / "run" / CARD_FILE):
        write_card(out / "run", crop_set)
    with optional_file(out / PAGE_FILE):
        write_page(RunRecord.open(out))
    return record.report


def _train_report(driver: Driver, *, seconds: float) -> TrainReport:
    """Return what the last trainer reported, or what it left on disk after `seconds` where it could not.

    Raises:
        DogsganError: the user error that kept the first one from training.
    """
    training, run = driver.training, driver.job.run
    if training.report:
        return TrainReport(**_fields_of(TrainReport, training.report, run=run))
    if training.ended is not None and training.ended.told(ERROR) and training.attempts == 1:
        raise_from(training.ended)
    recipe, images_seen = training.recipe.training, max(training.reached(), 0)
    steps = images_seen // (recipe.batch_size * recipe.discriminator_steps)
    stopped_by = driver.session.wish.signal_name or CRASHED
    return TrainReport(run, images_seen, steps, stopped_by, seconds, rollbacks=0)


def _fields_of(report: type, told: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return the fields of a report among what a child told."""
    names = {field.name for field in dataclasses.fields(report)}
    return {**{name: value for name, value in told.items() if name in names}, **more}


def _note_older_generator(record: _Record, trained: TrainReport, generated: dict[str, Any]) -> None:
    """Say it where the zip comes from an earlier generator than training had reached, as on a full disk."""
    sampled = generated.get("images_seen")
    if sampled is not None and sampled < trained.images_seen:
        record.note(
            f"images.zip is by the generator of {sampled:,} images, and training reached "
            f"{trained.images_seen:,}: a later one was not saved, or not sampled"
        )


def _checked(out: Path, recipe: Recipe, record: _Record, *, count: int, class_names: Sequence[str]) -> None:
    """Check the zip, and write what shows it."""
    zip_path = out / "images.zip"
    if recipe.model.conditional:
        with optional_file(out / "labels.csv"):
            save_labels(out / "labels.csv", count=count, class_names=class_names)
    checked = check_submission(
        zip_path, count=count, size_px=recipe.data.size_px, channels=recipe.data.channels
    )
    if record.report.untrained:
        problem = Problem("untrained", checked.count, zip_path.name, UNTRAINED, refused=False)
        checked = dataclasses.replace(checked, ok=False, problems=(*checked.problems, problem))
    record.add(checked.summary(), check=checked)
    with optional_file(out / "samples.png"):
        save_sample_grid(zip_path, out / "samples.png")


def _audited(source: Source, record: _Record, *, options: dict[str, Any]) -> None:
    """Audit, which scores first."""
    out = record.report.out
    with record.noting("not audited"):
        from dogsgan.audit import audit  # here and below: torch is imported only now

        found = audit(
            out / "images.zip",
            source,
            out=out / "audit",
            untrained=record.report.untrained,
            on_score=lambda scored: record.add(scored.summary(), score=scored),
            **options,
        )
        record.add(found.summary(), audit=found, score=found.scores[0])


def _scored(source: Source, record: _Record, *, options: dict[str, Any]) -> None:
    with record.noting("not scored"):
        from dogsgan.score import score

        scored = score(record.report.out / "images.zip", source, **options)
        record.add(scored.summary(), score=scored)


def _save_best_and_worst(record: _Record) -> None:
    """Draw the pictures that a classifier recognises best, and those that it recognises worst."""
    scored, out = record.report.score, record.report.out
    if scored is None or scored.recognition is None:
        return
    names = scored.recognition.ordered()
    for grid, shown in (("best.png", names), ("worst.png", names[::-1])):
        with optional_file(out / grid):
            save_sample_grid(out / "images.zip", out / grid, names=shown)


def _generated(driver: Driver) -> tuple[dict[str, Any], str]:
    """Sample into `images.zip`, unless the one that stands there came from the same weights and arguments.

    Return the report, and what to say.
    """
    job = driver.job
    zip_path, record_path, weights = (
        job.zip_path,
        job.zip_path.with_name("generate.json"),
        job.run / GENERATOR_FILE,
    )
    key = {
        "generator": sha256_of(weights) if weights.is_file() else None,
        "count": job.count,
        "seed": job.seed,
        "truncation": job.truncation,
    }
    if zip_path.exists() and record_path.exists():
        record = read_json(record_path)
        if record.get("key") == key and record.get("zip") == sha256_of(zip_path):
            return {**record["report"], "reused": True}, f"{zip_path}: there already, reused"
    ended = driver.sample()
    if not driver.sampled:
        raise_from(ended)
    report = SubmissionReport(**_fields_of(SubmissionReport, driver.sampled["zip"], path=zip_path))
    if driver.sampled is not driver.safety.report:  # else the next call samples anew
        write_json(record_path, {"key": key, "zip": sha256_of(zip_path), "report": report.to_json()})
    return {**report.to_json(), "reused": False}, report.summary()
