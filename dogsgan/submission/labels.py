"""Classes of generated pictures: the CSV beside a submission, and the matching of both sides' class names.

The CSV has the header `name,class` and one line a picture.
"""

import csv
import dataclasses
import io
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dogsgan.data.class_names import breed_name, composed, names_for_people
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.spreadsheet import from_cell, write_rows

HEADER = ("name", "class")
MAX_LABELS_BYTES = 256 * 1024 * 1024
_NAMES_SHOWN = 3


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


def labelled_sample(
    source: Source, labels: Path | None, *, count: int | None, seed: int = 0
) -> tuple[Source, list[str | None]]:
    """Return a source with `count` of its pictures chosen by chance (None: all), and the class of each.

    The classes are those of `generated_classes`; without a labels file they may all be None.
    """
    names = [image.class_name for image in source.images] if labels is None else _in_file(source, labels)
    if count is None or count >= len(source.images):
        return source, names
    rows = np.sort(np.random.default_rng(seed).permutation(len(source.images))[:count])
    some = dataclasses.replace(source, images=[source.images[row] for row in rows])
    return some, [names[row] for row in rows]


def generated_classes(source: Source, labels: Path | None) -> list[str | None]:
    """Return the class of each generated picture in the source's order, by the labels file if there is one.

    None is a picture that its source knows no class of.

    Raises:
        DogsganError: no picture has a class, or the file's names are not those of the pictures.
    """
    _, classes = labelled_sample(source, labels, count=None)
    if labels is None and not any(classes):
        raise DogsganError(
            f"the generated pictures in {source.path} have no classes: give --labels FILE, which "
            "dogsgan generate --labels writes, or put them into one folder for each class"
        )
    return classes


def _in_file(source: Source, labels: Path) -> list[str | None]:
    by_name = read_labels(labels)
    names = [image.name for image in source.images]
    without = [name for name in names if name not in by_name]
    unknown = sorted(by_name.keys() - set(names))
    if without:
        problem = f"leaves out {len(without):,} of the {len(names):,} pictures in"
        problem += f" {source.path}, the first {without[0]}"
    elif unknown:
        problem = f"names {len(unknown):,} pictures that are not in {source.path}, the first {unknown[0]}"
    else:
        return [by_name[name] for name in names]
    raise DogsganError(f"the labels file {labels} {problem}: give the file that was written with them")


def real_classes(source: Source) -> list[str | None]:
    """Return the class of each real picture in the source's order; None is one without.

    Raises:
        DogsganError: no picture has a class.
    """
    classes = [image.class_name for image in source.images]
    if not any(classes):
        raise DogsganError(
            f"the real side has no classes ({source.path}: {source.description}): give the competition's "
            "data, class folders, labelled digits or a prepared set of such"
        )
    return classes


def matched_classes(
    generated: list[str | None], real: list[str | None]
) -> tuple[list[str | None], list[str | None]]:
    """Return both sides' classes under common names, those for people: see `breed_name`.

    A generated picture's class may be called as the real side's folder or as people call it. Where two
    folders would get one name for people, each keeps its own.

    Raises:
        DogsganError: the sides have no class in common.
    """
    shown = names_for_people(sorted({name for name in real if name}))
    known = _known_names({name for name in generated if name}, shown)
    matched = [known.get(name, name) if name else None for name in generated]
    if not set(shown.values()) & set(matched):
        raise DogsganError(
            f"generated and real pictures have no class in common (generated: {listed(generated)}; real: "
            f"{listed(real)}): give the data that the generator was trained on"
        )
    return matched, [shown[name] if name else None for name in real]


def _known_names(generated: set[str], shown: dict[str, str]) -> dict[str, str]:
    """Return what the generated pictures' classes are called on the real side, for those that are there.

    A folder's name is read as one for people only where the real side knows no folders, and where no two
    classes would become one.
    """
    known = {name: name for name in shown.values()} | shown
    known = {composed(name): text for name, text in known.items()} | known
    bare = {name: name if name in known else composed(name.strip()) for name in generated}
    found = {name: known[text] for name, text in bare.items() if text in known}
    by_people = {name: breed_name(text) for name, text in bare.items() if name not in found}
    often = Counter(by_people.values())
    return found | {
        name: text
        for name, text in by_people.items()
        if text in shown and often[text] == 1 and text not in found.values()
    }


def listed(names: Iterable[str | None]) -> str:
    """Return the first few of the names that there are, sorted, for a message."""
    different = sorted({name for name in names if name})
    more = ", …" if len(different) > _NAMES_SHOWN else ""
    return ", ".join(repr(name) for name in different[:_NAMES_SHOWN]) + more
