"""Training data as Kaggle mounts them, for a rehearsal: one source, laid out in each of the known ways."""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

from dogsgan.data.annotations import MAX_ANNOTATION_BYTES
from dogsgan.data.layouts import detect_layout
from dogsgan.data.pictures import MAX_PICTURE_BYTES
from dogsgan.data.storage import open_storage
from dogsgan.errors import DogsganError

Files = Iterator[tuple[str, bytes]]


def lay_out(source: Path, target: Path, *, mount: str) -> None:
    """Write the pictures and annotations of `source` below `target` as the mount of that name has them.

    The mount `dataset` has any source as it is; the others are those of dogs with boxes.

    Raises:
        DogsganError: there is no such mount, or the source has no annotations.
    """
    if mount not in MOUNTS:
        raise DogsganError(f"no mount {mount!r}; there are {', '.join(MOUNTS)}")
    target.mkdir(parents=True, exist_ok=True)
    MOUNTS[mount](source, target)


def has_boxes(source: Path) -> bool:
    """Return whether a folder or zip holds dogs with annotations.

    Raises:
        DogsganError: it is not there, or neither of them.
    """
    layout = detect_layout(open_storage(source).names)
    return layout is not None and bool(layout.annotations)


def _files(source: Path) -> Files:
    """Yield the competition's files under its own names; a name in the source is never a path here."""
    storage = open_storage(source)
    layout = detect_layout(storage.names)
    if layout is None or not layout.annotations:
        raise DogsganError(
            f"{source} has no dogs with boxes: give the competition's data or Stanford Dogs, or mount it as "
            "a dataset"
        )
    for name in layout.pictures:
        yield f"all-dogs/{PurePosixPath(name).name}", storage.read(name, limit=MAX_PICTURE_BYTES)
    for name in layout.annotations:
        breed, stem = PurePosixPath(name).parts[-2:]
        yield f"Annotation/{breed}/{stem}", storage.read(name, limit=MAX_ANNOTATION_BYTES)


def _folders(source: Path, pictures: Path, annotations: Path) -> None:
    for name, content in _files(source):
        path = (pictures if name.startswith("all-dogs/") else annotations) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _in_folder(name: str) -> Callable[[Path, Path], None]:
    def write(source: Path, target: Path) -> None:
        _folders(source, target / name / "all-dogs", target / name / "annotation")

    return write


def _one_zip(source: Path, target: Path) -> None:
    path = target / "generative-dog-images" / "generative-dog-images.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in _files(source):
            archive.writestr(("all-dogs/" if name.startswith("all-dogs/") else "annotation/") + name, content)


def _two_zips(source: Path, target: Path) -> None:
    folder = target / "generative-dog-images"
    folder.mkdir()
    with (
        zipfile.ZipFile(folder / "all-dogs.zip", "w") as pictures,
        zipfile.ZipFile(folder / "Annotation.zip", "w") as annotations,
    ):
        for name, content in _files(source):
            (pictures if name.startswith("all-dogs/") else annotations).writestr(name, content)


def _zip_of_zips(source: Path, target: Path) -> None:
    _two_zips(source, target)
    folder = target / "generative-dog-images"
    with zipfile.ZipFile(folder / "generative-dog-images.zip", "w") as outer:
        for path in (folder / "all-dogs.zip", folder / "Annotation.zip"):
            outer.write(path, path.name)
            path.unlink()


def _dataset(source: Path, target: Path) -> None:
    folder = target / source.stem
    if source.is_dir():
        shutil.copytree(source, folder)
    else:
        folder.mkdir()
        shutil.copyfile(source, folder / source.name)


def _something_else(source: Path, target: Path) -> None:
    folder = target / "another-dataset"
    folder.mkdir()
    (folder / "table.csv").write_text("id,breed\n1,husky\n")


MOUNTS: dict[str, Callable[[Path, Path], None]] = {
    "competition": _in_folder("generative-dog-images"),
    "competitions": _in_folder("competitions/generative-dog-images"),
    "top": _in_folder(""),
    "zip": _one_zip,
    "zips": _two_zips,
    "zip-of-zips": _zip_of_zips,
    "dataset": _dataset,
    "none": _something_else,
}
"""Name of a mount to what lays it out; in `none` the data are missing."""
