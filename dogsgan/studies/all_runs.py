"""All runs of a study: finished one after the other, told as plain values, and the report of the whole."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from dogsgan.progress import say
from dogsgan.studies.runs import F, Result


class Named(Protocol):
    """A variant of a study."""

    @property
    def name(self) -> str:
        """The name of its folder."""


V = TypeVar("V", bound=Named)
W = TypeVar("W")


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
    files: str = "table, plot, samples"

    def to_json(self) -> dict[str, Any]:
        """Return the study's JSON, and where it lies."""
        return {**self.content, "out": str(self.out)}

    def summary(self) -> str:
        """Return the table, and what is not in it."""
        return "\n".join([self.table, *self.left_out, f"{self.files} and every run are in {self.out}"])


def finish_all(
    runs: Sequence[tuple[V, int]],
    *,
    kept: Callable[[V, int], Result[F] | None],
    finish: Callable[[V, int], Result[F]],
    write: Callable[[Mapping[tuple[V, int], Result[F]]], W],
) -> tuple[W, bool]:
    """Finish those runs, of a variant and a seed, that are not finished; write the table after each.

    Returns:
        What `write` returned last, and whether every run got as far as it could.
    """
    results = {(variant, seed): found for variant, seed in runs if (found := kept(variant, seed))}
    written = write(results)
    for number, (variant, seed) in enumerate(runs, start=1):
        if (variant, seed) not in results:
            say(f"run {number} of {len(runs)}: {variant.name}, seed {seed}")
            results[variant, seed] = finish(variant, seed)
            written = write(results)
    return written, all(result.trained.is_final for result in results.values())


def endings(done: Sequence[Result[F]]) -> str | None:
    """Return why the runs ended, how often each where not all did alike, and how many could not be judged."""
    counts = Counter(result.trained.stopped_by for result in done)
    reasons = [f"{reason}" if len(counts) == 1 else f"{times}× {reason}" for reason, times in counts.items()]
    if unjudged := sum(result.figures is None for result in done):
        reasons.append(f"{unjudged}× no pictures")
    return ", ".join(reasons) or None


def runs_as_json(
    runs: Sequence[tuple[V, int]], results: Mapping[tuple[V, int], Result[F]]
) -> list[dict[str, Any]]:
    """Return every finished run of `runs` as plain values."""
    return [
        {
            "variant": variant.name,
            "seed": seed,
            "problem": result.problem,
            **dataclasses.asdict(result.trained),
            "figures": dataclasses.asdict(result)["figures"],
        }
        for variant, seed in runs
        if (result := results.get((variant, seed)))
    ]
