"""The memorization distance, how close generated pictures come to real ones, and the score by it."""

import math

import numpy as np
import torch

from dogsgan.blockwise import at_once, blocks
from dogsgan.errors import DogsganError
from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.distances import Array, checked_pair, unit_rows

_ROWS_AT_ONCE = 1024
_COLUMNS_AT_ONCE = 4096
_AGAINST_ZERO_DIVISION = 1e-15
_ROW_BYTES = 100_000  # of 1,024 rows with 4,096 columns, at 4032 features


def memorization_distance(generated: Array, real: Array) -> float:
    """Return the mean over generated rows of the smallest `1 − |cos|` to any real row.

    Both are N×D features. Rows whose sum is 0 are left out on both sides, as the organisers' scorer does.

    Raises:
        DogsganError: a feature is NaN or infinite, sizes differ, or no row is left.
    """
    distances, _ = nearest_real(generated, real)
    return float(distances.mean())


METRICS = (
    Metric(
        name="distance",
        title="memorization distance",
        measure=lambda generated, real: Measured(memorization_distance(generated, real)),
        lower_is_better=False,
        meaning="The mean cosine distance from a generated picture to the nearest real one; 0 for copies.",
    ),
)


def nearest_real(generated: Array, real: Array) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each generated row, the smallest distance `1 − |cos|` to a real row and that row's index.

    Rows that sum to 0 are left out, so the results are as long as the generated rows that remain; indices
    count all real rows. Memory beyond the features: two blocks in float64 and their product, about 120 MB at
    2048 features.
    """
    generated_rows, real_rows = checked_pair(generated, real)
    device = generated_rows.device
    generated_kept, real_kept = _nonzero(generated_rows, "generated"), _nonzero(real_rows, "real")
    best = torch.full((len(generated_kept),), -1.0, dtype=torch.float64, device=device)
    index = torch.zeros(len(generated_kept), dtype=torch.long, device=device)
    for columns in real_kept.split(_COLUMNS_AT_ONCE):
        block = unit_rows(real_rows[columns])
        for rows in blocks(len(generated_kept), at_once(_ROWS_AT_ONCE, row_bytes=_ROW_BYTES, device=device)):
            unit = unit_rows(generated_rows[generated_kept[rows]])
            similarity, position = (unit @ block.T).abs_().max(dim=1)  # rows×columns, then rows
            closer = similarity > best[rows]
            best[rows] = torch.where(closer, similarity, best[rows])
            index[rows] = torch.where(closer, columns[position], index[rows])
    distances = (1.0 - best).clamp_min(0.0)  # equal rows: rounding may leave their cosine above 1
    return distances.cpu().numpy(), index.cpu().numpy()


def _nonzero(rows: torch.Tensor, side: str) -> torch.Tensor:
    """Return the indices of the rows whose float64 sum is not 0."""
    sums = torch.cat([part.sum(dim=1, dtype=torch.float64) for part in rows.split(_COLUMNS_AT_ONCE)])
    kept = (sums != 0).nonzero().squeeze(1)
    if len(kept) == 0:
        raise DogsganError(
            f"every {side} picture has features that sum to 0: this network cannot compare them"
        )
    return kept


def mifid(fid: float, distance: float, *, epsilon: float | None) -> float:
    """Return the memorization-informed Fréchet distance `fid / m'`.

    m' is `distance` below `epsilon`, else 1. With `epsilon=None` (no threshold was ever calibrated for the
    network that made the two numbers) m' is always 1, so the score is the Fréchet distance itself.

    Raises:
        DogsganError: a number is NaN or infinite.
    """
    for name, value in (("Fréchet distance", fid), ("memorization distance", distance)):
        if not math.isfinite(value):
            raise DogsganError(
                f"the {name} is {value}: no score can be made of it; look for NaN in the features"
            )
    penalised = epsilon is not None and distance < epsilon
    return fid / ((distance if penalised else 1.0) + _AGAINST_ZERO_DIVISION)
