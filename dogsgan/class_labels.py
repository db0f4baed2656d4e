"""Classes of the pictures of a comparison, and the matching of both sides' class names."""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from dogsgan.data.class_names import breed_name, composed, names_for_people
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.submission.labels import read_labels

_NAMES_SHOWN = 3


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
