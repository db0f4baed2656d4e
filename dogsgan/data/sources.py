"""Where pictures come from: a folder or zip in any known layout, told apart without being told which.

The first value of the data room: names, boxes and breeds are known once a source is open; a picture's bytes
are read when they are asked for, in place, from any thread.
"""

import hashlib
import io
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from PIL import Image

from dogsgan.data.annotations import MAX_ANNOTATION_BYTES, Annotation, Box, parse_annotation
from dogsgan.data.cropset import CropSet, is_crop_set
from dogsgan.data.layouts import LOOKED_FOR, Layout, detect_layout
from dogsgan.data.pictures import MAX_PICTURE_BYTES
from dogsgan.data.storage import Storage, open_storage
from dogsgan.errors import DogsganError

MAX_NAME_LENGTH = 512
UNREADABLE_ANNOTATION = "annotation cannot be read"
_WNID = re.compile(r"n\d{8}(?=[-_])")


@dataclass(frozen=True)
class SourceImage:
    """A picture of a source. `name` is its path below the folder of pictures, the same in a zip."""

    name: str
    class_name: str | None  # the breed's folder, n02085620-Chihuahua; None where breeds are not known
    boxes: tuple[Box, ...] = ()  # as annotated, in px of a picture of `annotated_size`
    annotated_size: tuple[int, int] | None = None  # width and height in px; None without annotation
    problem: str | None = None  # why an annotated source has no boxes for this picture
    member: str = ""  # where its bytes are in the source


@dataclass(frozen=True)
class Skipped:
    """Something that was left out: which file, why (one of a few reasons), and more detail where there is."""

    name: str
    reason: str
    detail: str = ""


