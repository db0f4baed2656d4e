"""How every study is drawn: lines over the settings compared, a bar for the spread, a dot for each seed."""

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
    bars: Literal["deviation", "half_width"] = "deviation",
    log_x: bool = False,
    log_y: bool = False,
) -> None:
    """Draw lines through the means of their seeds to a PNG.

    `bars` reach the sample standard deviation up and down, or half of the mean's 95% interval; a place with
    one seed has none. Numbered places with `log_x` lie on a logarithmic axis, all others side by side in the
    order in which they first come. With `log_y` a bar that reaches 0 or below goes to the axis' end.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # only here: its import takes a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    places = list(dict.fromkeys(place for line in lines for place in line.values))
    for index, line in enumerate(lines):
        dodge = 0.0 if log_x else _DODGE * (index - (len(lines) - 1) / 2)
        _draw(axes, line, [p if log_x else i + dodge for i, p in enumerate(places)], places, bars)
    if log_x:
        axes.set_xscale("log")
    if log_y:
        axes.set_yscale("log", nonpositive="clip")
        axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xticks(places if log_x else range(len(places)), labels=[_named(place) for place in places])
    axes.minorticks_off()
    axes.set(title=title, xlabel=x_label, ylabel=y_label)
    axes.grid(alpha=0.3)
    axes.legend(title=_BARS[bars])
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=120)


def _draw(axes: Any, line: Line, positions: list[Place], places: list[Place], bars: str) -> None:
    shown = [
        (x, line.values[place]) for x, place in zip(positions, places, strict=True) if line.values.get(place)
    ]
    spreads = [spread_of(values) for _, values in shown]
    container = axes.errorbar(
        [x for x, _ in shown],
        [spread.mean for spread in spreads if spread],
        yerr=[getattr(spread, bars) or math.nan for spread in spreads],
        label=line.label,
        capsize=3,
        marker="_",
    )
    axes.scatter(
        [x for x, values in shown for _ in values],
        [value for _, values in shown for value in values],
        s=14,
        alpha=0.6,
        color=container.lines[0].get_color(),
    )


def _named(place: Place) -> str:
    return place if isinstance(place, str) else f"{place:,g}"
