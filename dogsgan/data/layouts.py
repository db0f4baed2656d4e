"""Which of the known layouts a listing of files has: names in, roles out. Nothing is opened here."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

from dogsgan.data.pictures import has_picture_suffix

LOOKED_FOR = (
    "looked for all-dogs/ with annotation/Annotation/ (the competition), "
    "Images/ with Annotation/ (Stanford Dogs), or pictures (.jpg, .png, …)"
)


@dataclass(frozen=True)
class Layout:
    """Roles of a source's files. The roots are folder names ending in `/`, or empty for the top."""

    kind: str  # competition, stanford or pictures
    picture_root: str
    pictures: list[str]
    annotations: list[str]
    strangers: list[str]  # files of no role inside the picture root


def detect_layout(names: list[str]) -> Layout | None:
    """Return the layout of sorted names, at any depth below the top; None where there is no picture."""
    pictures = [name for name in names if has_picture_suffix(name)]
    if not pictures:
        return None
    annotation_root = _shallowest(
        _ancestor(name, 2, "annotation") for name in names if _may_be_annotation(name)
    )
    for kind, root in (
        ("competition", _shallowest(_ancestor(name, 1, "all-dogs") for name in pictures)),
        ("stanford", _shallowest(_ancestor(name, 2, "images") for name in pictures)),
    ):
        if root is not None and annotation_root is not None:
            inside = [name for name in pictures if name.startswith(root)]
            annotations = [
                name for name in names if name.startswith(annotation_root) and _may_be_annotation(name)
            ]
            return Layout(kind, root, inside, annotations, _strangers(names, root))
    return Layout("pictures", "", pictures, [], _strangers(names, ""))


def _may_be_annotation(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return suffix in ("", ".xml")


def _ancestor(name: str, levels: int, wanted: str) -> str | None:
    """Return the folder `levels` above the file, with its `/`, if it is called `wanted` in any case."""
    folder = name.rsplit("/", levels)[0] if name.count("/") >= levels else ""
    return folder + "/" if folder.rsplit("/", 1)[-1].lower() == wanted else None


def _shallowest(roots: Iterable[str | None]) -> str | None:
    found = {root for root in roots if root is not None}
    return min(found, key=lambda root: (root.count("/"), root), default=None)


def _strangers(names: list[str], root: str) -> list[str]:
    return [name for name in names if name.startswith(root) and not has_picture_suffix(name)]
