"""The classes of a submission's pictures in a CSV beside it: `name,class`, one line a picture."""

import csv
import io
from collections.abc import Iterable
from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.spreadsheet import from_cell, write_rows

HEADER = ("name", "class")
MAX_LABELS_BYTES = 256 * 1024 * 1024


def write_labels(path: Path, labels: Iterable[tuple[str, str]]) -> None:
    """Write pairs of a picture's name and its class under a header, as `spreadsheet.write_rows` has it.

    `read_labels` gives every text back as it was, but for what is not Unicode.

    Raises:
        DogsganError: the file cannot be written.
    """
    write_rows(Path(path), [HEADER, *labels])


def read_labels(path: Path) -> dict[str, str]:
    """Return the class of each picture by its name, in the file's order.

    Empty lines do not count.

    Raises:
        DogsganError: no such file, no CSV in UTF-8 of that header and two columns, an empty cell, or a name
            that occurs twice; the line is named.
    """
    path = Path(path)
    reader = csv.reader(io.StringIO(_text_of(path), newline=""), strict=True)
    labels: dict[str, str] = {}
    try:
        header = tuple(cell.strip().lower() for cell in next(reader, ()))
        if header != HEADER:
            raise DogsganError(
                f"the labels file {path} begins with {','.join(header)[:80]!r}: its first line should be "
                "name,class"
            )
        for cells in reader:
            _take(labels, cells, f"line {reader.line_num} of the labels file {path}")
    except csv.Error as error:
        raise DogsganError(
            f"line {reader.line_num} of the labels file {path} is no CSV ({error}): write name,class"
        ) from error
    if not labels:
        raise DogsganError(f"the labels file {path} names no picture: write one line name,class for each")
    return labels


def _take(labels: dict[str, str], cells: list[str], where: str) -> None:
    """Take in one line."""
    if not cells:
        return
    if len(cells) != len(HEADER):
        raise DogsganError(f"{where} has {len(cells)} cells, expected 2: write name,class")
    name, class_name = (from_cell(cell) for cell in cells)
    if not (name and class_name):
        raise DogsganError(f"{where} has an empty {'class' if name else 'name'}: write name,class")
    if name in labels:
        raise DogsganError(f"{where} names {name} a second time: give each picture one line")
    labels[name] = class_name


def _text_of(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_LABELS_BYTES:
            raise DogsganError(
                f"the labels file {path} is larger than any genuine one: give a CSV name,class"
            )
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise DogsganError(f"no such labels file: {path}") from error
    except UnicodeDecodeError as error:
        raise DogsganError(f"the labels file {path} is not text in UTF-8: save it as CSV in UTF-8") from error
    except (OSError, ValueError) as error:  # a folder, no permission, a NUL in the path
        raise DogsganError(
            f"the labels file {path} cannot be read ({error}): give a CSV name,class"
        ) from error
