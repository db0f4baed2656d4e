"""The data-copying test: the published statistic, and the laws that make it a test."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from dogsgan.errors import DogsganError
from dogsgan.metrics import data_copying as module
from dogsgan.metrics.data_copying import DataCopying, cells_of, data_copying, fit_cells
from dogsgan.metrics.distances import nearest_others, nearest_rows


def plain(
    generated: np.ndarray, test: np.ndarray, generated_cells: np.ndarray, test_cells: np.ndarray
) -> float:
    """C_T with U counted pair by pair, over cells that hold more than 20 generated pictures."""
    total = weight = 0.0
    for cell in set(test_cells.tolist()):
        a, b = generated[generated_cells == cell], test[test_cells == cell]
        if len(a) <= 20:
            continue
        u = sum((x > y) + 0.5 * (x == y) for x in a for y in b)
        z = (u - len(a) * len(b) / 2) / np.sqrt(len(a) * len(b) * (len(a) + len(b) + 1) / 12)
        total, weight = total + len(b) * z, weight + len(b)
    return total / weight


@settings(max_examples=25, deadline=None)
@given(
    m=st.integers(80, 150),
    n=st.integers(60, 150),
    cells=st.integers(1, 5),
    ties=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_it_is_the_published_statistic(m: int, n: int, cells: int, ties: bool, seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.gamma(2, size=m), random.gamma(3, size=n)
    if ties:
        a, b = np.round(3 * a), np.round(3 * b)
    of_a, of_b = random.integers(0, cells, m) ** 2, random.integers(0, cells, n) ** 2
    full = [cell for cell in range(26) if (of_a == cell).sum() > 20]
    assume(np.isin(of_b, full).sum() >= 20)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_RESAMPLES", 3)
        found = data_copying(a, b, generated_cells=of_a, test_cells=of_b)
    assert found.c_t == pytest.approx(plain(a, b, of_a, of_b), rel=1e-12, abs=1e-12)


def measured(
    generated: np.ndarray, training: np.ndarray, *, held_out: np.ndarray | None = None
) -> DataCopying:
    """The test as a caller runs it; without held-out pictures against the training set, leave-one-out."""
    test = training if held_out is None else held_out
    compared = nearest_others(training) if held_out is None else nearest_rows(held_out, training)
    centres = fit_cells(training, generated=len(generated))
    return data_copying(
        nearest_rows(generated, training).distances[:, 0],
        compared.distances[:, 0],
        generated_cells=cells_of(generated, centres),
        test_cells=cells_of(test, centres),
    )


def clusters(random: np.random.Generator, count: int) -> np.ndarray:
    """Pictures' features as they come: a few kinds, eight dimensions."""
    centres = np.random.default_rng(99).standard_normal((4, 8)) * 5
    return centres[random.integers(4, size=count)] + random.standard_normal((count, 8))


@pytest.mark.parametrize("with_held_out", [True, False])
def test_copying_is_negative_and_underfitting_positive(with_held_out: bool) -> None:
    random = np.random.default_rng(0)
    training, held_out = clusters(random, 600), clusters(random, 300) if with_held_out else None
    copies = training[:300] + 0.1 * random.standard_normal((300, 8))
    found = measured(copies, training, held_out=held_out)
    assert found.c_t < -5
    assert found.high < -3
    assert found.p_value < 1e-6
    assert found.nearer > 0.9
    blurred = clusters(random, 300) + 2 * random.standard_normal((300, 8))
    found = measured(blurred, training, held_out=held_out)
    assert found.c_t > 5
    assert found.low > 3
    assert found.p_value > 1 - 1e-6
    assert found.nearer < 0.1


