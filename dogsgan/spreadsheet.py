"""CSV for programs to read back, and for spreadsheets, which take a text that begins with `=` for a formula.

Names come from strangers' zips and folders. A cell that a spreadsheet would calculate gets an apostrophe in
front, and so does one that begins with an apostrophe, so that every text comes back as it was.
"""

import csv
import io
import math
from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

from dogsgan.files import write_bytes

Value: TypeAlias = str | bool | int | float | None

_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠'")


def write_rows(path: Path, rows: Iterable[Iterable[Value]]) -> None:
    """Write rows as RFC 4180 has it, in UTF-8, in one step.

    Numbers have all their digits; what is unknown or not finite is empty; truth is `true` or `false`. Text is
    written as `to_cell` has it, and what is not Unicode, as in a name of undecodable bytes, as `\\udcff`.

    Raises:
        DogsganError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)  # ends lines by CR LF: with LF alone it would leave a CR in a name unquoted
    writer.writerows(map(_cell, row) for row in rows)
    write_bytes(path, text.getvalue().encode(errors="backslashreplace"))


def _cell(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return to_cell(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if math.isfinite(value) else ""


def to_cell(text: str) -> str:
    """Return `text` as it is written to a cell."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def from_cell(cell: str) -> str:
    """Return the text that `to_cell` wrote. An apostrophe that it would not have set is the text's own."""
    bare = cell.removeprefix("'")
    return bare if to_cell(bare) == cell else cell
