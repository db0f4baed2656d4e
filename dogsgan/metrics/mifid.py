"""The competition's score: a Fréchet distance, divided by the memorization distance if that is small."""

import math

from dogsgan.errors import DogsganError

EPSILON_PUBLIC = 0.1
"""The public side's threshold on the memorization distance (the organisers' KDD 2021 paper)."""

EPSILON_PRIVATE = 0.25
"""The private side's threshold."""

_AGAINST_ZERO_DIVISION = 1e-15


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
