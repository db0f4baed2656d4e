"""CelebA's aligned faces, whose split file says which belong to training, validation and test."""

import re
from pathlib import Path, PurePosixPath

from dogsgan.data.layouts.layout import (
    Contents,
    Layout,
    Listing,
    Match,
    Skipped,
    SplitPath,
    ancestor,
    parent,
    plain,
    shallowest,
    stem,
)
from dogsgan.data.storage import FolderStorage, Storage
from dogsgan.errors import DogsganError

SPLIT_FILES = ("list_eval_partition.txt", "list_eval_partition.csv")  # CelebA's own, and Kaggle's
PARTITIONS = {"train": "0", "valid": "1", "test": "2"}
MAX_SPLIT_FILE_BYTES = 16 * 2**20  # the genuine ones hold under 3 MB
_FOLDERS = ("imgalignceleba", "imgaligncelebapng")
_LEVELS_ABOVE = 2  # CelebA's own folders are Img/img_align_celeba.zip and Eval/list_eval_partition.txt


class CelebA(Layout):
    """Faces under a folder called `img_align_celeba`, or beside the split file."""

    kind = "celeba"
    looked_for = "img_align_celeba/ (CelebA)"
    licence = "CelebA: for research that is not commercial; the pictures are their owners'"
    may_show_dogs = False
    has_splits = True

    def match(self, listing: Listing) -> Match | None:
        """Return the roles of the files, by the folder's name or by the split file."""
        roots = [ancestor(name, 1, folder) for name in listing.pictures for folder in _FOLDERS]
        if plain(listing.top.lower().removesuffix(".zip")) in _FOLDERS:
            roots += ["" for name in listing.pictures if "/" not in name]
        if any(_is_split_file(name) for name in listing.names):
            roots += [parent(name) for name in listing.pictures if re.fullmatch(r"\d{6}", stem(name))]
        root = shallowest(roots)
        if root is None:
            return None
        strangers = listing.strangers(root, listing.pictures)
        return Match(
            self,
            root,
            [name for name in listing.pictures if name.startswith(root)],
            strangers=[name for name in strangers if not _is_split_file(name)],
        )

    def read(self, match: Match, storage: Storage, at: SplitPath) -> Contents:
        """List the pictures of the split that is asked for, by default train; all without a split file.

        What the split file and the folder do not have in common is left out and said.

        Raises:
            DogsganError: the split file is broken, or a split is asked for without one, or nothing is in it.
        """
        images = [match.image(member) for member in match.pictures]
        title = f"CelebA's aligned pictures as a {at.container}"
        found = read_split_file(storage, at.path)
        if found is None and at.split not in (None, "all"):
            raise DogsganError(f"{at.path} has no {SPLIT_FILES[0]}: put it beside, or leave out @{at.split}")
        if found is None or at.split == "all":
            why = f", because there is no {SPLIT_FILES[0]}" if found is None else ""
            return Contents(images, f"{title}: all {len(images):,}{why}", storage=storage)
        file, partitions = found
        split = at.split or "train"
        named = [(stem(image.name), image) for image in images]
        chosen = [image for key, image in named if partitions.get(key) == PARTITIONS[split]]
        if not chosen:
            raise DogsganError(f"none of the {len(images):,} pictures in {at.path} is in {split} by {file}")
        skipped = [
            Skipped(image.name, "not in the split file") for key, image in named if key not in partitions
        ]
        if missing := sorted(partitions.keys() - {key for key, _ in named}):
            detail = f"{len(missing):,}, the first is {missing[0]}"
            skipped.append(Skipped(file, "lists pictures that are not there", detail))
        description = f"{title}: {len(chosen):,} of {len(images):,}, {split} by {PurePosixPath(file).name}"
        return Contents(chosen, description, skipped, storage)


CELEBA = CelebA()


def _is_split_file(name: str) -> bool:
    return name.endswith(SPLIT_FILES) and name[name.rfind("/") + 1 :] in SPLIT_FILES


def read_split_file(storage: Storage, path: Path) -> tuple[str, dict[str, str]] | None:
    """Return the split file's name and the partition of each picture's stem; None where there is none.

    It is looked for in the source, then beside its path and one folder higher, there in `Eval` too.

    Raises:
        DogsganError: it is unreadable, or not such a file.
    """
    inside = [name for name in storage.names if _is_split_file(name)]
    if inside:
        member = shallowest(inside) or inside[0]
        return member, parse_split_file(storage.read(member, limit=MAX_SPLIT_FILE_BYTES), member)
    for folder in list(Path(path).absolute().parents)[:_LEVELS_ABOVE]:
        for name in (f"{place}{file}" for place in ("", "Eval/") for file in SPLIT_FILES):
            if (folder / name).is_file():
                beside = FolderStorage(folder, names=[name])
                content = beside.read(name, limit=MAX_SPLIT_FILE_BYTES)
                return str(folder / name), parse_split_file(content, str(folder / name))
    return None


def parse_split_file(content: bytes, name: str) -> dict[str, str]:
    """Read lines of a picture's name and its partition (0, 1 or 2), apart by a space or a comma.

    A first line `image_id,partition`, as Kaggle's file has it, is passed over.

    Raises:
        DogsganError: another kind of line, no line, or a picture in two partitions; the line is named.
    """
    partitions: dict[str, str] = {}
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    for number, line in enumerate(lines, start=1):
        fields = line.replace(",", " ").split()
        if not fields or (number == 1 and fields == ["image_id", "partition"]):
            continue
        if len(fields) != 2 or fields[1] not in PARTITIONS.values():
            raise DogsganError(
                f"{name}, line {number}: {line[:60]!r} is no picture and 0, 1 or 2: restore the file"
            )
        if partitions.setdefault(stem(fields[0]), fields[1]) != fields[1]:
            raise DogsganError(
                f"{name}, line {number}: {fields[0][:60]} is in two partitions: restore the file"
            )
    if not partitions:
        raise DogsganError(f"{name} lists no picture: restore the file, or remove it to take all pictures")
    return partitions
