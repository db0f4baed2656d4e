"""Two tests for copies by the distance to the nearest training picture: AuthPct and C_T.

AuthPct is of single pictures (Alaa et al. 2022, "How faithful is your synthetic data?"). C_T asks whether
generated pictures lie nearer to the training set than unseen real ones do (Meehan, Chaudhuri & Dasgupta, "A
Non-Parametric Test to Detect Data-Copying in Generative Models", 2020).
"""

import warnings
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2, vq
from scipy.special import ndtr

from dogsgan.blockwise import blocks
from dogsgan.errors import DogsganError
from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.bootstrap import percentile_interval
from dogsgan.metrics.distances import Array, Neighbours, nearest_others, nearest_rows

MOST_CELLS = 50
_REAL_IN_A_CELL = 1000
"""Training pictures to a cell: the authors have 50 cells for MNIST's 50,000."""
_GENERATED_IN_A_CELL = 100
FEWEST_GENERATED = 20
"""A cell counts with more generated pictures than this: the authors' τ is 20/m."""
FEWEST_TEST = 20
"""Fewer test pictures than this in the cells that count, and there is no C_T."""
_PICTURES_FITTED = 5000
_ROWS_AT_ONCE = 2048
_RESAMPLES = 1000


def authentic(generated: Array, real: Array) -> np.ndarray:
    """Return which generated pictures are authentic, N booleans, from features, N×D and M×D.

    A generated picture is authentic if it lies farther, by Euclidean distance, from its nearest training
    picture than that picture lies from its own nearest other one. `real` is the set that was trained on: a
    held-out set of the same distribution gives another number. A training picture that stands twice has its
    twin at distance 0, so that only an exact copy of it is not authentic: leave the twins out.

    Raises:
        DogsganError: there is no generated or fewer than two real pictures, sizes differ, or a feature is NaN
            or infinite.
    """
    return authentic_of(nearest_rows(generated, real), nearest_others(real))


def authentic_of(to_real: Neighbours, among_real: Neighbours) -> np.ndarray:
    """Return the same from distances at hand: generated to real, N×k, and real to other real, M×k.

    Training pictures that each take a turn as a generated one, with the others as the training set
    (leave-one-out), give what an honest generator comes to: `among_real` is then both. The picture itself
    need not be left out of its nearest one's neighbours: where it is the nearest of those, it is not
    authentic with or without.
    """
    nearest = to_real.indices[:, 0]
    return among_real.squared[nearest, 0] < to_real.squared[:, 0]


METRICS = (
    Metric(
        name="authenticity",
        title="AuthPct",
        measure=lambda generated, real: Measured(float(100 * authentic(generated, real).mean())),
        lower_is_better=False,
        meaning="The percentage of generated pictures that are farther from the nearest real one than that "
        "one is from its own nearest.",
        quick=False,
    ),
)


@dataclass(frozen=True)
class DataCopying:
    """The outcome of the three-sample test."""

    c_t: float
    """Below 0: generated pictures lie nearer to the training set than the test pictures; above 0: farther."""
    p_value: float
    """One-sided: how often a C_T this low or lower comes about where nothing is copied."""
    low: float
    """Lower end of the 95% bootstrap interval of C_T."""
    high: float
    nearer: float
    """How often a generated picture is nearer than a test picture of its cell: 0.5 if nothing is copied."""
    cells: int
    """Cells that counted."""
    generated: int
    """Generated pictures in the cells that counted."""


def data_copying(
    generated_distances: np.ndarray,
    test_distances: np.ndarray,
    *,
    generated_cells: np.ndarray,
    test_cells: np.ndarray,
    seed: int = 0,
) -> DataCopying:
    """Return C_T from each picture's distance to its nearest training picture and the cell it lies in.

    In every cell π the Mann–Whitney U of generated against test distances, not corrected for continuity, is
    turned into a z-score, negative where generated ones are smaller; C_T is the mean of the z-scores,
    weighted by the share of test pictures in the cell, over the cells that hold more than τ = 20/m of the m
    generated pictures. Distances are those to the whole training set, as in the paper (its authors' code
    looks at the cell's own part only). Where nothing is copied the z-scores are independent and standard
    normal, so C_T over the root of the sum of its squared weights is too: that gives the p-value.

    The test pictures come from the training set's distribution and are not in it. Where there are none, take
    the training pictures, each with its distance to the rest (leave-one-out) and without twins. Two of them
    can be each other's nearest, so that the distances are not independent: on Gaussians of 2 to 10 dimensions
    that widens C_T's spread by a fifth at most (p = 0.01 stands for about 0.03); of 64 and more it does not
    show.

    The interval draws generated and test pictures anew and holds the training set, the cells, and which of
    them count fixed.

    Raises:
        DogsganError: too few pictures for any cell; the text says how many it would take.
    """
    cells = _Cells.of(generated_distances, test_distances, generated_cells, test_cells)
    observed = cells.outcome(cells.generated, cells.test)
    _refuse_few(observed)
    counted = (observed.generated > FEWEST_GENERATED) & (observed.test > 0)
    weights = np.where(counted, observed.test, 0) / observed.test[counted].sum()
    c_t = float(weights @ observed.z)
    low, high = percentile_interval(_resampled(cells, counted, seed=seed))
    return DataCopying(
        c_t=c_t,
        p_value=float(ndtr(c_t / np.sqrt(np.square(weights).sum()))),
        low=low,
        high=high,
        nearer=float(weights @ (1 - observed.share_farther)),
        cells=int(counted.sum()),
        generated=int(observed.generated[counted].sum()),
    )


