"""Names of classes for people, none of which two classes share: names are keys in CSVs, tables and sets."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence


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
