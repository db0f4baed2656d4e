"""Numbers as text for people: no negative zero, no `nan`, nothing rounded to a certainty that it is not."""

import math
from typing import TypeGuard

NONE = "–"
_ROUNDING = 1e-9
"""What is smaller is left over from rounding: nothing here is measured so finely."""


def fixed(value: float | None, decimals: int, *, signed: bool = False) -> str:
    """Return a number with so many decimals; a dash for what is none."""
    if not _is_number(value):
        return NONE
    return f"{float(value):+z.{decimals}f}" if signed else f"{float(value):z,.{decimals}f}"


def significant(value: float | None, digits: int) -> str:
    """Return a number with so many digits; a dash for what is none, 0 for what rounding leaves of it."""
    if not _is_number(value):
        return NONE
    if 10**digits <= round(abs(value)) < 1e15:  # without an exponent
        return f"{round(float(value), digits - 1 - math.floor(math.log10(abs(value)))):.0f}"
    return f"{0.0 if abs(value) < _ROUNDING else float(value):z.{digits}g}"


def distance(value: float | None) -> str:
    """Return a distance from 0 up with four decimals; what rounds to 0 and is not is said to be less."""
    if _is_number(value) and _ROUNDING < value < 0.00005:
        return "<0.0001"
    return fixed(value, 4)


def p_value(value: float | None) -> str:
    """Return a p-value with five decimals, or what it is less than."""
    return "<0.00001" if _is_number(value) and value < 0.00001 else fixed(value, 5)


def percent(share: float | None) -> str:
    """Return a share, 0..1, as a percentage that is 0% or 100% only where it is exactly that."""
    if not _is_number(share):
        return NONE
    if share in (0, 1):
        return f"{share:z.0%}"
    if share < 0.001 or share > 0.999:
        return "under 0.1%" if share < 0.5 else "over 99.9%"
    return f"{share:.1%}"


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
