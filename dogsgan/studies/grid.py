"""Grid of runs: the flow that studies of recipe variants share, from the settings to the report.

A study of this kind is one subclass of `Study`: its variants with their seeds, who judges the runs, and the
table's columns.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.progress import say
from dogsgan.stages import recipe_of_set
from dogsgan.studies.runs import F, Judging, Result, finish_run, kept_result
from dogsgan.studies.settings import crops_for, keep_settings
from dogsgan.studies.table import Row, as_json, write_table


class Variant(Protocol):
    """One of the things that a study compares."""

    @property
    def name(self) -> str:
        """The name of its folder."""

    def recipe(self, base: Recipe, *, seed: int) -> Recipe:
        """Return the recipe of its run with a seed."""


V = TypeVar("V", bound=Variant)
Results: TypeAlias = Mapping[tuple[V, int], Result[F]]
"""The finished runs, by variant and seed."""


@dataclass(frozen=True)
class StudyReport:
    """What a study of runs found."""

    out: Path
    table: str
    """The table as text."""
    content: dict[str, Any]
    """The table as JSON: what was compared, one row per variant, every run."""
    left_out: tuple[str, ...]
    complete: bool
    """Whether every run got as far as it could: none ran out of memory."""
    files: str

    def to_json(self) -> dict[str, Any]:
        """Return the study's JSON, and where it lies."""
        return {**self.content, "out": str(self.out)}

    def summary(self) -> str:
        """Return the table, and what is not in it."""
        return "\n".join([self.table, *self.left_out, f"{self.files} and every run are in {self.out}"])


@dataclass(frozen=True)
class Begun:
    """The folder of a study whose crops are there and whose settings nothing contradicts."""

    study: str
    out: Path
    crop_set: CropSet
    base: Recipe
    """The recipe that variants change, with the crops as they really are."""
    _asked: Recipe
    _fixed: Mapping[str, str | int]
    _growing: Mapping[str, int]

    @classmethod
    def at(
        cls,
        source: Path,
        out: Path,
        *,
        study: str,
        recipe: Recipe,
        fixed: Mapping[str, str | int] | None = None,
        growing: Mapping[str, int] | None = None,
    ) -> "Begun":
        """Cut the crops; nothing is written yet that binds a later call.

        Raises:
            DogsganError: the folder was begun with other settings, or the source cannot be used.
        """
        crop_set, known = crops_for(source, out, study=study, recipe=recipe, fixed=fixed, growing=growing)
        return cls(study, out, crop_set, recipe_of_set(recipe, crop_set), recipe, known, growing or {})

    def keep_settings(self) -> None:
        """Write the settings, once it is known that the networks of every variant can be built."""
        keep_settings(
            self.out, study=self.study, recipe=self._asked, fixed=self._fixed, growing=self._growing
        )


