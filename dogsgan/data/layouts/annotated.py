"""Dogs with annotations: the competition's layout, and Stanford Dogs', which it was made from.

Their content is untrusted.
"""

import functools
import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, replace
from xml.parsers import expat

from dogsgan.crops import Box
from dogsgan.data.layouts.layout import (
    UNREADABLE_ANNOTATION,
    Contents,
    Layout,
    Listing,
    Match,
    Skipped,
    SourceImage,
    SplitPath,
    ancestor,
    common_folder,
    folder_name,
    plain,
    shallowest,
    stem,
    stem_and_suffix,
)
from dogsgan.data.storage import Storage
from dogsgan.errors import DogsganError

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


try:
    from defusedxml.ElementTree import fromstring as _defused_fromstring
except ImportError:  # Kaggle's image may lack it
    _defused_fromstring = None  # type: ignore[assignment]

MAX_ANNOTATION_BYTES = 256 * 1024  # the longest genuine one holds 3 kB
MAX_OBJECTS = 1_000
MAX_COORDINATE = 1_000_000


@dataclass(frozen=True)
class Annotation:
    """What one annotation says: the size in px of the picture that was annotated, and every dog's box."""

    width: int
    height: int
    boxes: tuple[Box, ...]


def parse_annotation(content: bytes, name: str) -> Annotation:
    """Read one annotation. `name` is only used to name the file in messages.

    The boxes are returned as written: they may be empty or leave the picture. `<folder>` and `<filename>`
    are not read, because 624 of the genuine files say `%s` there.

    Raises:
        DogsganError: not XML, a document type or entities inside, no size, no dog, or numbers that make no
        sense.
    """
    if len(content) > MAX_ANNOTATION_BYTES:
        raise DogsganError(
            f"annotation {name} is larger than {MAX_ANNOTATION_BYTES // 1024} kB: it cannot be genuine"
        )
    root = _parse_xml(content, name)
    size = root.find("size")
    if size is None:
        raise DogsganError(f"annotation {name} has no <size>: restore it from the data set's archive")
    width, height = (_number(size, tag, name) for tag in ("width", "height"))
    if width < 1 or height < 1:
        raise DogsganError(f"annotation {name} gives the picture a size of {width}×{height} px: restore it")
    objects = root.findall("object")
    if len(objects) > MAX_OBJECTS:
        raise DogsganError(
            f"annotation {name} lists {len(objects)} objects, more than {MAX_OBJECTS}: restore it"
        )
    return Annotation(width, height, tuple(_box(item, name) for item in objects))


def _box(item: ElementTree.Element, name: str) -> Box:
    corners = item.find("bndbox")
    if corners is None:
        raise DogsganError(f"annotation {name} has an <object> without <bndbox>: restore it")
    return Box(*(_number(corners, tag, name) for tag in ("xmin", "ymin", "xmax", "ymax")))


def _number(parent: ElementTree.Element, tag: str, name: str) -> int:
    text = (parent.findtext(tag) or "").strip()
    try:
        value = float(text[:40])
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_COORDINATE:
        raise DogsganError(f"annotation {name} has no usable number in <{tag}> ({text[:40]!r}): restore it")
    return round(value)


def _parse_xml(content: bytes, name: str) -> ElementTree.Element:
    try:
        if _defused_fromstring is not None:
            return _defused_fromstring(content, forbid_dtd=True)
        _refuse_document_type(content)
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, expat.ExpatError) as error:
        raise DogsganError(f"annotation {name} is not well-formed XML ({error}): restore it") from error
    except (ValueError, LookupError) as error:  # forbidden constructs, encodings that do not exist
        reason = type(error).__name__
        raise DogsganError(
            f"annotation {name} is refused as XML ({reason}): it must be plain, without DTD"
        ) from error


def _refuse_document_type(content: bytes) -> None:
    """Refuse what declares entities: without a document type there are none but XML's own five."""

    def refuse(*_: object) -> None:
        raise ValueError("document type declaration")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(content, True)
