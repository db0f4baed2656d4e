"""CelebA's split file: which of the aligned pictures belong to training, validation and test."""

from pathlib import Path, PurePosixPath

from dogsgan.data.layouts import CELEBA_SPLIT_FILES, Layout, is_split_file
from dogsgan.data.source_image import Skipped, SourceImage
from dogsgan.data.splits import SplitPath
from dogsgan.data.storage import FolderStorage, Storage
from dogsgan.errors import DogsganError

PARTITIONS = {"train": "0", "valid": "1", "test": "2"}
MAX_SPLIT_FILE_BYTES = 16 * 2**20  # the genuine ones hold under 3 MB
_LEVELS_ABOVE = 2  # CelebA's own folders are Img/img_align_celeba.zip and Eval/list_eval_partition.txt


def celeba_images(
    storage: Storage, layout: Layout, at: SplitPath, skipped: list[Skipped]
) -> tuple[list[SourceImage], str]:
    """Return the pictures of the split that is asked for, by default train, and a line that says so.

    Without a split file they are all pictures. What the file and the folder do not have in common goes to
    `skipped`.

    Raises:
        DogsganError: the split file is broken, or a split is asked for without one, or nothing is in it.
    """
    images = [
        SourceImage(member.removeprefix(layout.picture_root), class_name=None, member=member)
        for member in layout.pictures
    ]
    title = f"CelebA's aligned pictures as a {'zip' if at.path.is_file() else 'folder'}"
    found = read_split_file(storage, at.path)
    if found is None:
        if at.split not in (None, "all"):
            raise DogsganError(
                f"{at.path} has no {CELEBA_SPLIT_FILES[0]}: put it beside, or leave out @{at.split}"
            )
        return images, f"{title}: all {len(images):,}, for there is no {CELEBA_SPLIT_FILES[0]}"
    if at.split == "all":
        return images, f"{title}: all {len(images):,}"
    name, partitions = found
    split = at.split or "train"
    named = [(_stem(image.name), image) for image in images]
    chosen = [image for stem, image in named if partitions.get(stem) == PARTITIONS[split]]
    if not chosen:
        raise DogsganError(f"none of the {len(images):,} pictures in {at.path} is in {split} by {name}")
    unlisted = [image for stem, image in named if stem not in partitions]
    skipped += [Skipped(image.name, "not in the split file") for image in unlisted]
    if missing := sorted(partitions.keys() - {stem for stem, _ in named}):
        detail = f"{len(missing):,}, the first is {missing[0]}"
        skipped.append(Skipped(name, "lists pictures that are not there", detail))
    return chosen, f"{title}: {len(chosen):,} of {len(images):,}, {split} by {PurePosixPath(name).name}"


def _stem(name: str) -> str:
    """Return a file's name without folder and suffix."""
    return name.rpartition("/")[2].rpartition(".")[0]


def read_split_file(storage: Storage, path: Path) -> tuple[str, dict[str, str]] | None:
    """Return the split file's name and the partition of each picture's stem; None where there is none.

    It is looked for in the source, then beside its path and one folder higher, there in `Eval` too.

    Raises:
        DogsganError: it is unreadable, or not such a file.
    """
    inside = [name for name in storage.names if is_split_file(name)]
    if inside:
        member = min(inside, key=lambda name: (name.count("/"), name))
        return member, parse_split_file(storage.read(member, limit=MAX_SPLIT_FILE_BYTES), member)
    for folder in list(Path(path).absolute().parents)[:_LEVELS_ABOVE]:
        for name in (f"{place}{file}" for place in ("", "Eval/") for file in CELEBA_SPLIT_FILES):
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
        if partitions.setdefault(_stem(fields[0]), fields[1]) != fields[1]:
            raise DogsganError(
                f"{name}, line {number}: {fields[0][:60]} is in two partitions: restore the file"
            )
    if not partitions:
        raise DogsganError(f"{name} lists no picture: restore the file, or remove it to take all pictures")
    return partitions
