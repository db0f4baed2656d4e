"""Files of a score per class: `per-class.csv`, `per-class.json` and `per-class.png`."""

from pathlib import Path

from dogsgan.files import write_json
from dogsgan.per_class.plot import plot_per_class
from dogsgan.per_class.result import PerClassScore
from dogsgan.progress import optional_file
from dogsgan.spreadsheet import Value, write_rows

_COLUMNS = (
    *("class", "real", "generated", "kernel_distance", "standard_error", "fid", "precision", "recall"),
    *("equal_precision", "equal_recall", "reasons", "network"),
    *("first", "among_five", "real_first", "real_among_five"),
)


def write_per_class(result: PerClassScore, out: Path) -> list[str]:
    """Write table, JSON and plot to the folder `out`, each in one step.

    Return a line for table and JSON if they cannot be written. A plot that cannot be drawn is only said.
    """
    failed: list[str] = []
    with optional_file(out / "per-class.csv", failed):
        _write_table(result, out / "per-class.csv")
    with optional_file(out / "per-class.json", failed):
        write_json(out / "per-class.json", result.to_json())
    with optional_file(out / "per-class.png"):
        plot_per_class(result, out / "per-class.png")
    return failed


def _write_table(result: PerClassScore, path: Path) -> None:
    """Write one row a class, the worst first."""
    rows: list[list[Value]] = [list(_COLUMNS)]
    for figures in result.classes:
        reasons = "; ".join(f"{figure}: {reason}" for figure, reason in figures.reasons.items())
        values = {**figures.to_json(), "reasons": reasons, "network": result.score.network}
        rows.append([values[column] for column in _COLUMNS])
    write_rows(path, rows)
