"""Statistics of the whole submission, each with its interval and a sentence on what it means."""

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit import meanings
from dogsgan.audit.result import Statistic
from dogsgan.errors import DogsganError
from dogsgan.metrics.bootstrap import interval_of_mean
from dogsgan.metrics.data_copying import (
    FEWEST_GENERATED,
    FEWEST_TEST,
    authentic_of,
    cells_of,
    data_copying,
    fit_cells,
)
from dogsgan.metrics.distances import Neighbours, checked_pair, nearest_others, nearest_rows
from dogsgan.metrics.precision_recall import NEIGHBOURS, PrecisionRecall, overlap

_FEWEST_COMPARED = 20
"""Shares of fewer pictures than this are not compared."""
_FEWEST = {
    "c_t": (FEWEST_GENERATED + 1, FEWEST_TEST),
    "authpct": (1, 2),
    **dict.fromkeys(("precision", "recall", "density", "coverage"), (NEIGHBOURS + 1, NEIGHBOURS + 1)),
}
"""How many generated and real pictures each statistic takes, in the order that they are listed in."""
_TITLES = {"c_t": "Data-copying test (C_T)", "authpct": "Authentic pictures, % (AuthPct)"}


class WholeSet(NamedTuple):
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
    rows, others = checked_pair(generated, real)
    unseen = None
    if held_out is not None and len(held_out):
        unseen, _ = checked_pair(held_out, others[:0], side="held-out")
    if excluded_real is not None and np.any(excluded_real):
        others = others[torch.from_numpy(~np.asarray(excluded_real, dtype=bool))]
    found: dict[str, Statistic] = {}
    p_value = None
    if len(rows) and len(others) > 1:
        to_real = nearest_rows(rows, others, description="whole set: generated to real")
        among_real = nearest_others(
            others, count=min(NEIGHBOURS, len(others) - 1), description="whole set: real to real"
        )
        unseen_to_real = None
        if unseen is not None:
            unseen_to_real = nearest_rows(unseen, others, description="whole set: held-out to real")
        test = others if unseen is None else unseen
        test_to_real = unseen_to_real or among_real
        found["c_t"], p_value = _c_t(rows, others, to_real, test, test_to_real, seed=seed)
        found["authpct"] = _authpct(to_real, among_real, unseen_to_real, seed=seed)
    if min(len(rows), len(others)) > NEIGHBOURS:
        among_generated = nearest_others(
            rows, count=NEIGHBOURS, side="generated", description="whole set: generated to generated"
        )
        lying = overlap(
            rows,
            others,
            generated_squared=among_generated.squared,
            real_squared=among_real.squared,
            description="whole set: overlap",
        )
        found |= {each.key: each for each in _precision_recall(lying, seed=seed)}
    statistics = []
    for key, (fewest_generated, fewest_real) in _FEWEST.items():
        statistic = found.get(key) or _statistic(
            key, None, meanings.too_few(len(rows), len(others), fewest_generated, fewest_real)
        )
        if not_judged is not None and statistic.value is not None:
            statistic = dataclasses.replace(statistic, meaning=not_judged)
        statistics.append(statistic)
    return WholeSet(tuple(statistics), p_value)


def _c_t(
    generated: torch.Tensor,
    real: torch.Tensor,
    to_real: Neighbours,
    test: torch.Tensor,
    test_to_real: Neighbours,
    *,
    seed: int,
) -> tuple[Statistic, float | None]:
    """Return C_T and its p-value; `test` are real pictures to compare with, and their nearest others."""
    centres = fit_cells(real.numpy(), generated=len(generated), seed=seed)
    try:
        outcome = data_copying(
            to_real.distances[:, 0],
            test_to_real.distances[:, 0],
            generated_cells=cells_of(generated.numpy(), centres),
            test_cells=cells_of(test.numpy(), centres),
            seed=seed,
        )
    except DogsganError as error:
        return _statistic("c_t", None, f"Too few pictures: {error}."), None
    meaning = meanings.of_data_copying(outcome)
    return _statistic("c_t", outcome.c_t, meaning, outcome.low, outcome.high), outcome.p_value


def _authpct(
    to_real: Neighbours, among_real: Neighbours, unseen_to_real: Neighbours | None, *, seed: int
) -> Statistic:
    """Compare AuthPct with that of real pictures that were not trained on, where there are enough."""
    # with nothing held out, each training picture against the others
    unseen = among_real if unseen_to_real is None else unseen_to_real
    expected = None
    if min(len(to_real.indices), len(among_real.indices), len(unseen.indices)) >= _FEWEST_COMPARED:
        of_unseen = authentic_of(unseen, among_real)
        expected = (float(100 * of_unseen.mean()), *interval_of_mean(100.0 * of_unseen, seed=seed))
    authentic = 100.0 * authentic_of(to_real, among_real)
    return _mean("authpct", authentic, partial(meanings.of_authenticity, expected=expected), seed=seed)


def _precision_recall(found: PrecisionRecall, *, seed: int) -> tuple[Statistic, ...]:
    expected = meanings.expected_coverage(
        generated=len(found.real_balls), real=len(found.covered), neighbours=NEIGHBOURS
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
    return _statistic(key, value, meaning(value, low=low, high=high), low, high)


def _statistic(
    key: str, value: float | None, meaning: str, low: float | None = None, high: float | None = None
) -> Statistic:
    return Statistic(key, _TITLES.get(key, key.capitalize()), value, low, high, meaning)
