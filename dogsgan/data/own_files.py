"""Files that dogsgan itself wrote into a source: prepared sets, runs, and what stands beside, told by name.

A run into a folder inside its source is usual. Its grids and contact sheets are pictures, but not training
data, and a second call must find the same source as the first.
"""

import itertools

GENERATED_FILE = "dogsgan-generated.json"
"""Marks a folder of generated pictures."""
_STUDIES = ("attention", "augmentation", "recipe")
_WHOLE = (  # a folder that holds the first and any of the second is left out as a whole; a source's top is
    # not, because somebody asked for it, but for the third
    (GENERATED_FILE, (GENERATED_FILE,), ()),
    ("set.json", ("pictures.npy", "labels.npy", "origins.npy"), ()),
    ("recipe.json", ("log.jsonl", "generator.safetensors", "reals.png", "init.png"), ()),  # begun, too
    (
        "settings.json",
        tuple(f"{study}.{suffix}" for study in _STUDIES for suffix in ("json", "csv")),
        (*(f"{study}.png" for study in _STUDIES), "samples/"),
    ),
)
_GRIDS = ("samples.png", "best.png", "worst.png")
_RUN_OUTPUT = (
    *(*_GRIDS, "images.zip", "labels.csv", "report.json", "generate.json"),
    *("drawn-dogs.zip", "drawn-digits/", "run/", "crops/"),
)
_AUDIT = ("audit.json", "neighbours.csv", "report.html", "flagged.png")
_SHOWN = ("breeds.png", "truncation.png", "interpolation.gif", "nearest.png")
_CLASSES = ("per-class.csv", "per-class.json", "per-class.png")
_BESIDE = (  # where all of the first stand in a folder, the others there are left out
    (("run/recipe.json",), _RUN_OUTPUT),
    (("generate.json",), _RUN_OUTPUT),
    (("kernel.log",), (*_GRIDS, "images.zip", "crops.png", "losses.png", "kernel.log")),
    (("audit.json",), _AUDIT),
    (("neighbours.csv",), _AUDIT),
    (("per-class.csv",), _CLASSES),
    (("per-class.json",), _CLASSES),
    (("truncation.png", "interpolation.gif"), _SHOWN),
    (("breeds.png", "interpolation.gif"), _SHOWN),
)
_MARKS = tuple(mark for mark, *_ in _WHOLE) + tuple(mark for marks, _ in _BESIDE for mark in marks)


def own_files(names: list[str]) -> tuple[list[str], list[str]]:
    """Return the sorted names without those that dogsgan wrote, and what was left out: folders/ and files."""
    known = set(names)
    marked = [name for name in names if name.endswith(_MARKS)]
    if not marked:
        return names, []
    folders = {
        name.removesuffix(mark)
        for name in marked
        for mark in _MARKS
        if name == mark or name.endswith("/" + mark)
    }
    own: set[str] = set()
    for folder in folders:
        for first, others, written in _WHOLE:
            if folder + first in known and any(folder + other in known for other in others):
                own |= {folder} if folder else set(written)
        for marks, written in _BESIDE:
            if all(folder + mark in known for mark in marks):
                own |= {folder + name for name in written}
    kept, found = [], set()
    for name in names:
        at = next((place for place in _places(name) if place in own), None)
        if at is None:
            kept.append(name)
        else:
            found.add(at)
    return kept, sorted(found)


def _places(name: str) -> list[str]:
    """Return the folders a file is in, from the top down, each with its `/`, and the file."""
    parts = name.split("/")
    return [*(f"{folder}/" for folder in itertools.accumulate(parts[:-1], "{}/{}".format)), name]
