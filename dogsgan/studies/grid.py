"""Grid of runs: the flow that all studies share, from the settings to the report.

A study is a subclass of `Study`: its variants with their seeds, how a run of one is made, and the table's
columns. Studies whose runs are only trained and judged are subclasses of `JudgedStudy`.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.grids import save_grid
from dogsgan.errors import DogsganError
from dogsgan.files import write_json
from dogsgan.models.sampling import Sampler
from dogsgan.progress import optional_file, say
from dogsgan.studies.judge import F, Judging
from dogsgan.studies.runs import RESULT_FILE, Settings, Trained, finish_training, kept_training, read_result
from dogsgan.studies.table import Row, as_json, as_text, write_table

_SAMPLES_SEED = 0  # of the noise that every generator is given: the same for all
_GRID_PICTURES, _GRID_COLUMNS = 80, 10


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
    results: dict[tuple[V, int], R] = field(default_factory=dict, init=False)  # what is known of the runs

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
    def row(self, variant: V) -> Row:
        """Return a variant's figures by its runs so far."""

    @abstractmethod
    def run_as_json(self, variant: V, seed: int, result: R) -> dict[str, Any]:
        """Return what is known of a run as plain values."""

    def draw(self, path: Path) -> None:
        """Draw a plot of what is finished, where the study has one."""

    def text(self, rows: Sequence[Row]) -> str:
        """Return the table as text."""
        return f"{self.caption()}\n{as_text(rows, self.headings)}"

    def is_complete(self) -> bool:
        """Return whether every run got as far as it could."""
        return all(result.is_final for result in self.results.values())

    @property
    def variants(self) -> list[V]:
        """The variants in their order."""
        return list(dict.fromkeys(variant for variant, _ in self.runs))

    def seeds(self, variant: V) -> list[int]:
        """Return the seeds of a variant."""
        return [seed for other, seed in self.runs if other == variant]

    def done(self, variant: V) -> dict[int, R]:
        """Return what is known of a variant's runs, by seed."""
        seeds = self.seeds(variant)
        return {seed: self.results[variant, seed] for seed in seeds if (variant, seed) in self.results}

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
        self.results.update({run: kept for run in self.runs if (kept := self.kept(*run)) is not None})
        report = self._write()
        for number, (variant, seed) in enumerate(self.runs, start=1):
            before = self.results.get((variant, seed))
            if before is not None and before.is_final:
                continue
            say(f"run {number} of {len(self.runs)}: {variant.name}, seed {seed}")
            for made in self.make(variant, seed, before):
                self.results[variant, seed] = made
                report = self._write()
        return report

    def _write(self) -> StudyReport:
        """Write what is finished, and return it."""
        rows = [self.row(variant) for variant in self.variants]
        listed = [
            self.run_as_json(variant, seed, result)
            for variant in self.variants
            for seed, result in self.done(variant).items()
        ]
        content = as_json(rows, {"study": self.name, **self.about(), "runs": listed})
        text = self.text(rows)
        failed = write_table(self.out, self.name, text=text, rows=rows, content=content)
        plot = self.out / f"{self.name}.png"
        with optional_file(plot):
            self.draw(plot)
        whole = "\n".join([text, *self.left_out, f"{self.files} and every run are in {self.out}"])
        return StudyReport(self.out, whole, content, self.is_complete(), tuple(failed))


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
        run = self.folder(variant, seed)
        trained, saved = kept_training(run, images=self.images, budget_s=self.budget_s), read_result(run)
        if trained is None or saved.get("key") != self.judge.key:
            return None
        try:
            figures = saved["figures"]
            return Result(trained, self.judge.restored(figures) if figures else None, saved["problem"])
        except (KeyError, TypeError):
            return None  # another version's: it is judged anew

    def make(self, variant: V, seed: int, kept: Result[F] | None) -> Iterator[Result[F]]:
        """Train a run to its length, or go on with it; sample it, draw a grid of it, and judge it.

        What a diverged run left is judged like any other: the last good generator.
        """
        run, grid = self.folder(variant, seed), self.grid(variant, seed)
        trained = finish_training(
            run,
            variant.recipe(self.base, seed=seed),
            self.crop_set,
            images=self.images,
            budget_s=self.budget_s,
            device=self.device,
        )
        figures = problem = None
        try:
            pictures = Sampler.open(run, device=self.device).sample(self.judge.count, seed=_SAMPLES_SEED)
        except DogsganError as error:  # NaN: the row says so, and the others are not left out for it
            problem = str(error)
        else:
            with optional_file(grid):
                save_grid(pictures[:_GRID_PICTURES], grid, columns=_GRID_COLUMNS)
            figures = self.judge.figures(pictures)
        result: Result[F] = Result(trained, figures, problem)
        write_json(run / RESULT_FILE, {**dataclasses.asdict(result), "key": self.judge.key})
        yield result

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

    def ended(self, variant: V) -> Row:
        """Return the columns on how a variant's runs ended."""
        done = self.done(variant).values()
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
