"""Names of classes for people, none of which two classes share: names are keys in CSVs, tables and sets."""

import difflib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from dogsgan.errors import DogsganError


def breed_name(class_name: str) -> str:
    """Return a class's name for people: `n02116738-African_hunting_dog` is `African hunting dog`.

    What is no breed's folder stays as it is. Two folders may get one name; see `names_for_people`.
    """
    bare = re.sub(r"^n\d{8}-", "", class_name)
    return class_name if bare == class_name else bare.replace("_", " ")


def names_for_people(folders: Iterable[str]) -> dict[str, str]:
    """Return each folder's name for people; folders that would share one (two kinds of crane) keep theirs."""
    names = {folder: breed_name(folder) for folder in folders}
    often = Counter(names.values())
    return {
        folder: name if often[name] == 1 and (name == folder or name not in names) else folder
        for folder, name in names.items()
    }


def distinct(names: Sequence[str], folders: Sequence[str]) -> tuple[str, ...]:
    """Return names as an earlier version wrote them, but for those that two classes share.

    Of these each gets its folder, or its number where `folders` has one of them twice as well.
    """
    often, often_as_folder = Counter(names), Counter(folders)
    found = []
    for index, (name, folder) in enumerate(zip(names, folders, strict=True)):
        if often[name] == 1:
            found.append(name)
        elif often_as_folder[folder] == 1 and folder not in often:
            found.append(folder)
        else:
            found.append(f"{name} (class {index})")
    return tuple(found)


def composed(name: str) -> str:
    """Return a name in Unicode's form NFC: macOS writes `ä` as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def one_spelling(names: Iterable[str]) -> dict[str, str]:
    """Return the names that nothing but Unicode's form tells from another, each with the one to use for all.

    They look the same, and files that were copied together from two systems hold one class under both.
    """
    spelt = defaultdict(set)
    for name in names:
        spelt[composed(name)].add(name)
    return {name: form for form, spellings in spelt.items() if len(spellings) > 1 for name in spellings}


def class_index(wanted: str, class_names: Sequence[str]) -> int:
    """Return the index of the class that a person calls `wanted`: by any case, with spaces, `_` or `-`.

    An exact name comes first. A part of a name will do where it is part of one name only.

    Raises:
        DogsganError: there is none, or several; the nearest names are listed.
    """
    if not class_names:
        raise DogsganError(f"no class {wanted!r}: this generator was trained without classes")
    if wanted in class_names:
        return class_names.index(wanted)
    plain = [_plain(name) for name in class_names]
    exact = [index for index, name in enumerate(plain) if name == _plain(wanted)]
    found = exact or [index for index, name in enumerate(plain) if _plain(wanted) in name]
    if len(found) == 1:
        return found[0]
    near = difflib.get_close_matches(_plain(wanted), plain, n=5, cutoff=0.4)
    listed = [class_names[index] for index in found[:5] or map(plain.index, near)] or class_names[:5]
    problem = "several classes are called" if found else "no class is called"
    raise DogsganError(f"{problem} {wanted!r}: choose one, as {', '.join(listed)}")


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", composed(name).casefold())).strip()