@dataclass(frozen=True)
class Study(ABC, Generic[V, F]):
    """Variants of a recipe, each trained with several seeds, judged alike and compared in a table."""

    name: ClassVar[str]
    files: ClassVar[str] = "table, samples"

    begun: Begun
    runs: Sequence[tuple[V, int]]
    """Each variant with each of its seeds, in the order in which they run."""
    judge: Judging[F]
    left_out: Sequence[str]
    """A line for each variant that is not run."""

    @abstractmethod
    def headings(self) -> Mapping[str, str]:
        """Return the columns of the text's table: key to heading."""

    @abstractmethod
    def caption(self) -> str:
        """Return what the table is about, and what its numbers are not."""

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Return the same as plain values."""

    @abstractmethod
    def row(self, variant: V, done: Sequence[Result[F]], results: Results[V, F]) -> Row:
        """Return a variant's figures by its finished runs; `results` are those of all variants."""

    def last_columns(self) -> Row:
        """Return what the CSV says at the end of each row."""
        return {}

    def length(self) -> dict[str, Any]:
        """Return `images` or `budget_s` of every run, as `finish_run` takes them."""
        raise NotImplementedError

    def draw(self, results: Results[V, F]) -> None:
        """Draw a plot of what is finished, where the study has one."""

    def listed(self) -> Sequence[tuple[V, int]]:
        """Return the runs in the order in which the JSON lists them."""
        return self.runs

    @property
    def variants(self) -> list[V]:
        """The variants in their order."""
        return list(dict.fromkeys(variant for variant, _ in self.runs))

    def seeds(self, variant: V) -> list[int]:
        """Return the seeds of a variant."""
        return [seed for other, seed in self.runs if other == variant]

    def done(self, variant: V, results: Results[V, F]) -> list[Result[F]]:
        """Return the finished runs of a variant."""
        return [results[variant, seed] for seed in self.seeds(variant) if (variant, seed) in results]

    def finish(self, *, device: str) -> StudyReport:
        """Finish every run that is not finished, in order, and write the table anew after each.

        Raises:
            KeyboardInterrupt: a signal asked to stop; the same call goes on.
        """
        self.begun.keep_settings()
        out, base = self.begun.out, self.begun.base
        results: dict[tuple[V, int], Result[F]] = {}
        for run in self.runs:
            kept = kept_result(self._folder(*run), **self.length(), judge=self.judge)
            if kept:
                results[run] = kept
        text, content = self._write(results)
        for number, (variant, seed) in enumerate(self.runs, start=1):
            if (variant, seed) in results:
                continue
            say(f"run {number} of {len(self.runs)}: {variant.name}, seed {seed}")
            results[variant, seed] = finish_run(
                self._folder(variant, seed),
                variant.recipe(base, seed=seed),
                self.begun.crop_set,
                **self.length(),
                judge=self.judge,
                device=device,
                grid=out / "samples" / f"{variant.name}-seed-{seed}.png",
            )
            text, content = self._write(results)
        complete = all(result.trained.is_final for result in results.values())
        return StudyReport(out, text, content, tuple(self.left_out), complete, self.files)

    def _folder(self, variant: V, seed: int) -> Path:
        return self.begun.out / variant.name / f"seed-{seed}"

    def _write(self, results: Results[V, F]) -> tuple[str, dict[str, Any]]:
        """Write what is finished; return the table's text and JSON."""
        rows = []
        for variant in self.variants:
            done = self.done(variant, results)
            row = self.row(variant, done, results)
            ended = {"ended": _endings(done), "seeds_done": f"{len(done)} of {len(self.seeds(variant))}"}
            rows.append({**row, **ended, **self.last_columns()})
        about = {"study": self.name, **self.about(), "runs": self._runs_as_json(results)}
        text = write_table(
            self.begun.out, self.name, rows, headings=self.headings(), about=about, caption=self.caption()
        )
        self.draw(results)
        return text, as_json(rows, about)

    def _runs_as_json(self, results: Results[V, F]) -> list[dict[str, Any]]:
        return [
            {
                "variant": variant.name,
                "seed": seed,
                "problem": result.problem,
                **dataclasses.asdict(result.trained),
                "figures": dataclasses.asdict(result)["figures"],
            }
            for variant, seed in self.listed()
            if (result := results.get((variant, seed)))
        ]


def keeping_one_checkpoint(recipe: Recipe) -> Recipe:
    """Return the recipe of a study's runs, which are many: each keeps one checkpoint."""
    return dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, keep_checkpoints=1))


def _endings(done: Sequence[Result[Any]]) -> str | None:
    """Return why the runs ended, how often each where not all did alike, and how many could not be judged."""
    counts = Counter(result.trained.stopped_by for result in done)
    reasons = [f"{reason}" if len(counts) == 1 else f"{times}× {reason}" for reason, times in counts.items()]
    if unjudged := sum(result.figures is None for result in done):
        reasons.append(f"{unjudged}× no pictures")
    return ", ".join(reasons) or None