def fit_cells(real: np.ndarray, *, generated: int, seed: int = 0) -> np.ndarray:
    """Return the centres, K×D, of the cells that the instance space is divided into: k-means of `real`, M×D.

    There is one cell for every thousand real pictures, 50 at most, and no more than leave each a hundred of
    the `generated` pictures on average. Of more than 5,000 pictures a random 5,000 are fitted. The same seed
    gives the same cells.
    """
    random = np.random.default_rng(seed)
    count = max(1, min(MOST_CELLS, len(real) // _REAL_IN_A_CELL, generated // _GENERATED_IN_A_CELL))
    fitted = real
    if len(real) > _PICTURES_FITTED:
        fitted = real[np.sort(random.choice(len(real), _PICTURES_FITTED, replace=False))]
    if count == 1:
        return fitted.mean(axis=0, keepdims=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="One of the clusters is empty")  # such a cell never counts
        centres, _ = kmeans2(fitted, count, minit="++", iter=20, seed=random)
    return centres


def cells_of(features: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the index of the nearest of `centres`, K×D, for each row of `features`, N×D."""
    parts = [vq(features[part], centres)[0] for part in blocks(len(features), _ROWS_AT_ONCE)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class _Outcome:
    """What comes out in each of K cells."""

    generated: np.ndarray
    test: np.ndarray
    z: np.ndarray
    """z-score of U; 0 where either kind is missing."""
    share_farther: np.ndarray
    """U over its largest value; 0.5 where either kind is missing."""


@dataclass(frozen=True, eq=False)
class _Cells:
    """Distances by rank: every distinct distance in a cell is one level, and all that counts of a picture."""

    generated: np.ndarray
    """The level of each generated picture, m."""
    test: np.ndarray
    """The level of each test picture, n."""
    first: np.ndarray
    """The first level of each of K cells; levels ascend with the distance within a cell."""
    levels: int

    @classmethod
    def of(
        cls,
        generated_distances: np.ndarray,
        test_distances: np.ndarray,
        generated_cells: np.ndarray,
        test_cells: np.ndarray,
    ) -> "_Cells":
        """Sort the pictures of both kinds into cells and levels."""
        names, cell = np.unique(np.concatenate([generated_cells, test_cells]), return_inverse=True)
        distance = np.concatenate([generated_distances, test_distances])
        order = np.lexsort((distance, cell))
        rises = (np.diff(cell[order]) != 0) | (np.diff(distance[order]) != 0)
        levels = np.concatenate([[0], np.cumsum(rises)])
        level = np.empty(len(order), dtype=np.int64)
        level[order] = levels
        split = len(generated_distances)
        return cls(
            generated=level[:split],
            test=level[split:],
            first=levels[np.searchsorted(cell[order], np.arange(len(names)))],
            levels=int(levels[-1]) + 1,
        )

    def outcome(self, generated: np.ndarray, test: np.ndarray) -> _Outcome:
        """Return what comes out if the pictures' levels are `generated`, m, and `test`, n."""
        at_generated = np.bincount(generated, minlength=self.levels)
        at_test = np.bincount(test, minlength=self.levels)
        m, n = (np.add.reduceat(counts, self.first) for counts in (at_generated, at_test))
        below = np.cumsum(at_test) - at_test / 2  # test pictures that are nearer, a tie counted half
        before = np.repeat(np.cumsum(n) - n, np.diff(self.first, append=self.levels))  # in earlier cells
        u = np.add.reduceat(at_generated * (below - before), self.first)
        spread = np.sqrt(m * n * (m + n + 1.0) / 12)
        both = spread > 0
        return _Outcome(
            generated=m,
            test=n,
            z=np.divide(u - m * n / 2, spread, out=np.zeros(len(m)), where=both),
            share_farther=np.divide(u, m * n, out=np.full(len(m), 0.5), where=both),
        )


def _resampled(cells: _Cells, counted: np.ndarray, *, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    values = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):
        outcome = cells.outcome(
            cells.generated[random.integers(len(cells.generated), size=len(cells.generated))],
            cells.test[random.integers(len(cells.test), size=len(cells.test))],
        )
        weights = outcome.test[counted]
        values[index] = weights @ outcome.z[counted] / max(1, weights.sum())
    return values


def _refuse_few(observed: _Outcome) -> None:
    if (observed.generated <= FEWEST_GENERATED).all():
        total, fullest = observed.generated.sum(), observed.generated.max()
        raise DogsganError(
            f"of {total} generated pictures {fullest} lie in the fullest cell and none holds more than "
            f"{FEWEST_GENERATED}: it takes at least {FEWEST_GENERATED + 1} in one"
        )
    test = int(observed.test[observed.generated > FEWEST_GENERATED].sum())
    if test < FEWEST_TEST:
        raise DogsganError(
            f"only {test} real pictures to compare with lie where generated ones do: "
            f"it takes at least {FEWEST_TEST}"
        )