@dataclass
class Source:
    """An opened source. `kind` is competition, stanford, pictures or crop-set."""

    kind: str
    path: Path
    description: str  # one line for people: what was detected
    images: list[SourceImage] = field(repr=False)  # sorted by name
    skipped: list[Skipped] = field(repr=False)
    storage: Storage | None = field(default=None, repr=False)  # None for a prepared set
    crop_set: CropSet | None = field(default=None, repr=False)  # faster than `read` where it is there

    @property
    def annotated(self) -> bool:
        """Whether the source's pictures come with boxes."""
        return self.kind in ("competition", "stanford")

    def read(self, image: SourceImage) -> bytes:
        """Return a picture's encoded bytes; for a prepared set they are a PNG of the crop.

        Raises:
            DogsganError: the file cannot be read, or is larger than any genuine picture.
        """
        if self.crop_set is not None:
            buffer = io.BytesIO()
            Image.fromarray(self.crop_set.pictures[int(image.member)]).save(
                buffer, format="PNG", compress_level=1
            )
            return buffer.getvalue()
        assert self.storage is not None
        return self.storage.read(image.member, limit=MAX_PICTURE_BYTES)

    def fingerprint(self) -> str:
        """Return a cheap id of the contents: from the checksums in a zip, or from sizes and times of change.

        Boxes and breeds are part of it. It reads no picture, so it misses a change that keeps size and time.
        """
        if self.crop_set is not None:
            return self.crop_set.fingerprint
        assert self.storage is not None
        digest = hashlib.sha256(self.kind.encode())
        for image in self.images:
            digest.update(f"{image!r}\0{self.storage.stamp(image.member)}\n".encode(errors="surrogateescape"))
        for item in self.skipped:
            digest.update(f"{item!r}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def open_source(path: Path) -> Source:
    """Detect what is at `path` and list its pictures.

    Raises:
        DogsganError: nothing there, not a zip, a broken set, or no picture in any known layout.
    """
    path = Path(path)
    if is_crop_set(path):
        return _crop_set_source(CropSet.open(path))
    storage = open_storage(path)
    layout = detect_layout(storage.names)
    if layout is None:
        raise DogsganError(f"no pictures in {path}: {LOOKED_FOR}{_hint(storage.names)}")
    skipped = [Skipped(name, reason) for name, reason in storage.problems]
    skipped += [Skipped(name, "not a picture by its name") for name in layout.strangers]
    if layout.annotations:
        images = _annotated_images(storage, layout, skipped)
    else:
        images = _all_or_none_labelled([_bare_image(member, layout) for member in layout.pictures])
    images = _with_usable_names(images, skipped)
    return Source(
        kind=layout.kind,
        path=path,
        description=_describe(layout.kind, images, path),
        images=sorted(images, key=lambda image: image.name),
        skipped=skipped,
        storage=storage,
    )


def breed_name(class_name: str) -> str:
    """Return a breed's name for people: `n02116738-African_hunting_dog` is `African hunting dog`."""
    return re.sub(r"^n\d{8}-", "", class_name).replace("_", " ")


def _annotated_images(storage: Storage, layout: Layout, skipped: list[Skipped]) -> list[SourceImage]:
    """Join pictures and annotations by the file's stem, and by the breed's folder where pictures have one."""
    by_key: dict[str, str] = {}
    for member in layout.annotations:
        if by_key.setdefault(_join_key(member, layout), member) != member:
            skipped.append(Skipped(member, "second annotation of the same picture"))
    breeds = {folder[:9]: folder for folder in map(_parent, layout.annotations)}
    images, used = [], set()
    for member in layout.pictures:
        bare = _bare_image(member, layout)
        annotation_member = by_key.get(_join_key(member, layout))
        if annotation_member is None:
            wnid = _WNID.match(_stem(member))
            breed = bare.class_name or (breeds.get(wnid.group()) if wnid else None)
            images.append(_without_boxes(bare, breed, problem="no annotation"))
            continue
        used.add(annotation_member)
        images.append(_annotated(storage, bare, annotation_member, skipped))
    unused = sorted(set(by_key.values()) - used)
    skipped.extend(Skipped(member, "annotation without picture") for member in unused)
    return images


def _join_key(member: str, layout: Layout) -> str:
    return f"{_parent(member)}/{_stem(member)}" if layout.kind == "stanford" else _stem(member)


def _annotated(storage: Storage, bare: SourceImage, member: str, skipped: list[Skipped]) -> SourceImage:
    breed = _parent(member)
    try:
        annotation: Annotation = parse_annotation(storage.read(member, limit=MAX_ANNOTATION_BYTES), member)
    except DogsganError as error:
        skipped.append(Skipped(member, UNREADABLE_ANNOTATION, str(error)))
        return _without_boxes(bare, breed, problem=UNREADABLE_ANNOTATION)
    return SourceImage(
        name=bare.name,
        class_name=breed,
        boxes=annotation.boxes,
        annotated_size=(annotation.width, annotation.height),
        problem=None if annotation.boxes else "annotation without a dog",
        member=bare.member,
    )


def _without_boxes(image: SourceImage, breed: str | None, *, problem: str) -> SourceImage:
    return SourceImage(name=image.name, class_name=breed, problem=problem, member=image.member)


def _bare_image(member: str, layout: Layout) -> SourceImage:
    folder = _parent(member)
    breed = folder if _WNID.match(folder) else None
    return SourceImage(name=member.removeprefix(layout.picture_root), class_name=breed, member=member)


def _all_or_none_labelled(images: list[SourceImage]) -> list[SourceImage]:
    """Breeds count where every picture is in a breed's folder, not where some happen to be."""
    if all(image.class_name for image in images):
        return images
    return [SourceImage(name=image.name, class_name=None, member=image.member) for image in images]


def _with_usable_names(images: list[SourceImage], skipped: list[Skipped]) -> list[SourceImage]:
    skipped += [Skipped(i.name[:60] + "…", "name too long") for i in images if len(i.name) > MAX_NAME_LENGTH]
    return [image for image in images if len(image.name) <= MAX_NAME_LENGTH]


def _crop_set_source(crop_set: CropSet) -> Source:
    names = crop_set.class_names
    images = [
        SourceImage(
            name=f"crop-{index:06d}.png", class_name=names[label] if names else None, member=str(index)
        )
        for index, label in enumerate(crop_set.labels.tolist())
    ]
    size = crop_set.size_px
    return Source(
        kind="crop-set",
        path=crop_set.path,
        description=f"a prepared set of {len(crop_set):,} crops of {size}×{size} px",
        images=images,
        skipped=[],
        crop_set=crop_set,
    )


def _describe(kind: str, images: list[SourceImage], path: Path) -> str:
    container = "zip" if path.is_file() else "folder"
    if kind == "pictures":
        lost = "; for boxes give the folder above, with annotation/ in it" if path.name == "all-dogs" else ""
        return f"a {container} of {len(images):,} pictures without boxes{lost}"
    title = {"competition": "the competition's data", "stanford": "Stanford Dogs"}[kind]
    boxes = sum(len(image.boxes) for image in images)
    breeds = len({image.class_name for image in images if image.class_name})
    return f"{title} as a {container}: {len(images):,} pictures, {boxes:,} boxes, {breeds} breeds"


def _hint(names: list[str]) -> str:
    archives = [name for name in names if name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))]
    if not archives:
        return ""
    remedy = "give that file itself" if archives[0].lower().endswith(".zip") else "unpack it first"
    return f"; it holds {archives[0]}: {remedy}"


def _stem(member: str) -> str:
    path = PurePosixPath(member)
    return path.stem if path.suffix else path.name


def _parent(member: str) -> str:
    return PurePosixPath(member).parent.name
