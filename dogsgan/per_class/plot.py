"""The plot of a score per class: distance, precision and recall by the number of real pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dogsgan.errors import printable
from dogsgan.files import atomic_path
from dogsgan.per_class.figures import ClassFigures
from dogsgan.per_class.result import CORRELATED, PerClassScore

_NAMED = 3
"""How many of the highest and of the lowest classes are named."""
_NAME_LENGTH = 30
_PLACES = (
    ((4, 3), "left"),
    ((-4, 3), "right"),
    ((4, -9), "left"),
    ((-4, -9), "right"),
    ((4, 11), "left"),
    ((-4, 11), "right"),
    ((4, -17), "left"),
    ((-4, -17), "right"),
)
"""Where a name may stand beside its dot: shift in points, and alignment; the first that is free is taken."""


def plot_per_class(result: PerClassScore, path: Path) -> None:
    """Draw one panel for each figure in `CORRELATED`, headed by its rank correlation.

    Raises:
        DogsganError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # only here: its import takes a second

    figure = Figure(figsize=(4 * len(result.correlations), 4.4), layout="constrained")
    figure.suptitle(_plain(result.note()), fontsize=10)
    panels = figure.subplots(1, len(result.correlations))
    for axes, correlation in zip(panels, result.correlations, strict=True):
        axes.set_title(f"{CORRELATED[correlation.figure]}: {_plain(correlation.summary())}", fontsize=9)
        axes.set(xlabel="real pictures of the class", ylabel=_label(correlation.figure, result))
        axes.grid(alpha=0.3)
        _draw_dots(axes, result.classes, correlation.figure)
    figure.draw_without_rendering()  # only now is known where the dots are
    for axes, correlation in zip(panels, result.correlations, strict=True):
        _name_extremes(axes, result.classes, correlation.figure)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def _label(figure: str, result: PerClassScore) -> str:
    if figure == "kernel_distance":
        return "kernel distance ± standard error"
    if figure == "first":
        return "share of generated pictures whose class is the first guess"
    counts = result.equal_counts
    over = f", {counts.real:,} real and {counts.generated:,} generated of each" if counts else ""
    return f"{CORRELATED[figure]}{over}"


def _draw_dots(axes: Any, classes: Sequence[ClassFigures], figure: str) -> None:
    shown = _having(classes, figure)
    counts, values = [each.real for each in shown], [getattr(each, figure) for each in shown]
    if figure == "kernel_distance":
        errors = [each.standard_error or 0.0 for each in shown]
        axes.errorbar(counts, values, yerr=errors, fmt="none", ecolor="0.75", elinewidth=0.8, zorder=1)
    axes.scatter(counts, values, s=14, zorder=2)


def _name_extremes(axes: Any, classes: Sequence[ClassFigures], figure: str) -> None:
    """Write the names of the highest and lowest classes beside their dots, where no other name stands."""
    ordered = sorted(_having(classes, figure), key=lambda each: getattr(each, figure))
    taken: list[Any] = []
    for each in {item.name: item for item in (*ordered[:_NAMED], *ordered[-_NAMED:])}.values():
        name = _plain(each.name[:_NAME_LENGTH])
        text = axes.annotate(
            name, (each.real, getattr(each, figure)), xytext=(0, 0), textcoords="offset points", fontsize=7
        )
        text.set_in_layout(False)
        for shift, alignment in _PLACES:
            text.set(position=shift, horizontalalignment=alignment)
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def _having(classes: Iterable[ClassFigures], figure: str) -> list[ClassFigures]:
    return [each for each in classes if getattr(each, figure) is not None]


def _plain(text: str) -> str:
    """Return `text` so that it can be drawn, and matplotlib takes no dollar sign for mathematics."""
    return printable(text).replace("$", r"\$")
