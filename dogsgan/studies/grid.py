"""Grid of runs: the flow that all studies share, from the settings to the report.

A study is a subclass of `Study`: its variants with their seeds, how a run of one is made, and the table's
columns. Studies whose runs are only trained and judged are subclasses of `JudgedStudy`.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.progress import optional_file, say
from dogsgan.studies.runs import F, Judging, Result, finish_run, kept_result
from dogsgan.studies.settings import Settings
from dogsgan.studies.table import Row, as_json, as_text, write_table


class Variant(Protocol):
    """One of the things that a study compares."""

    @property
    def name(self) -> str:
        """The name of its folder."""

    def recipe(self, base: Recipe, *, seed: int) -> Recipe:
        """Return the recipe of its run with a seed."""


class Final(Protocol):
    """What is known of a run."""

    @property
    def is_final(self) -> bool:
        """Whether making it again would change nothing."""


V = TypeVar("V", bound=Variant)
R = TypeVar("R", bound=Final)


@dataclass(frozen=True)
class StudyReport:
    """What a study found."""

    out: Path
    text: str  # the table, and what is not in it
    content: dict[str, Any]  # the same as JSON: what was compared, one row per variant, every run
    complete: bool  # whether every run got as far as it could: none ran out of memory
    failed: tuple[str, ...] = ()  # a line for each file of the table that could not be written

    def to_json(self) -> dict[str, Any]:
        """Return the study's JSON, and where it lies."""
        return {**self.content, "out": str(self.out), "complete": self.complete}

    def summary(self) -> str:
        """Return the table, and what is not in it."""
        return self.text


@dataclass(frozen=True, kw_only=True)
class Study(ABC, Generic[V, R]):
    """Variants, each run with several seeds, compared in a table."""

    name: ClassVar[str]
    files: ClassVar[str] = "table, samples"  # what the folder holds beside the runs

    out: Path
    settings: Settings
    base: Recipe  # the recipe that variants change, with the crops as they really are
    runs: Sequence[tuple[V, int]]  # each variant with each of its seeds, in the order in which they run
    left_out: Sequence[str] = ()  # a line for each variant that is not run

    @abstractmethod
    def kept(self, variant: V, seed: int) -> R | None:
        """Return what is known of a run from earlier calls; None for one that is not begun."""

    @abstractmethod
    def make(self, variant: V, seed: int, kept: R | None) -> Iterator[R]:
        """Make what is missing of a run; yield what is known of it after each step."""

    @property
    @abstractmethod
    def headings(self) -> Mapping[str, str]:
        """The columns of the text's table: key to heading."""

    @abstractmethod
    def caption(self) -> str:
        """Return what the table is about, and what its numbers are not."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return the same as plain values."""

    @abstractmethod
    def row(self, variant: V, done: Sequence[R], results: Mapping[tuple[V, int], R]) -> Row:
        """Return a variant's figures by its runs so far; `results` are those of all variants."""

    @abstractmethod
    def run_as_json(self, variant: V, seed: int, result: R) -> dict[str, Any]:
        """Return what is known of a run as plain values."""

    def draw(self, path: Path, results: Mapping[tuple[V, int], R]) -> None:
        """Draw a plot of what is finished, where the study has one."""

    def text(self, rows: Sequence[Row], results: Mapping[tuple[V, int], R]) -> str:
        """Return the table as text."""
        return f"{self.caption()}\n{as_text(rows, self.headings)}"

    def is_complete(self, results: Mapping[tuple[V, int], R]) -> bool:
        """Return whether every run got as far as it could."""
        return all(result.is_final for result in results.values())

    @property
    def variants(self) -> list[V]:
        """The variants in their order."""
        return list(dict.fromkeys(variant for variant, _ in self.runs))

    def seeds(self, variant: V) -> list[int]:
        """Return the seeds of a variant."""
        return [seed for other, seed in self.runs if other == variant]

    def done(self, variant: V, results: Mapping[tuple[V, int], R]) -> list[R]:
        """Return what is known of a variant's runs."""
        return [results[variant, seed] for seed in self.seeds(variant) if (variant, seed) in results]

    def folder(self, variant: V, seed: int) -> Path:
        """Return the folder of a run."""
        return self.out / variant.name / f"seed-{seed}"

    def grid(self, variant: V, seed: int) -> Path:
        """Return where the sample grid of a run is drawn."""
        return self.out / "samples" / f"{variant.name}-seed-{seed}.png"

    def finish(self) -> StudyReport:
        """Make every run that is not final, in order, and write the table anew after each step.

        Raises:
            KeyboardInterrupt: a signal asked to stop; the same call goes on.
        """
        self.settings.keep(self.out)
        results = {run: kept for run in self.runs if (kept := self.kept(*run)) is not None}
        report = self._write(results)
        for number, (variant, seed) in enumerate(self.runs, start=1):
            before = results.get((variant, seed))
            if before is not None and before.is_final:
                continue
            say(f"run {number} of {len(self.runs)}: {variant.name}, seed {seed}")
            for made in self.make(variant, seed, before):
                results[variant, seed] = made
                report = self._write(results)
        return report

    def _write(self, results: Mapping[tuple[V, int], R]) -> StudyReport:
        """Write what is finished, and return it."""
        rows = [self.row(variant, self.done(variant, results), results) for variant in self.variants]
        listed = [
            self.run_as_json(variant, seed, results[variant, seed])
            for variant in self.variants
            for seed in self.seeds(variant)
            if (variant, seed) in results
        ]
        content = as_json(rows, {"study": self.name, **self.about(), "runs": listed})
        text = self.text(rows, results)
        failed = write_table(self.out, self.name, text=text, rows=rows, content=content)
        plot = self.out / f"{self.name}.png"
        with optional_file(plot):
            self.draw(plot, results)
        whole = "\n".join([text, *self.left_out, f"{self.files} and every run are in {self.out}"])
        return StudyReport(self.out, whole, content, self.is_complete(results), tuple(failed))


