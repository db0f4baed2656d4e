"""The page's drawings as plain geometry: histograms of distances, and distances beside their thresholds.

The template turns them into inline SVG, whose colours come from the style sheet: crisp at any size, in the
dark and on paper. Units are those of the SVG's viewBox, about one px on a phone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from dogsgan.number_text import fixed

WIDTH, HEIGHT = 360, 216
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 350, 36, 166
_BINS = 40
_RUG_STEP = 1.5  # ticks that would be nearer to each other than this are drawn as one


class Bar(NamedTuple):
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float


class Tick(NamedTuple):
    """A place on an axis, and what stands there."""

    position: float
    text: str


class Mark(NamedTuple):
    """A vertical line with its label: at a value before it is placed, at an x afterwards."""

    position: float
    label: str
    style: str
    """Class in the style sheet: flag or epsilon."""


@dataclass(frozen=True)
class Histogram:
    """Generated pictures as bars, the honest null as an outline, both as shares of their own number."""

    title: str
    bars: tuple[Bar, ...]
    outline: str
    """The null's steps as the points of an SVG polyline; empty where there is no null."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]
    rug: tuple[float, ...]
    """Where flagged pictures lie, thinned out to what can be told apart."""
    caption: str


@dataclass(frozen=True)
class ThresholdBar:
    """A distance as a bar, with its threshold; fractions of the bar's room."""

    distance: float
    epsilon: float


def histogram(
    title: str,
    generated: np.ndarray,
    *,
    null: np.ndarray,
    flagged: np.ndarray,
    marks: Sequence[Mark] = (),
) -> Histogram | None:
    """Lay out a histogram of values that are finite, or return None where `generated` has none of them."""
    generated, null, flagged = (_finite(values) for values in (generated, null, flagged))
    if not len(generated):
        return None
    edges = _edges(np.concatenate([generated, null, [mark.position for mark in marks]]))
    shares, null_shares = _shares(generated, edges), _shares(null, edges)
    top = float(max(shares.max(), null_shares.max()))
    low, high = float(edges[0]), float(edges[-1])

    def x_of(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (_RIGHT - _LEFT), 2)

    def y_of(share: float) -> float:
        return round(_BOTTOM - share / top * (_BOTTOM - _TOP), 2)

    return Histogram(
        title=title,
        bars=tuple(
            Bar(x_of(left), y_of(share), round(x_of(right) - x_of(left), 2), round(_BOTTOM - y_of(share), 2))
            for left, right, share in zip(edges[:-1], edges[1:], shares, strict=True)
            if share > 0
        ),
        outline=_steps([x_of(edge) for edge in edges], [y_of(s) for s in null_shares]) if len(null) else "",
        x_ticks=tuple(Tick(x_of(value), text) for value, text in _round_ticks(low, high, about=5)),
        y_ticks=tuple(
            Tick(y_of(value / 100), f"{text}%") for value, text in _round_ticks(0, 100 * top, about=3)
        ),
        marks=tuple(mark._replace(position=x_of(mark.position)) for mark in marks),
        rug=_thinned(sorted(x_of(value) for value in flagged.tolist())),
        caption=_caption(generated, null, flagged),
    )


def threshold_bar(distance: float, epsilon: float) -> ThresholdBar:
    """Lay out a distance beside its threshold, both within nine tenths of the room."""
    room = max(distance, epsilon) / 0.9
    return ThresholdBar(round(distance / room, 4), round(epsilon / room, 4))


def _finite(values: np.ndarray) -> np.ndarray:
    values = np.asarray(values, dtype=np.float64).ravel()
    finite: np.ndarray = values[np.isfinite(values)]
    return finite


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    room = (high - low) * 0.02 or 0.01
    return np.linspace(max(low - room, 0.0) if low >= 0 else low - room, high + room, _BINS + 1)


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    shares: np.ndarray = np.histogram(values, edges)[0] / max(len(values), 1)
    return shares


def _steps(edges: Sequence[float], heights: Sequence[float]) -> str:
    points = [(edges[0], float(_BOTTOM))]
    for left, right, height in zip(edges[:-1], edges[1:], heights, strict=True):
        points += [(left, height), (right, height)]
    points.append((edges[-1], float(_BOTTOM)))
    return " ".join(f"{x:g},{y:g}" for x, y in points)


def _round_ticks(low: float, high: float, *, about: int) -> list[tuple[float, str]]:
    """Return round values between two others, about so many of them, as 1, 2 or 5 times a power of ten."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1, 2, 5, 10)), key=lambda step: abs(step - rough))
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    multiples = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [(multiple * step, f"{multiple * step:.{decimals}f}") for multiple in multiples]


def _thinned(positions: Sequence[float]) -> tuple[float, ...]:
    kept: list[float] = []
    for position in positions:
        if not kept or position - kept[-1] >= _RUG_STEP:
            kept.append(position)
    return tuple(kept)


def _caption(generated: np.ndarray, null: np.ndarray, flagged: np.ndarray) -> str:
    parts = [f"{len(generated):,} generated, median {fixed(np.median(generated), 4)}"]
    if len(null):
        parts.append(f"{len(null):,} honest, median {fixed(np.median(null), 4)}")
    if len(flagged):
        parts.append(f"{len(flagged):,} flagged, median {fixed(np.median(flagged), 4)}")
    return "; ".join(parts)
