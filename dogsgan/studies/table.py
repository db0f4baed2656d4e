"""Tables and plots of studies: a row per variant as text, CSV and JSON, and how far seeds lie apart."""

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from dogsgan.files import atomic_path, write_json, write_text
from dogsgan.number_text import fixed
from dogsgan.progress import optional_file

Row: TypeAlias = Mapping[str, Any]
"""The figures of one variant by name: numbers, texts, None for what is not known, lists with one per seed."""

Place: TypeAlias = float | str
"""A place on the horizontal axis: a number, or the name of a setting."""

_DODGE = 0.04  # of the distance between two named places: lines that share one stand side by side
_LOG_DODGE = 1.05  # the factor that does the same on a logarithmic axis

_BARS = {"deviation": "bars: standard deviation over seeds", "half_width": "bars: 95% interval of the mean"}

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """The mean of a value over seeds, and how far seeds lie apart."""

    mean: float
    deviation: float | None  # sample standard deviation, over K − 1; None with one seed
    half_width: float | None  # half of the mean's 95% interval, by Student's t with K − 1 degrees of freedom
    count: int  # of seeds, K

    def text(self) -> str:
        """Return `mean ± deviation` to two digits of the deviation; one seed is said to be one."""
        if self.deviation is None:
            return f"{_number(self.mean)} (1 seed)"
        decimals = _decimals(self.deviation, digits=2) if self.deviation else _decimals(self.mean, digits=4)
        return f"{fixed(self.mean, decimals)} ± {fixed(self.deviation, decimals)}"


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Return the spread of finite values, one per seed; those that are None are left out, None where all are.

    Raises:
        ValueError: a value is NaN or infinite, which is no figure of a seed: say so in the row.
    """
    numbers = [float(value) for value in values if value is not None]
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{numbers} are not all finite")
    if not numbers:
        return None
    count, mean = len(numbers), math.fsum(numbers) / len(numbers)
    if count == 1:
        return Spread(mean=mean, deviation=None, half_width=None, count=1)
    from scipy.special import stdtrit  # only here: a study's help needs no SciPy

    deviation = math.sqrt(math.fsum((number - mean) ** 2 for number in numbers) / (count - 1))
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return Spread(mean, deviation, quantile * deviation / math.sqrt(count), count)


def as_text(rows: Sequence[Row], headings: Mapping[str, str]) -> str:
    """Return the columns that `headings` names (key to heading, in that order), numbers to the right.

    A value of None, or one that a row lacks, is shown as a dash; of a list, what differs.
    """
    table = [list(headings.values())] + [[_cell(row.get(key)) for key in headings] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    numeric = [any(_is_numeric(row.get(key)) for row in rows) for key in headings]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(cells, widths, numeric, strict=True)
        ).rstrip()
        for cells in table
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def as_csv(rows: Sequence[Row]) -> str:
    """Return all columns of all rows, the first row's order first; a list's values are joined by spaces.

    A Spread becomes three columns: its mean, its deviation and the interval's half width. They are empty in
    rows where it is None.
    """
    flat = [_flat(row) for row in rows]
    columns = dict.fromkeys(key for row in flat for key in row)
    columns = {key: None for key in columns if f"{key}_mean" not in columns}
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(flat)
    return buffer.getvalue()


def as_json(rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, Any]:
    """Return `about` with the rows under `rows`, as plain values."""
    return {**about, "rows": [_plain(row) for row in rows]}


def write_table(
    folder: Path, name: str, *, text: str, rows: Sequence[Row], content: Mapping[str, Any]
) -> list[str]:
    """Write `name`.txt, .csv (the rows alone) and .json into `folder`; return a line for each that fails."""
    failed: list[str] = []
    for path, whole in ((folder / f"{name}.txt", text + "\n"), (folder / f"{name}.csv", as_csv(rows))):
        with optional_file(path, failed):
            write_text(path, whole)
    with optional_file(folder / f"{name}.json", failed):
        write_json(folder / f"{name}.json", content)
    return failed


def _number(value: float) -> str:
    """Return a number with four digits, or more before the point; never as a power of ten."""
    return fixed(value, _decimals(value, digits=4))


def _decimals(value: float, *, digits: int) -> int:
    return (
        min(max(0, digits - 1 - math.floor(math.log10(abs(value)))), 9)
        if value and math.isfinite(value)
        else 0
    )


def _is_numeric(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_numeric, value))
    return isinstance(value, int | float | Spread) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Spread):
        return value.text()
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, list | tuple):
        return ", ".join(dict.fromkeys(map(_cell, value))) or "–"
    return str(value)


def _flat(row: Row) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Spread):
            flat |= {f"{key}_{name}": getattr(value, name) for name in ("mean", "deviation", "half_width")}
        else:
            flat[key] = " ".join(map(str, value)) if isinstance(value, list | tuple) else value
    return flat


def _plain(row: Row) -> dict[str, Any]:
    return {key: vars(value) if isinstance(value, Spread) else value for key, value in row.items()}


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
        lines: those without a value are left out; without any line nothing is drawn.
        places: the places in their order, those included that no line has yet, which are left out. They are
            numbers with `log_x`, for a logarithmic axis; all others stand side by side.
        log_y_floor: makes the vertical axis logarithmic; what lies below, and above all a value of 0, is
            drawn there, and a bar that reaches 0 or below goes to the axis' end.
    """
    from matplotlib.figure import Figure  # only here: its import takes a second

    lines = [line for line in lines if any(line.values.values())]
    if not lines:
        return
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
