"""What a score per class leaves in a folder: `per-class.csv`, `per-class.json` and `per-class.png`."""

import csv
import io
from pathlib import Path

from dogsgan.files import write_bytes, write_json
from dogsgan.scoring.per_class_plot import plot_per_class
from dogsgan.scoring.per_class_result import PerClassScore
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


def write_per_class(result: PerClassScore, out: Path) -> None:
    """Write table, JSON and plot to the folder `out`, each in one step.

    Raises:
        DogsganError: they cannot be written.
    """
    _write_table(result, out / "per-class.csv")
    write_json(out / "per-class.json", result.to_json())
    plot_per_class(result, out / "per-class.png")


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