@pytest.mark.parametrize("with_held_out", [True, False])
def test_honest_p_values_are_uniform(with_held_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESAMPLES", 2)
    p_values = []
    for seed in range(150):
        random = np.random.default_rng(seed)
        training, generated = clusters(random, 300), clusters(random, 200)
        held_out = clusters(random, 200) if with_held_out else None
        p_values.append(measured(generated, training, held_out=held_out).p_value)
    assert kstest(p_values, "uniform").pvalue > 0.001
    assert np.mean(np.array(p_values) < 0.01) < 0.05


def test_honest_p_values_are_uniform_whatever_the_cells_weigh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RESAMPLES", 2)
    random = np.random.default_rng(5)
    share = [0.5, 0.2, 0.1, 0.1, 0.1]
    found = [
        data_copying(
            random.random(400),
            random.random(400),
            generated_cells=random.choice(5, 400, p=share),
            test_cells=random.choice(5, 400, p=share),
        )
        for _ in range(400)
    ]
    assert kstest([outcome.p_value for outcome in found], "uniform").pvalue > 0.001
    assert np.std([outcome.c_t for outcome in found]) == pytest.approx(np.linalg.norm(share), rel=0.15)


def test_the_interval_covers_and_follows_the_seed() -> None:
    random = np.random.default_rng(1)
    a, b = random.gamma(2, size=400), random.gamma(2, size=700)
    cells = {"generated_cells": random.integers(0, 3, 400), "test_cells": random.integers(0, 3, 700)}
    found = data_copying(a, b, seed=1, **cells)
    assert found.low < found.c_t < found.high
    assert (found.high - found.low) == pytest.approx(2 * 1.96 / np.sqrt(3), rel=0.15)  # three equal z-scores
    assert data_copying(a, b, seed=1, **cells) == found
    assert data_copying(a, b, seed=2, **cells).low != found.low


def test_cells_with_little_generated_mass_do_not_count() -> None:
    random = np.random.default_rng(2)
    a, b = random.random(121), random.random(200)
    of_a, of_b = np.repeat([0, 1], [100, 21]), np.repeat([0, 1], 100)
    assert data_copying(a, b, generated_cells=of_a, test_cells=of_b).cells == 2
    found = data_copying(a[:-1], b, generated_cells=of_a[:-1], test_cells=of_b)
    assert (found.cells, found.generated) == (1, 100)
    alone = data_copying(
        a[:100], b[:100], generated_cells=np.zeros(100, dtype=int), test_cells=np.zeros(100, dtype=int)
    )
    assert found.c_t == pytest.approx(alone.c_t, rel=1e-12)


def test_too_few_pictures_say_how_many_it_takes() -> None:
    zeros = np.zeros(100, dtype=int)
    values = np.arange(100.0)
    with pytest.raises(DogsganError, match=r"of 20 generated pictures 20 lie .* takes at least 21"):
        data_copying(values[:20], values, generated_cells=zeros[:20], test_cells=zeros)
    with pytest.raises(DogsganError, match=r"only 19 real pictures .* takes at least 20"):
        data_copying(values, values[:19], generated_cells=zeros, test_cells=zeros[:19])


def test_cells_depend_on_the_numbers_of_pictures_and_the_seed_alone() -> None:
    random = np.random.default_rng(3)
    real = clusters(random, 4200).astype(np.float32)
    centres = fit_cells(real, generated=10_000, seed=4)
    assert centres.shape == (4, 8)
    assert (fit_cells(real, generated=10_000, seed=4) == centres).all()
    assert len(fit_cells(real, generated=250)) == 2
    assert len(fit_cells(real, generated=10)) == 1
    assert len(fit_cells(real[:999], generated=10_000)) == 1
    assert np.bincount(cells_of(real, centres), minlength=4).min() > 100


def test_a_picture_lies_in_the_cell_of_the_nearest_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(4)
    features, centres = random.standard_normal((50, 6)), random.standard_normal((7, 6))
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 16)
    expected = np.linalg.norm(features[:, None] - centres, axis=2).argmin(axis=1)
    assert cells_of(features, centres).tolist() == expected.tolist()
    assert cells_of(features[:0], centres).tolist() == []
