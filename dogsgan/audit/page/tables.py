"""Tables of an audit: `neighbours.csv`, which it writes, and the list of accepted pictures, which it reads.

Every name in the table may come from a stranger's zip, so its cells are written as `spreadsheet.to_cell` has
it: `cell.removeprefix("'")` gives back every name as it was.
"""

import dataclasses
from collections.abc import Collection, Iterable
from pathlib import Path

from dogsgan.audit.result import Audit, Finding
from dogsgan.errors import DogsganError
from dogsgan.spreadsheet import Value, write_rows

COLUMNS = (
    *("name", "nearest", "form", "distance", "p_value", "flagged", "kind"),
    *("allowed", "flipped", "similarity", "second", "class"),
)
"""The first columns of the table; their names and order do not change. `neighbour_1`, … come after them."""
_ATTRIBUTES = {"class": "class_name"}
_NAMES_SHOWN = 5


def write_neighbours(audit: Audit, path: Path) -> None:
    """Write one row a generated picture, in the source's order, as `spreadsheet.write_rows` has it.

    `flagged` is true also where the picture is allowed.
    """
    width = max((len(finding.neighbours) for finding in audit.findings), default=0)
    ranks = [f"neighbour_{rank}" for rank in range(1, width + 1)]
    rows: list[list[Value]] = [
        [*COLUMNS, *(rank + part for rank in ranks for part in ("", "_form", "_distance"))]
    ]
    for finding in audit.findings:
        values = [getattr(finding, _ATTRIBUTES.get(column, column)) for column in COLUMNS]
        values += [value for neighbour in finding.neighbours for value in neighbour]
        rows.append([*values, *[None] * (3 * (width - len(finding.neighbours)))])
    write_rows(path, rows)


def read_allowed(path: Path) -> frozenset[str]:
    """Return the names in a list of accepted pictures: one a line, each as it is among the generated ones.

    Space around a name, empty lines, and lines that begin with `#` do not count.

    Raises:
        DogsganError: the file is missing or is not text in UTF-8.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise DogsganError(f"no such list of accepted pictures: {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DogsganError(
            f"the list of accepted pictures {path} cannot be read ({error}): give a text file in UTF-8, one "
            "name a line"
        ) from error
    names = (line.strip() for line in lines)
    return frozenset(name for name in names if name and not name.startswith("#"))


def apply_allowed(
    findings: Iterable[Finding], allowed: Collection[str], *, names: Collection[str] | None = None
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the findings with what is accepted marked so, and a warning if a name is none of `names`.

    `names` are those of all generated pictures, by default the findings'.
    """
    marked = tuple(
        dataclasses.replace(finding, allowed=True) if finding.name in allowed else finding
        for finding in findings
    )
    known = {finding.name for finding in marked} if names is None else set(names)
    unknown = sorted(set(allowed) - known)
    if not unknown:
        return marked, ()
    names = ", ".join(unknown[:_NAMES_SHOWN]) + (", …" if len(unknown) > _NAMES_SHOWN else "")
    return marked, (f"accepted, but not among the generated pictures: {names} ({len(unknown):,} in all)",)
