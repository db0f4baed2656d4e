"""The kernel distance between two sets of features (KID): for sets too small for a Fréchet distance.

Its expectation does not depend on how many pictures there are (Bińkowski et al. 2018, arXiv 1801.01401,
section 4), so that sets of different sizes can be compared; its standard error says how far a small one can
be trusted. `kernel_distance` takes all pairs and is the better estimate. `kid` is the mean over subsets as it
is published, to be set beside other people's.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.errors import DogsganError
from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.distances import Array, checked_pair, parts_of

DEGREE = 3
KERNEL = f"(x·y / D + 1)^{DEGREE}"
"""The kernel in words; D is the number of features."""

SUBSETS = 100
SUBSET_SIZE = 1000
_SUBSETS_OF_A_SCORE = 10
"""So many take seconds; with ten times as many the mean would move by a third of its deviation at most."""


@dataclass(frozen=True)
class KernelDistance:
    """An estimate and how far it can be trusted."""

    value: float
    """Unbiased, so below 0 about as often as above where the distributions are the same."""
    standard_error: float | None
    """None where a side has fewer than three pictures."""


def kernel_distance(generated: Array, real: Array) -> KernelDistance:
    """Return the unbiased squared maximum mean discrepancy of features, N×D and M×D, in the kernel `KERNEL`.

    It is taken over all pairs; KID's usual mean over random subsets only adds noise. The standard error is
    the delete-one jackknife's over both sides. Its square is on average not below the variance (Efron & Stein
    1981): it is about right where the distributions differ, and √2 too large where they are the same.

    Raises:
        DogsganError: a side has fewer than two pictures, sizes differ, or a feature is NaN or infinite.
    """
    rows, others = checked_pair(generated, real)
    if min(len(rows), len(others)) < 2:
        raise DogsganError(
            f"a kernel distance needs at least 2 pictures a side, these are {len(rows)} and {len(others)}"
        )
    within_rows = _within(rows)  # N
    within_others = _within(others)  # M
    across_rows, across_others = _kernel_sums(rows, others)  # N, M
    n, m = len(rows), len(others)
    own, other, across = within_rows.sum(), within_others.sum(), across_rows.sum()
    value = own / (n * (n - 1)) + other / (m * (m - 1)) - 2 * across / (n * m)
    if min(n, m) < 3:
        return KernelDistance(float(value), None)
    without_row = (own - 2 * within_rows) / ((n - 1) * (n - 2)) - 2 * (across - across_rows) / ((n - 1) * m)
    without_other = (other - 2 * within_others) / ((m - 1) * (m - 2)) - 2 * (across - across_others) / (
        n * (m - 1)
    )
    variance = _jackknife_variance(without_row) + _jackknife_variance(without_other)
    return KernelDistance(float(value), float(variance**0.5))


def _jackknife_variance(left_out: np.ndarray) -> float:
    """Return the variance of an estimate from its N values with each observation left out in turn."""
    count = len(left_out)
    return float((count - 1) * left_out.var())


def _within(rows: torch.Tensor) -> np.ndarray:
    """Return the sum of each row's kernel with all the other rows, N float64."""
    own = rows.double().square().sum(dim=1)
    return _kernel_sums(rows, rows)[0] - _kernel_of(own, rows.shape[1]).cpu().numpy()


def _kernel_sums(rows: torch.Tensor, others: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of the kernel over the other side, N and M float64, holding one block of pairs."""
    of_rows = torch.zeros(len(rows), dtype=torch.float64, device=rows.device)
    of_others = torch.zeros(len(others), dtype=torch.float64, device=rows.device)
    for part in parts_of(len(rows), rows.device):
        block = rows[part].double()
        for other_part in parts_of(len(others), rows.device):
            kernel = _kernel_of(block @ others[other_part].double().T, rows.shape[1])  # n×m
            of_rows[part] += kernel.sum(dim=1)
            of_others[other_part] += kernel.sum(dim=0)
    return of_rows.cpu().numpy(), of_others.cpu().numpy()


def _kernel_of(products: torch.Tensor, dimension: int) -> torch.Tensor:
    return (products / dimension + 1.0) ** DEGREE


def kid(
    generated: Array, real: Array, *, subsets: int = SUBSETS, subset_size: int = SUBSET_SIZE, seed: int = 2020
) -> Measured:
    """Return mean and deviation of the unbiased kernel distance over subsets of features, N×D and M×D.

    A subset has `subset_size` rows of each side, without repetition, or as many as the smaller side has. The
    draws are torch-fidelity's at the same seed.

    Raises:
        DogsganError: a side has fewer than two pictures, sizes differ, or a feature is NaN or infinite.
    """
    rows, others = checked_pair(generated, real)
    size = min(subset_size, len(rows), len(others))
    if size == len(rows) == len(others):
        return Measured(kernel_distance(rows, others).value)
    random = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        some, other = (random.choice(len(side), size, replace=False) for side in (rows, others))
        values.append(kernel_distance(rows[some], others[other]).value)
    return Measured(float(np.mean(values)), float(np.std(values)))


METRICS = (
    Metric(
        name="kid",
        title="KID",
        measure=lambda generated, real: kid(generated, real, subsets=_SUBSETS_OF_A_SCORE),
        lower_is_better=True,
        meaning="The squared maximum mean discrepancy in a cubic kernel; around 0 for equal distributions, "
        "at any number of pictures.",
    ),
)
