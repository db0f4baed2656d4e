"""Several submissions beside one another: which is better, and whether by more than chance."""

import dataclasses
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogsgan.competition import COUNT
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.sides import Side, opened_for
from dogsgan.metrics.bootstrap import percentile_interval
from dogsgan.metrics.frechet import frechet_distance_between, statistics_of
from dogsgan.metrics.memorization import mifid, nearest_real
from dogsgan.number_text import percent, significant
from dogsgan.pictures import PictureReader
from dogsgan.progress import progress_bar
from dogsgan.score import Score, compare, open_real
from dogsgan.stages import generate
from dogsgan.submission.labels import labelled_sample
from dogsgan.training.record import RunRecord, duration

RESAMPLES = 100
"""Bootstrap resamples of each submission's pictures."""


@dataclass(frozen=True)
class Difference:
    """How much worse a submission scores than the best one: the 95% bootstrap interval of the difference."""

    value: float
    low: float
    high: float

    @property
    def is_beyond_chance(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0


@dataclass(frozen=True)
class Ranked:
    """One submission and its place: the best has no difference."""

    path: Path
    score: Score
    difference: Difference | None = None

    @property
    def value(self) -> float:
        """What is ranked by: MiFID, or the Fréchet distance where the real side has no features."""
        return self.score.fid if self.score.mifid is None else self.score.mifid

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        difference = self.difference
        return {
            "path": str(self.path),
            "score": self.score.to_json(),
            "behind_best": difference and {**vars(difference), "beyond_chance": difference.is_beyond_chance},
        }


@dataclass(frozen=True)
class Ranking:
    """Submissions by one network against one real side, the best first."""

    ranked: tuple[Ranked, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"ranking": [each.to_json() for each in self.ranked], "resamples": RESAMPLES}

    def summary(self) -> str:
        """Return a table, and a sentence on what it can tell."""
        best = self.ranked[0].score
        lines = [
            f"{'MiFID':>8}  {'Fréchet':>8}  {'distance':>8}  {'dogs':>6}  {'pictures':>8}  behind the best"
        ]
        for each in self.ranked:
            score = each.score
            dogs = percent(score.recognition.generated.in_classes) if score.recognition else "–"
            lines.append(
                f"{significant(score.mifid, 4):>8}  {significant(score.fid, 4):>8}  "
                f"{significant(score.distance, 3):>8}  {dogs:>6}  {score.generated:>8,}  "
                f"{_behind(each.difference)}  {each.path}"
            )
        lines.append(
            "Intervals (95%, bootstrap over the pictures) tell how far another draw of pictures would move a "
            "difference; two trainings of one recipe may differ by more."
        )
        return "\n".join([*lines, f"{best.description}; {best.note()}"])


def _behind(difference: Difference | None) -> str:
    if difference is None:
        return "best"
    low, high = significant(difference.low, 3), significant(difference.high, 3)
    verdict = "more than chance" if difference.is_beyond_chance else "may be chance"
    return f"+{significant(difference.value, 3)} ({low} to {high}: {verdict})"


def rank(
    generated: Sequence[Path],
    real: Path,
    *,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
) -> Ranking:
    """Score each of several submissions against the same real pictures (or statistics), and rank them.

    `network` and `weights` are as for `open_network`; the first submission's size decides what `auto` is.

    Raises:
        DogsganError: fewer than two, two of different sizes, or as `score`.
    """
    if len(generated) < 2:
        raise DogsganError("a ranking needs at least two submissions")
    sources = [open_source(Path(path)) for path in generated]  # all are there before any is scored
    opened_real = open_real(real)
    readers = [PictureReader(source) for source in sources]
    opened = opened_for(readers[0], network, weights=weights, device=device, cache_dir=cache_dir)
    found: list[tuple[Ranked, np.ndarray]] = []
    for path, source, reader in zip(generated, sources, readers, strict=True):
        if reader.side_px() != readers[0].side_px():
            raise DogsganError(
                f"{path} is of {reader.side_px()} px and {generated[0]} of {readers[0].side_px()} px: "
                "compare pictures of one size"
            )
        score, side, real_side = compare(
            reader,
            opened_real,
            opened,
            class_names=labelled_sample(source, None, count=None)[1],
            cache_dir=cache_dir,
        )
        found.append((Ranked(Path(path), score), _resampled(side, real_side, epsilon=opened.epsilon)))
    (best, of_best), *others = sorted(found, key=lambda each: each[0].value)
    behind = (
        dataclasses.replace(each, difference=difference_of(values, of_best, observed=each.value - best.value))
        for each, values in others
    )
    return Ranking((best, *behind))


@dataclass(frozen=True)
class RunComparison:
    """Runs beside one another: what their recipes differ in, and the ranking of their pictures."""

    ranking: Ranking
    facts: dict[Path, str]
    """What each run was trained on and for how long."""
    differences: dict[Path, tuple[str, ...]]
    """Of each run but the first: `section.field: first -> this`."""

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        differences = {str(path): list(lines) for path, lines in self.differences.items()}
        return {**self.ranking.to_json(), "recipe_differences": differences}

    def summary(self) -> str:
        """Return the runs, what their recipes differ in, and the ranking."""
        lines = [f"{path}: {said}" for path, said in self.facts.items()]
        for path, differing in self.differences.items():
            lines += [f"{path}: {line}" for line in differing or ["the same recipe"]]
        return "\n".join([*lines, self.ranking.summary()])


def compare_runs(
    runs: Sequence[Path],
    real: Path,
    *,
    count: int = COUNT,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
) -> RunComparison:
    """Compare runs by their `images.zip`, or by `count` pictures of seed 0 where there is none.

    Raises:
        DogsganError: a folder holds no run, or as `rank`.
    """
    records = [RunRecord.open(Path(run)) for run in runs]
    paths: dict[Path, Path] = {}
    with tempfile.TemporaryDirectory() as folder:
        for index, (run, record) in enumerate(zip(runs, records, strict=True)):
            paths[Path(run)] = record.out / "images.zip"
            if record.out == record.run or not paths[Path(run)].is_file():
                paths[Path(run)] = Path(folder) / f"{index}.zip"
                generate(record.run, paths[Path(run)], count=count, device=device)
        ranking = rank(
            list(paths.values()),
            real,
            network=network,
            weights=weights,
            device=device,
            cache_dir=cache_dir,
        )
    named = {path: run for run, path in paths.items()}
    ranked = tuple(dataclasses.replace(each, path=named[each.path]) for each in ranking.ranked)
    return RunComparison(
        Ranking(ranked),
        facts={
            Path(run): f"{record.recipe.name}, {record.images_seen:,} images in {duration(record.hours)}"
            for run, record in zip(runs, records, strict=True)
        },
        differences={
            Path(run): tuple(records[0].recipe.differences(record.recipe))
            for run, record in zip(runs[1:], records[1:], strict=True)
        },
    )


def difference_of(worse: np.ndarray, better: np.ndarray, *, observed: float) -> Difference:
    """Return the observed difference with its interval, from bootstrap values of both sides.

    The resamples' own mean is taken out: a resample has fewer distinct pictures, which raises every
    Fréchet distance.
    """
    spread = worse - better
    low, high = percentile_interval(spread - spread.mean())
    return Difference(float(observed), float(observed + low), float(observed + high))


def _resampled(generated: Side, real: Side, *, epsilon: float | None, seed: int = 0) -> np.ndarray:
    """Return the MiFID of resamples of the generated pictures, drawn with replacement; see `Ranked.value`."""
    assert generated.features is not None
    random, features = np.random.default_rng(seed), generated.features
    distances = None if real.features is None else nearest_real(features, real.features)[0]
    values = np.empty(RESAMPLES)
    with progress_bar(description="resamples", total=RESAMPLES, unit="resamples") as bar:
        for index in range(RESAMPLES):
            drawn = statistics_of(features[random.integers(len(features), size=len(features))])
            values[index] = frechet_distance_between(drawn, real.statistics)
            if distances is not None:
                distance = distances[random.integers(len(distances), size=len(distances))].mean()
                values[index] = mifid(values[index], float(distance), epsilon=epsilon)
            bar.update()
    return values
