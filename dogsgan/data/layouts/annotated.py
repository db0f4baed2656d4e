"""Dogs with annotations: the competition's layout, and Stanford Dogs', which it was made from."""

import functools
import re
from dataclasses import replace

from dogsgan.data.annotations import MAX_ANNOTATION_BYTES, parse_annotation
from dogsgan.data.layouts.layout import Contents, Layout, Listing, Match
from dogsgan.data.layouts.paths import (
    ancestor,
    common_folder,
    folder_name,
    plain,
    shallowest,
    stem,
    stem_and_suffix,
)
from dogsgan.data.source_image import UNREADABLE_ANNOTATION, Skipped, SourceImage
from dogsgan.data.splits import SplitPath
from dogsgan.data.storage import Storage

WNID = re.compile(r"n\d{8}(?=[-_])")
_STANFORD_STEM = re.compile(r"n\d{8}_\d+")
_BREED_FOLDER = re.compile(r"n\d{8}[-_].+")
_PIECE = re.compile(r"(all-dogs|annotations?)\.(zip|tar|tgz|tar\.gz)", re.IGNORECASE)


class AnnotatedDogs(Layout):
    """Pictures in one folder, annotations in another, joined by the file's stem."""

    annotated = True
    class_word = "breeds"
    licence = "Stanford Dogs: pictures of ImageNet, whose owners keep their rights; for research only"

    def __init__(self, kind: str, title: str, *, looked_for: str, by_breed: bool) -> None:
        self.kind, self.looked_for = kind, looked_for
        self._title = title
        self._by_breed = by_breed  # pictures lie in the breeds' folders, and a stem may be in two of them

    def match(self, listing: Listing) -> Match | None:
        """Return the roles of the files; the first folders that fit decide which of the two layouts it is."""
        found = _find(listing)
        return found if found is not None and found.layout is self else None

    def read(self, match: Match, storage: Storage, at: SplitPath) -> Contents:
        """Join pictures and annotations; add each annotation that cannot be used to what is left out."""
        skipped: list[Skipped] = []
        images = self._joined(match, storage, skipped)
        boxes = sum(len(image.boxes) for image in images)
        classes = len({image.class_name for image in images if image.class_name})
        description = (
            f"{self._title} as a {at.container}: {len(images):,} pictures, {boxes:,} boxes, {classes} breeds"
        )
        return Contents(images, description, skipped, storage)

    def _joined(self, match: Match, storage: Storage, skipped: list[Skipped]) -> list[SourceImage]:
        by_key: dict[str, str] = {}
        for member in match.annotations:
            if by_key.setdefault(self._join_key(member), member) != member:
                skipped.append(Skipped(member, "second annotation of the same picture"))
        breeds = {folder[:9]: folder for folder in map(_breed_of, match.annotations) if folder}
        images, used = [], set()
        for member in match.pictures:
            bare = match.image(member, breed_folder(member))
            annotation = by_key.get(self._join_key(member))
            if annotation is not None:
                used.add(annotation)
                images.append(_annotated(storage, bare, annotation, skipped))
                continue
            wnid = WNID.match(stem(member))
            breed = bare.class_name or (breeds.get(wnid.group()) if wnid else None)
            images.append(replace(bare, class_name=breed, problem="no annotation"))
        unused = sorted(set(by_key.values()) - used)
        skipped.extend(Skipped(member, "annotation without picture") for member in unused)
        return images

    def _join_key(self, member: str) -> str:
        return f"{folder_name(member)}/{stem(member)}" if self._by_breed else stem(member)


COMPETITION = AnnotatedDogs(
    "competition",
    "the competition's data",
    looked_for="all-dogs/ with annotation/Annotation/ (the competition)",
    by_breed=False,
)
STANFORD = AnnotatedDogs(
    "stanford", "Stanford Dogs", looked_for="Images/ with Annotation/ (Stanford Dogs)", by_breed=True
)


