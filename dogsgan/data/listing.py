"""The pictures of a folder or zip with what is known of each: boxes and breed, class, or neither."""

import re
from pathlib import PurePosixPath

from dogsgan.data.annotations import MAX_ANNOTATION_BYTES, Annotation, parse_annotation
from dogsgan.data.layouts import STRAYS, Layout
from dogsgan.data.source_image import UNREADABLE_ANNOTATION, Skipped, SourceImage
from dogsgan.data.storage import Storage

_WNID = re.compile(r"n\d{8}(?=[-_])")


def list_images(storage: Storage, layout: Layout, skipped: list[Skipped]) -> list[SourceImage]:
    """Return a layout's pictures; add to `skipped` each annotation that cannot be used."""
    skipped += [Skipped(name, "outside the class folders") for name in layout.outside]
    if layout.annotations:
        return _annotated_images(storage, layout, skipped)
    if layout.kind == "classes":
        return [
            SourceImage(name, class_name=name.partition("/")[0], member=member)
            for member in layout.pictures
            for name in (member.removeprefix(layout.picture_root),)
        ]
    return _all_or_none_labelled([_bare_image(member, layout) for member in layout.pictures], skipped)


def _annotated_images(storage: Storage, layout: Layout, skipped: list[Skipped]) -> list[SourceImage]:
    """Join pictures and annotations by the file's stem, and by the breed's folder where pictures have one."""
    by_key: dict[str, str] = {}
    for member in layout.annotations:
        if by_key.setdefault(_join_key(member, layout), member) != member:
            skipped.append(Skipped(member, "second annotation of the same picture"))
    breeds = {folder[:9]: folder for folder in map(_breed_of, layout.annotations) if folder}
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
    breed = _breed_of(member)
    try:
        annotation: Annotation = parse_annotation(storage.read(member, limit=MAX_ANNOTATION_BYTES), member)
    except Exception as error:  # of hostile content anything may come
        skipped.append(Skipped(member, UNREADABLE_ANNOTATION, str(error) or type(error).__name__))
        return _without_boxes(bare, breed, problem=UNREADABLE_ANNOTATION)
    return SourceImage(
        name=bare.name,
        class_name=breed,
        boxes=annotation.boxes,
        annotated_size=(annotation.width, annotation.height),
        problem=None if annotation.boxes else "annotation without a dog",
        member=bare.member,
    )


def _breed_of(annotation: str) -> str | None:
    """Return the breed's folder; where annotations lie in none, the breed's number in ImageNet, if any."""
    folder = _parent(annotation)
    if folder.lower() not in ("annotation", "annotations"):
        return folder
    wnid = _WNID.match(_stem(annotation))
    return wnid.group() if wnid else None


def _without_boxes(image: SourceImage, breed: str | None, *, problem: str) -> SourceImage:
    return SourceImage(name=image.name, class_name=breed, problem=problem, member=image.member)


def _bare_image(member: str, layout: Layout) -> SourceImage:
    folder = _parent(member)
    breed = folder if _WNID.match(folder) else None
    return SourceImage(name=member.removeprefix(layout.picture_root), class_name=breed, member=member)


def _all_or_none_labelled(images: list[SourceImage], skipped: list[Skipped]) -> list[SourceImage]:
    """Breeds count where the pictures are in breeds' folders, but for a few; not where some happen to be."""
    labelled = [image for image in images if image.class_name]
    if STRAYS * (len(images) - len(labelled)) <= len(labelled):
        others = [image for image in images if not image.class_name]
        skipped += [Skipped(image.name, "outside the class folders") for image in others]
        return labelled
    return [SourceImage(name=image.name, class_name=None, member=image.member) for image in images]


def _stem(member: str) -> str:
    path = PurePosixPath(member)
    return path.stem if path.suffix else path.name


def _parent(member: str) -> str:
    return PurePosixPath(member).parent.name