@dataclass(frozen=True, kw_only=True)
class JudgedStudy(Study[V, Result[F]]):
    """Variants of a recipe, trained on the same crops for the same length and judged alike."""

    crop_set: CropSet
    judge: Judging[F]
    images: int | None = None  # that each run sees
    budget_s: float | None = None  # processor seconds of each run's training, where `images` does not say
    device: str

    def kept(self, variant: V, seed: int) -> Result[F] | None:
        """Return the result of a run that is final and was judged by this judge."""
        return kept_result(
            self.folder(variant, seed), images=self.images, budget_s=self.budget_s, judge=self.judge
        )

    def make(self, variant: V, seed: int, kept: Result[F] | None) -> Iterator[Result[F]]:
        """Train a run to its length, and judge it."""
        yield finish_run(
            self.folder(variant, seed),
            variant.recipe(self.base, seed=seed),
            self.crop_set,
            images=self.images,
            budget_s=self.budget_s,
            judge=self.judge,
            device=self.device,
            grid=self.grid(variant, seed),
        )

    def about(self) -> dict[str, Any]:
        """Return what is compared as plain values."""
        return {
            "preset": self.base.name,
            "note": "not Kaggle's FID: compare it only with distances by the same network, crops and count",
            "count": self.judge.count,
            "crops": len(self.crop_set),
            "size_px": self.crop_set.size_px,
            "left_out": list(self.left_out),
        }

    def run_as_json(self, variant: V, seed: int, result: Result[F]) -> dict[str, Any]:
        """Return a run's training and figures as plain values."""
        return {
            "variant": variant.name,
            "seed": seed,
            "problem": result.problem,
            **dataclasses.asdict(result.trained),
            "figures": dataclasses.asdict(result)["figures"],
        }

    def ended(self, variant: V, done: Sequence[Result[F]]) -> Row:
        """Return the columns on how a variant's runs ended."""
        reasons = endings(
            (result.trained.stopped_by for result in done), sum(result.figures is None for result in done)
        )
        return {"ended": reasons, "seeds_done": f"{len(done)} of {len(self.seeds(variant))}"}


def endings(reasons: Iterable[str], without_pictures: int) -> str | None:
    """Return why trainings ended, how often each where not all did alike, and how many make no pictures."""
    counts = Counter(reasons)
    texts = [reason if len(counts) == 1 else f"{times}× {reason}" for reason, times in counts.items()]
    if without_pictures:
        texts.append(f"{without_pictures}× no pictures")
    return ", ".join(texts) or None
