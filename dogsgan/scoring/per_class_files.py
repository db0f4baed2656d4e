"""What a score per class leaves in a folder: `per-class.csv`, `per-class.json` and `per-class.png`."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dogsgan.errors import printable
from dogsgan.files import atomic_path, write_bytes, write_json
from dogsgan.scoring.per_class_figures import ClassFigures
from dogsgan.scoring.per_class_result import CORRELATED, Correlation, PerClassScore
from dogsgan.spreadsheet import to_cell

_NUMBERS = (
    "real",
    "generated",
    "kernel_distance",
    "standard_error",
    "fid",
    "precision",
    "recall",
    "equal_precision",
    "equal_recall",
)
_NAMED = 3
"""How many of the worst and of the best classes are named in the plot."""


def write_per_class(result: PerClassScore, out: Path) -> None:
    """Write table, JSON and plot to the folder `out`, each in one step.

    Raises:
        DogsganError: they cannot be written.
    """
    _write_table(result, out / "per-class.csv")
    write_json(out / "per-class.json", result.to_json())
    _plot(result, out / "per-class.png")


def _write_table(result: PerClassScore, path: Path) -> None:
    """Write one row a class, the worst first, as RFC 4180 has it; an unknown number is an empty cell."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("class", *_NUMBERS, "reasons", "network"))
    network = to_cell(result.score.network)
    for figures in result.classes:
        numbers = (_number(getattr(figures, name)) for name in _NUMBERS)
        reasons = "; ".join(f"{figure}: {reason}" for figure, reason in figures.reasons.items())
        writer.writerow((to_cell(figures.name), *numbers, to_cell(reasons), network))
    write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def _plot(result: PerClassScore, path: Path) -> None:
    """Draw distance, precision and recall of every class against its number of real pictures."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # only here: its import takes a second
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(result.correlations))
    for axes, correlation in zip(panels, result.correlations, strict=True):
        shown = [each for each in result.classes if getattr(each, correlation.figure) is not None]
        _draw_panel(axes, correlation, shown)
    if result.equal_counts is not None:
        counts = f"{result.equal_counts.real:,} real, {result.equal_counts.generated:,} generated a class"
        for axes in panels[1:]:
            axes.set_ylabel(f"{axes.get_ylabel()} ({counts})")
    figure.suptitle(f"{_plain(result.score.network)}: {_plain(result.score.note())}", fontsize=10)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def _draw_panel(axes: Any, correlation: Correlation, shown: Sequence[ClassFigures]) -> None:
    title = CORRELATED[correlation.figure]
    values = [getattr(each, correlation.figure) for each in shown]
    counts = [each.real for each in shown]
    if correlation.figure == "kernel_distance":
        errors = [each.standard_error or 0.0 for each in shown]
        axes.errorbar(counts, values, yerr=errors, fmt="none", ecolor="0.75", elinewidth=0.8, zorder=1)
    axes.scatter(counts, values, s=14, zorder=2)
    order = sorted(range(len(shown)), key=lambda index: values[index])
    for index in {*order[:_NAMED], *order[-_NAMED:]}:
        axes.annotate(
            _plain(shown[index].name[:30]),
            (counts[index], values[index]),
            xytext=(4, 3),
            textcoords="offset points",
            fontsize=7,
        )
    axes.set(xlabel="real pictures of the class", ylabel=title)
    axes.set_title(f"{title}: {_plain(correlation.summary())}", fontsize=9)
    axes.grid(alpha=0.3)


def _plain(text: str) -> str:
    """Return `text` so that it can be drawn, and matplotlib takes no dollar sign for mathematics."""
    return printable(text).replace("$", r"\$")
