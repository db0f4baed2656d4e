"""Statistics of the whole submission, each with its interval and a sentence on what it means."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from dogsgan.audit import meanings
from dogsgan.audit.result import Statistic
from dogsgan.errors import DogsganError
from dogsgan.metrics.authenticity import authenticity_of, authenticity_of_unseen
from dogsgan.metrics.bootstrap import interval_of_mean
from dogsgan.metrics.data_copying import (
    FEWEST_GENERATED,
    FEWEST_TEST,
    DataCopying,
    cells_of,
    data_copying,
    fit_cells,
)
from dogsgan.metrics.distances import checked_pair
from dogsgan.metrics.nearest import Neighbours, nearest_others, nearest_rows
from dogsgan.metrics.precision_recall import NEIGHBOURS, overlap

_FEWEST_COMPARED = 20
"""Shares of fewer pictures than this are not compared."""
_TITLES = {
    "c_t": "Data-copying test (C_T)",
    "authpct": "Authentic pictures, % (AuthPct)",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
}


@dataclass(frozen=True)
class WholeSet:
    """The statistics of a submission as a whole."""

    statistics: tuple[Statistic, ...]
    """C_T, AuthPct, precision, recall, density, coverage, in this order."""
    p_value: float | None
    """One-sided p-value of C_T: small where the set as a whole copies. None where there is no C_T."""


def whole_set_statistics(
    generated: np.ndarray,
    real: np.ndarray,
    *,
    held_out: np.ndarray | None = None,
    excluded_real: np.ndarray | None = None,
    not_judged: str | None = None,
    seed: int = 0,
    show_progress: bool = True,
) -> WholeSet:
    """Return what features tell of the whole set: generated, N×D, and the training set's, M×D.

    `held_out`, H×D, are real pictures that were not trained on; without them the training pictures stand in,
    each compared with the rest of the training set. `excluded_real`, M booleans, marks real pictures that
    duplicate another, all but one of each group: they are left out throughout, so that a picture that stands
    twice counts once. Where there are too few pictures a statistic is None and its meaning says how many it
    takes. `not_judged` says why no value can be judged, and is then the meaning of each. Memory beyond the
    features: a copy of the real ones if any are excluded, and on two cores about 600 MB at 4032 features.

    Raises:
        DogsganError: sizes differ, or a feature is NaN or infinite.
    """
    sides = _Sides.of(generated, real, held_out=held_out, excluded_real=excluded_real)
    distances = _measure(sides, show_progress=show_progress)
    copying = _copying(sides, distances, seed=seed)
    statistics: tuple[Statistic, ...] = (
        _c_t(copying),
        _authpct(sides, distances, seed=seed),
        *_precision_recall(sides, distances, seed=seed, show_progress=show_progress),
    )
    if not_judged is not None:
        statistics = tuple(
            item if item.value is None else dataclasses.replace(item, meaning=not_judged)
            for item in statistics
        )
    return WholeSet(
        statistics=statistics, p_value=copying.p_value if isinstance(copying, DataCopying) else None
    )


@dataclass(frozen=True, eq=False)
class _Sides:
    """The features that are compared."""

    generated: torch.Tensor
    real: torch.Tensor
    """Without what is excluded."""
    unseen: torch.Tensor | None
    """Held-out real pictures; None where there are none."""

    @classmethod
    def of(
        cls,
        generated: np.ndarray,
        real: np.ndarray,
        *,
        held_out: np.ndarray | None,
        excluded_real: np.ndarray | None,
    ) -> "_Sides":
        """Check them and leave out what is excluded."""
        rows, others = checked_pair(generated, real)
        unseen = None
        if held_out is not None and len(held_out):
            unseen, _ = checked_pair(held_out, others[:0], side="held-out")
        if excluded_real is not None and np.any(excluded_real):
            others = others[torch.from_numpy(~np.asarray(excluded_real, dtype=bool))]
        return cls(generated=rows, real=others, unseen=unseen)

    def too_few(self, *, generated: int, real: int) -> str:
        """Say how many of each it takes."""
        return meanings.too_few(
            generated=len(self.generated),
            real=len(self.real),
            generated_needed=generated,
            real_needed=real,
        )


@dataclass(frozen=True, eq=False)
class _Distances:
    """The nearest pictures that several statistics need."""

    to_real: Neighbours
    """Generated to real, N×1."""
    among_real: Neighbours
    """Real to other real, M×k, k at most `NEIGHBOURS`."""
    among_generated: Neighbours | None
    """Generated to other generated, N×`NEIGHBOURS`; None where there are not as many."""
    unseen_to_real: Neighbours | None
    """Held-out to real, H×1; None where nothing is held out."""


def _measure(sides: _Sides, *, show_progress: bool) -> _Distances | None:
    """Search for them, with a bar for each stage; None where there is nothing to search."""

    def stage(name: str) -> str | None:
        return f"whole set: {name}" if show_progress else None

    generated, real, unseen = sides.generated, sides.real, sides.unseen
    if len(generated) == 0 or len(real) < 2:
        return None
    among_generated = unseen_to_real = None
    if len(generated) > NEIGHBOURS:
        among_generated = nearest_others(
            generated, count=NEIGHBOURS, side="generated", description=stage("generated to generated")
        )
    if unseen is not None:
        unseen_to_real = nearest_rows(unseen, real, description=stage("held-out to real"))
    return _Distances(
        to_real=nearest_rows(generated, real, description=stage("generated to real")),
        among_real=nearest_others(
            real, count=min(NEIGHBOURS, len(real) - 1), description=stage("real to real")
        ),
        among_generated=among_generated,
        unseen_to_real=unseen_to_real,
    )


def _copying(sides: _Sides, distances: _Distances | None, *, seed: int) -> DataCopying | str:
    """Return the outcome of the data-copying test or, where there is none, why."""
    if distances is None:
        return sides.too_few(generated=FEWEST_GENERATED + 1, real=FEWEST_TEST)
    test, test_distances = sides.real, distances.among_real.distances
    if sides.unseen is not None and distances.unseen_to_real is not None:
        test, test_distances = sides.unseen, distances.unseen_to_real.distances
    centres = fit_cells(sides.real.numpy(), generated=len(sides.generated), seed=seed)
    try:
        return data_copying(
            distances.to_real.distances[:, 0],
            test_distances[:, 0],
            generated_cells=cells_of(sides.generated.numpy(), centres),
            test_cells=cells_of(test.numpy(), centres),
            seed=seed,
        )
    except DogsganError as error:
        return f"Too few pictures: {error}."


def _c_t(copying: DataCopying | str) -> Statistic:
    if isinstance(copying, str):
        return Statistic("c_t", _TITLES["c_t"], None, None, None, copying)
    meaning = meanings.of_data_copying(copying)
    return Statistic("c_t", _TITLES["c_t"], copying.c_t, copying.low, copying.high, meaning)


def _authpct(sides: _Sides, distances: _Distances | None, *, seed: int) -> Statistic:
    if distances is None:
        return _missing("authpct", sides.too_few(generated=1, real=2))
    authentic = 100.0 * authenticity_of(distances.to_real, distances.among_real).authentic
    expected = _authpct_of_unseen(distances, seed=seed)
    return _mean("authpct", authentic, partial(meanings.of_authenticity, expected=expected), seed=seed)


def _authpct_of_unseen(distances: _Distances, *, seed: int) -> tuple[float, float, float] | None:
    """Return the AuthPct of real pictures that were not trained on, with its interval.

    None where it would say little: fewer than twenty of them or of the generated ones.
    """
    if min(len(distances.to_real.indices), len(distances.among_real.indices)) < _FEWEST_COMPARED:
        return None
    if distances.unseen_to_real is None:
        found = authenticity_of_unseen(distances.among_real)
    elif len(distances.unseen_to_real.indices) < _FEWEST_COMPARED:
        return None
    else:
        found = authenticity_of(distances.unseen_to_real, distances.among_real)
    return (found.percent, *interval_of_mean(100.0 * found.authentic, seed=seed))


def _precision_recall(
    sides: _Sides, distances: _Distances | None, *, seed: int, show_progress: bool
) -> tuple[Statistic, ...]:
    keys = ("precision", "recall", "density", "coverage")
    if distances is None or distances.among_generated is None or len(sides.real) <= NEIGHBOURS:
        why = sides.too_few(generated=NEIGHBOURS + 1, real=NEIGHBOURS + 1)
        return tuple(_missing(key, why) for key in keys)
    found = overlap(
        sides.generated,
        sides.real,
        generated_squared=distances.among_generated.squared,
        real_squared=distances.among_real.squared,
        description="whole set: overlap" if show_progress else None,
    )
    expected = meanings.expected_coverage(
        generated=len(sides.generated), real=len(sides.real), neighbours=NEIGHBOURS
    )
    of_precision, of_density = meanings.of_precision, meanings.of_density
    if found.coverage < meanings.CROWDED * expected:
        of_precision = of_density = lambda value, *, low, high: meanings.crowded(found.coverage)
    return (
        _mean("precision", found.real_balls > 0, of_precision, seed=seed),
        _mean("recall", found.recalled, partial(meanings.of_recall, coverage=found.coverage), seed=seed),
        _mean("density", found.real_balls / found.neighbours, of_density, seed=seed),
        _mean("coverage", found.covered, partial(meanings.of_coverage, expected=expected), seed=seed),
    )


def _mean(key: str, of_pictures: np.ndarray, meaning: Callable[..., str], *, seed: int) -> Statistic:
    """Return the statistic that is the mean of what each picture, N, adds to it."""
    value = float(of_pictures.mean())
    low, high = interval_of_mean(of_pictures, seed=seed)
    return Statistic(key, _TITLES[key], value, low, high, meaning(value, low=low, high=high))


def _missing(key: str, why: str) -> Statistic:
    return Statistic(key, _TITLES[key], None, None, None, why)
