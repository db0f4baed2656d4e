"""What chains the rooms: `run`, from a source to a scored and audited zip.

The stages are the functions that the commands call; what passes between them lies in the output folder, so
that each can be used alone and a run that was stopped goes on with the stage it stopped in.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogsgan.audit import Audit, audit
from dogsgan.config import Recipe
from dogsgan.data.prepare import PrepareReport
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.files import holds, read_json, sha256_of, write_json
from dogsgan.progress import say
from dogsgan.scoring.choice import chosen_network
from dogsgan.scoring.networks import open_network
from dogsgan.scoring.scorer import Score, score
from dogsgan.stages import COUNT, crops_of, generate, save_labels, save_sample_grid, train_within
from dogsgan.submission import CheckReport, check_submission
from dogsgan.training.checkpoint import GENERATOR_FILE
from dogsgan.training.interrupts import ENDING, listen_for_stop
from dogsgan.training.loop import TrainReport


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
    audit: Audit | None
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
            "audit": self.audit.to_json(report=self.out / "audit" / "report.html") if self.audit else None,
            "notes": list(self.notes),
        }

    def summary(self) -> str:
        """Return one paragraph a stage."""
        stages = (self.prepare, self.train, self.check, self.score, self.audit)
        parts = [stage.summary() for stage in stages if stage]
        return "\n".join([*parts, *self.notes, f"everything is in {self.out} ({self.seconds:.0f} s)"])


@holds("out")
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
    audited: bool = True,
    audit_sample: int | None = None,
) -> RunReport:
    """Go from a source to a scored and audited zip in `out`, or go on where an earlier call stopped.

    `out` then holds `crops/`, `run/`, `images.zip`, its classes in `labels.csv` where the recipe knows any,
    `samples.png`, `audit/` and `report.json`. The budget of a call covers everything up to the finished zip;
    the score and the audit come after it.

    Args:
        audited: whether to audit; `audit_sample` pictures chosen by chance, or all.
        network: as for `score`.

    Raises:
        DogsganError: something a person can mend; what was finished stays for the next call.
    """
    began = time.monotonic()
    started = began if started is None else started
    recipe.model.check_truncation(truncation)
    chosen = chosen_network(network, size_px=recipe.data.size_px, weights=weights)
    network = chosen.name
    open_network(network, weights=weights, device="cpu")  # refused before hours are spent
    notes = [chosen.note] if chosen.note else []

    crop_set, prepared = crops_of(open_source(source), out / "crops", recipe.data, workers=workers)
    answer = "training ends after this step, and images.zip comes from what it has learned"
    with listen_for_stop(answer) as wish:  # whatever stops training, the zip still comes
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
        wish.answer = "images.zip is finished first"
        generated = _generated(out, count=count, seed=seed, truncation=truncation, device=device)
    zip_path = out / "images.zip"
    if recipe.model.conditional:
        save_labels(zip_path, out / "labels.csv", class_names=crop_set.class_names)
    checked = check_submission(
        zip_path, count=count, size_px=recipe.data.size_px, channels=recipe.data.channels
    )
    save_sample_grid(zip_path, out / "samples.png")
    found = scored = None
    stopped_by = wish.signal_name or trained.stopped_by
    if stopped_by in ENDING:
        notes.append(
            f"stopped by {stopped_by}: not scored; `dogsgan score {zip_path} --real {source}` does that, "
            "`dogsgan audit` looks for copies"
        )
    else:
        if audited:
            try:
                found = audit(
                    zip_path,
                    source,
                    out=out / "audit",
                    network=network,
                    weights=weights,
                    device=device,
                    sample=audit_sample,
                )
                scored = found.scores[0]
            except DogsganError as error:
                notes.append(f"not audited: {error}")
            except Exception as error:  # nothing in an audit may cost the report of a run of hours
                notes.append(f"not audited: {type(error).__name__}: {error}")
        if scored is None:
            try:
                scored = score(zip_path, source, network=network, weights=weights, device=device)
            except DogsganError as error:
                notes.append(f"not scored: {error}")
    report = RunReport(
        out=out,
        seconds=time.monotonic() - began,
        prepare=prepared,
        train=trained,
        generate=generated,
        check=checked,
        score=scored,
        audit=found,
        notes=tuple(notes),
    )
    write_json(out / "report.json", report.to_json())
    return report


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