def lost_boxes(listing: Listing) -> str:
    """Say what is missing where pictures with boxes are meant and their annotations are not found."""
    names, pictures, top = listing.names, listing.pictures, plain(listing.top.lower())
    packed = [name for name in names if _PIECE.fullmatch(name.rpartition("/")[2])]
    if packed:
        return f"{' and '.join(packed[:2])} {'is' if len(packed) == 1 else 'are'} still packed: unpack beside"
    if any(_may_be_annotation(name) and _BREED_FOLDER.fullmatch(folder_name(name)) for name in names):
        return "its annotations belong to none of its pictures: put both in from the same data set"
    if any(ancestor(name, level, "alldogs") for name in pictures for level in (1, 2)):
        return "all-dogs/ is there without annotation/Annotation/: put annotation/ beside all-dogs/"
    if top == "alldogs":
        return "it is all-dogs/ alone: give the folder above, with annotation/ in it"
    stanford = [name for name in pictures if _BREED_FOLDER.fullmatch(folder_name(name))]
    if any(ancestor(name, 2, "images") for name in stanford):
        return "Images/ is there without Annotation/: put Annotation/ beside Images/"
    if stanford and top == "images":
        return "it is Images/ alone: give the folder above, with Annotation/ in it"
    return ""


def breed_folder(member: str) -> str | None:
    """Return the folder that a picture is in if it is a breed's, `n02110958-pug`."""
    folder = folder_name(member)
    return folder if WNID.match(folder) else None


@functools.lru_cache(maxsize=1)
def _find(listing: Listing) -> Match | None:
    """Return the match of either layout: both are asked for the same listing, one after the other."""
    root = shallowest(ancestor(name, 2, "annotation") for name in listing.names if _may_be_annotation(name))
    if root is None:
        return _by_stems(listing)
    annotations = [name for name in listing.names if name.startswith(root) and _may_be_annotation(name)]
    for layout, folder, levels, usual in (
        (COMPETITION, "alldogs", 1, True),
        (STANFORD, "images", 2, True),
        (COMPETITION, "alldogs", 2, False),  # pictures in the breeds' folders
        (COMPETITION, "images", 1, False),  # or in none
    ):
        picture_root = shallowest(ancestor(name, levels, folder) for name in listing.pictures)
        if picture_root is None:
            continue
        inside = [name for name in listing.pictures if name.startswith(picture_root)]
        if usual or _stems(inside) & _stems(annotations):
            strangers = listing.strangers(picture_root, listing.pictures)
            return Match(layout, picture_root, inside, annotations, strangers)
    return _by_stems(listing)


def _by_stems(listing: Listing) -> Match | None:
    """Return the dogs under folders of any name: a picture and its annotation share ImageNet's stem."""
    annotations = [
        name
        for name in listing.names
        if _may_be_annotation(name)
        and _STANFORD_STEM.fullmatch(stem(name))
        and _BREED_FOLDER.fullmatch(folder_name(name))
    ]
    stems = _stems(annotations)
    inside = [name for name in listing.pictures if _STANFORD_STEM.fullmatch(stem(name))] if stems else []
    if not any(stem(name) in stems for name in inside):
        return None
    return Match(COMPETITION, common_folder(inside), inside, annotations)


def _annotated(storage: Storage, bare: SourceImage, member: str, skipped: list[Skipped]) -> SourceImage:
    breed = _breed_of(member)
    try:
        annotation = parse_annotation(storage.read(member, limit=MAX_ANNOTATION_BYTES), member)
    except Exception as error:  # of hostile content anything may come
        skipped.append(Skipped(member, UNREADABLE_ANNOTATION, str(error) or type(error).__name__))
        return replace(bare, class_name=breed, problem=UNREADABLE_ANNOTATION)
    return replace(
        bare,
        class_name=breed,
        boxes=annotation.boxes,
        annotated_size=(annotation.width, annotation.height),
        problem=None if annotation.boxes else "annotation without a dog",
    )


def _breed_of(annotation: str) -> str | None:
    """Return the breed's folder; where annotations lie in none, the breed's number in ImageNet, if any."""
    folder = folder_name(annotation)
    if folder.lower() not in ("annotation", "annotations"):
        return folder
    wnid = WNID.match(stem(annotation))
    return wnid.group() if wnid else None


def _may_be_annotation(name: str) -> bool:
    return stem_and_suffix(name)[1] in ("", ".xml")


def _stems(names: list[str]) -> set[str]:
    return {stem(name) for name in names}
