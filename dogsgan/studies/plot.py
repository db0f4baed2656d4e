"""Plots of studies: lines over the settings compared, a bar for the spread, a dot for each seed."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dogsgan.files import atomic_path
from dogsgan.studies.table import spread_of

Place: TypeAlias = float | str
"""A place on the horizontal axis: a number, or the name of a setting."""

_DODGE = 0.04  # of the distance between two named places: lines that share one stand side by side
_LOG_DODGE = 1.05  # the factor that does the same on a logarithmic axis

_BARS = {"deviation": "bars: standard deviation over seeds", "half_width": "bars: 95% interval of the mean"}


@dataclass(frozen=True)
class Line:
    """One line of a plot: the values of every seed at each place."""

    label: str
    values: Mapping[Place, Sequence[float]]


def save_lines(
    path: Path,
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    places: Sequence[Place],
    bars: Literal["deviation", "half_width"] = "deviation",
    log_x: bool = False,
    log_y_floor: float | None = None,
) -> None:
    """Draw lines through the means of their seeds to a PNG.

    `bars` reach the sample standard deviation up and down, or half of the mean's 95% interval; a place with
    one seed has none.

    Args:
        places: the places in their order, those included that no line has yet, which are left out. They are
            numbers with `log_x`, for a logarithmic axis; all others stand side by side.
        log_y_floor: makes the vertical axis logarithmic; what lies below, and above all a value of 0, is
            drawn there, and a bar that reaches 0 or below goes to the axis' end.
    """
    from matplotlib.figure import Figure  # only here: its import takes a second

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    places = [place for place in places if any(line.values.get(place) for line in lines)]
    for index, line in enumerate(lines):
        positions = _positions(places, index - (len(lines) - 1) / 2, log_x=log_x)
        _draw(axes, line, positions, bars, floor=log_y_floor)
    if log_x:
        axes.set_xscale("log")
    if log_y_floor is not None:
        axes.set_yscale("log", nonpositive="clip")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(places if log_x else range(len(places)), labels=[_named(place) for place in places])
    axes.minorticks_off()
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.3)
    axes.legend(title="\n".join([_BARS[bars], *_lifted(lines, log_y_floor)]))
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def _lifted(lines: Sequence[Line], floor: float | None) -> list[str]:
    """Return a line that says so if a value is drawn higher than it is."""
    values = [value for line in lines for of_place in line.values.values() for value in of_place]
    return [f"below {floor:g}: drawn at {floor:g}"] if floor is not None and min(values) < floor else []


def _positions(places: Sequence[Place], offset: float, *, log_x: bool) -> dict[Place, float]:
    """Return where a line stands at each place, so many steps beside its middle."""
    if log_x:
        return {place: float(place) * _LOG_DODGE**offset for place in places}
    return {place: index + _DODGE * offset for index, place in enumerate(places)}


def _draw(axes: Any, line: Line, positions: Mapping[Place, float], bars: str, *, floor: float | None) -> None:
    lowest = -math.inf if floor is None else floor
    shown = [(x, line.values[place]) for place, x in positions.items() if line.values.get(place)]
    spreads = [spread_of(values) for _, values in shown]
    container = axes.errorbar(
        [x for x, _ in shown],
        [max(spread.mean, lowest) for spread in spreads if spread],
        yerr=[getattr(spread, bars) or math.nan for spread in spreads],
        label=line.label,
        capsize=3,
        marker="_",
    )
    axes.scatter(
        [x for x, values in shown for _ in values],
        [max(value, lowest) for _, values in shown for value in values],
        s=14,
        alpha=0.6,
        color=container.lines[0].get_color(),
    )


def _named(place: Place) -> str:
    return place if isinstance(place, str) else f"{place:,g}"
