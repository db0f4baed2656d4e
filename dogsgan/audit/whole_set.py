"""Statistics of the whole submission, each with its interval and a sentence on what it means for it."""

import dataclasses
from collections.abc import Callable
from functools import partial
from math import prod
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.result import Statistic
from dogsgan.blockwise import CPU
from dogsgan.errors import DogsganError
from dogsgan.metrics.bootstrap import interval_of_mean
from dogsgan.metrics.data_copying import (
    FEWEST_GENERATED,
    FEWEST_TEST,
    DataCopying,
    authentic_of,
    cells_of,
    data_copying,
    fit_cells,
)
from dogsgan.metrics.distances import Neighbours, checked_pair, nearest_others, nearest_rows
from dogsgan.metrics.precision_recall import NEIGHBOURS, PrecisionRecall, overlap
from dogsgan.number_text import percent

_FEWEST = {
    "c_t": (FEWEST_GENERATED + 1, FEWEST_TEST),
    "authpct": (1, 2),
    **dict.fromkeys(("precision", "recall", "density", "coverage"), (NEIGHBOURS + 1, NEIGHBOURS + 1)),
}
"""How many generated and real pictures each statistic takes, in the order that they are listed in."""
_TITLES = {"c_t": "Data-copying test (C_T)", "authpct": "Authentic pictures, % (AuthPct)"}
_FEWEST_COMPARED = 20  # shares of fewer pictures are not compared
_FEWEST_JUDGED = 100  # of fewer generated or real pictures no sentence judges a figure
_BLIND_NETWORK = "stand-in"  # its weights are random
_SIGNIFICANT = 0.01  # a p-value below this counts as a finding
_CROWDED = 0.1  # coverage below this share of the expected one: all generated pictures lie in one place
_MOST, _FEW, _SLIGHTLY = 0.8, 0.3, 0.55


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
    network: str = "",
    untrained: bool = False,
    seed: int = 0,
    device: torch.device = CPU,
) -> WholeSet:
    """Return what features tell of the whole set: generated, N×D, and the training set's, M×D.

    `held_out`, H×D, are real pictures that were not trained on; without them the training pictures stand in,
    each compared with the rest of the training set. `excluded_real`, M booleans, marks real pictures that
    duplicate another, all but one of each group: they are left out throughout, so that a picture that stands
    twice counts once. Where there are too few pictures a statistic is None and its meaning says how many it
    takes. The name of the `network` or an `untrained` generator may forbid to judge any value: the meaning of
    each then says so. Memory beyond the features: a copy of the real ones if any are excluded, and on two
    cores about 600 MB at 4032 features.

    Raises:
        DogsganError: sizes differ, or a feature is NaN or infinite.
    """
    rows, others = checked_pair(generated, real, device=device)
    unseen = None
    if held_out is not None and len(held_out):
        unseen, _ = checked_pair(held_out, others[:0], side="held-out", device=device)
    if excluded_real is not None and np.any(excluded_real):
        others = others[torch.from_numpy(~np.asarray(excluded_real, dtype=bool)).to(device)]
    found: dict[str, Statistic] = {}
    p_value = None
    if len(rows) and len(others) > 1:
        to_real = nearest_rows(rows, others, description="whole set: generated to real")
        among_real = nearest_others(
            others, count=min(NEIGHBOURS, len(others) - 1), description="whole set: real to real"
        )
        test, test_to_real = others, among_real
        if unseen is not None:
            test = unseen
            test_to_real = nearest_rows(unseen, others, description="whole set: held-out to real")
        found["c_t"], p_value = _c_t(rows, others, to_real, test, test_to_real, seed=seed)
        found["authpct"] = _authpct(to_real, among_real, test_to_real, seed=seed)
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
    not_judged = why_not_judged(network, generated=len(rows), real=len(others), untrained=untrained)
    statistics = []
    for key, (fewest_generated, fewest_real) in _FEWEST.items():
        statistic = found.get(key) or _statistic(
            key, None, _too_few(len(rows), len(others), fewest_generated, fewest_real)
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
    centres = fit_cells(real.cpu().numpy(), generated=len(generated), seed=seed)
    try:
        outcome = data_copying(
            to_real.distances[:, 0],
            test_to_real.distances[:, 0],
            generated_cells=cells_of(generated.cpu().numpy(), centres),
            test_cells=cells_of(test.cpu().numpy(), centres),
            seed=seed,
        )
    except DogsganError as error:
        return _statistic("c_t", None, f"Too few pictures: {error}."), None
    meaning = of_data_copying(outcome)
    return _statistic("c_t", outcome.c_t, meaning, outcome.low, outcome.high), outcome.p_value


def _authpct(
    to_real: Neighbours, among_real: Neighbours, test_to_real: Neighbours, *, seed: int
) -> Statistic:
    """Compare AuthPct with that of real pictures that were not trained on, where there are enough."""
    expected = None
    if min(len(some.indices) for some in (to_real, among_real, test_to_real)) >= _FEWEST_COMPARED:
        of_test = authentic_of(test_to_real, among_real)
        expected = (float(100 * of_test.mean()), *interval_of_mean(100.0 * of_test, seed=seed))
    authentic = 100.0 * authentic_of(to_real, among_real)
    return _mean("authpct", authentic, partial(of_authenticity, expected=expected), seed=seed)


def _precision_recall(found: PrecisionRecall, *, seed: int) -> tuple[Statistic, ...]:
    expected = expected_coverage(
        generated=len(found.real_balls), real=len(found.covered), neighbours=NEIGHBOURS
    )
    precision, density = of_precision, of_density
    if found.coverage < _CROWDED * expected:
        precision = density = lambda value, *, low, high: _crowded(found.coverage)
    return (
        _mean("precision", found.real_balls > 0, precision, seed=seed),
        _mean("recall", found.recalled, partial(of_recall, coverage=found.coverage), seed=seed),
        _mean("density", found.real_balls / found.neighbours, density, seed=seed),
        _mean("coverage", found.covered, partial(of_coverage, expected=expected), seed=seed),
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


def of_data_copying(outcome: DataCopying) -> str:
    """Say whether the generated pictures lie nearer to the training set than unseen real ones."""
    lie = (
        "generated pictures lie nearer to the training set than unseen real ones in "
        f"{_percent(outcome.nearer)} of comparisons, where 50% is expected without copying"
    )
    odds = f"p = {_p_value(outcome.p_value)}"
    if outcome.p_value < _SIGNIFICANT and outcome.nearer < _SLIGHTLY:
        return (
            f"The set as a whole lies a little too near: {lie} ({odds}). A few copies cause this, "
            "and so do pictures that are all rather typical."
        )
    if outcome.p_value < _SIGNIFICANT:
        return f"The set as a whole points to copying: {lie} ({odds})."
    rare = "a few copies among many would not show here"
    if outcome.p_value > 1 - _SIGNIFICANT:
        return f"The set as a whole does not copy: {lie}, so they differ from the real ones; {rare}."
    return f"The set as a whole shows no copying: {lie} ({odds}); {rare}."


def of_authenticity(
    percent: float, *, low: float, high: float, expected: tuple[float, float, float] | None
) -> str:
    """Compare AuthPct, 0..100, with that of unseen real pictures, `expected`, with its interval."""
    sentence = (
        f"{_percent(percent / 100)} of the generated pictures are authentic, which means farther from "
        "their nearest training picture than that one is from its own nearest"
    )
    if expected is None:
        return f"{sentence}; there are too few pictures to say how many are expected."
    value, value_low, value_high = expected
    against = f"of unseen real pictures {_percent(value / 100)} are"
    if high < value_low:
        close = _percent(1 - percent / value)
        return f"{sentence}; {against}, as if {close} of the set were close to one training picture each."
    if low > value_high:
        return f"{sentence}; {against}, so nothing here points to copies."
    return f"{sentence}; {against}, so the set does not differ from pictures that copy nothing."


def of_precision(value: float, *, low: float, high: float) -> str:
    """Say how many generated pictures look real to the network."""
    sentence = f"{_percent(value)} of the generated pictures lie among real ones, as the network sees them"
    if low >= _MOST:
        return f"{sentence}: most could pass for real, as copies would too."
    if high < _FEW:
        return f"{sentence}: most look like nothing in the training set."
    return f"{sentence}: the others look like nothing in the training set."


def of_recall(value: float, *, low: float, high: float, coverage: float) -> str:
    """Say how much of the real pictures' variety is there; `coverage` tells variety from mere scatter."""
    sentence = f"{_percent(value)} of the real pictures lie among generated ones, as the network sees them"
    if high < _FEW:
        return f"{sentence}: most of the training set's variety is missing."
    if coverage < value / 2:
        return f"{sentence}: scattered pictures cause that, as few real ones have one near (coverage)."
    if low >= _MOST:
        return f"{sentence}: most of the training set's variety is there."
    return f"{sentence}: the variety of the others is missing."


def of_density(value: float, *, low: float, high: float) -> str:
    """Say whether generated pictures lie where real ones are dense or at their edge."""
    if value == 0:
        return "No generated picture lies among real ones, as the network sees them: they lie elsewhere."
    sentence = f"Around a generated picture, real ones lie {value:.2f} times as densely as around a real one"
    if low > 1:
        return (
            f"{sentence}: these are typical pictures, or copies, more than the training set's whole variety."
        )
    if high < 1:
        return f"{sentence}: many generated pictures lie at the edge of the real ones or outside."
    return f"{sentence}, which is what real pictures themselves have."


def of_coverage(value: float, *, low: float, high: float, expected: float) -> str:
    """Compare coverage with `expected`, what as many unseen real pictures would reach."""
    sentence = (
        f"{_percent(value)} of the real pictures have a generated one in their neighbourhood, "
        f"where as many unseen real pictures would reach {_percent(expected)}"
    )
    if high < expected:
        missing = "most" if value < expected / 2 else "part"
        return f"{sentence}: {missing} of the training set is not represented."
    if low > expected:
        return f"{sentence}: the generated pictures follow the training set more closely than real ones do."
    return f"{sentence}: the whole training set is represented."


def expected_coverage(*, generated: int, real: int, neighbours: int) -> float:
    """Return the coverage to expect of pictures that follow the real distribution.

    Naeem et al. 2020, lemma 2.
    """
    return 1 - prod((real - i) / (generated + real - i) for i in range(1, neighbours + 1))


def why_not_judged(network: str, *, generated: int, real: int, untrained: bool = False) -> str | None:
    """Return why figures of the whole set say nothing about the pictures, or None where they do.

    A network with random weights calls noise as real as a photograph; of few pictures every figure is chance.
    """
    if untrained:
        return "Not judged: the generator is untrained and the pictures are noise."
    if network == _BLIND_NETWORK:
        return (
            f"Not judged: the network {network} sees colours and edges and not what a picture shows, so this "
            "figure says nothing about the pictures; --network auto takes one that does."
        )
    if min(generated, real) < _FEWEST_JUDGED:
        return (
            f"Not judged: {generated} generated and {real} real pictures are too few; it takes "
            f"{_FEWEST_JUDGED} of each."
        )
    return None


def _crowded(coverage: float) -> str:
    """Say that figures of nearness say nothing where all generated pictures lie in one place."""
    return (
        f"Not judged: the generated pictures are near only {_percent(coverage)} of the real ones (coverage), "
        "as noise and a collapsed generator are, so this figure says nothing about them."
    )


def _too_few(generated: int, real: int, generated_needed: int, real_needed: int) -> str:
    """Say how many pictures there are and how many it takes."""
    return (
        f"Too few pictures ({generated} generated, {real} real): "
        f"it takes at least {generated_needed} generated and {real_needed} real ones."
    )


def _percent(share: float) -> str:
    """Return a share, 0..1, as a whole percentage, or as `percent` has it near 0 and 1."""
    return f"{share:.0%}" if 0.01 <= share <= 0.99 else percent(share)


def _p_value(p: float) -> str:
    return f"{p:.2g}" if p > 1e-12 else "below 1e-12"
