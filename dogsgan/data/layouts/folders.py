"""Folders without annotations: prepared sets, class folders, and pictures in any folders."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from dogsgan.data.cropset import CropSet, is_crop_set
from dogsgan.data.layouts.annotated import breed_folder, lost_boxes
from dogsgan.data.layouts.layout import (
    Contents,
    Layout,
    Listing,
    Match,
    Skipped,
    SourceImage,
    SplitPath,
    common_folder,
    folder_name,
    parent,
    split_folders,
)
from dogsgan.data.storage import Storage

STRAYS = 4  # a folder's pictures are classes where at most one in so many lies elsewhere


class PreparedSet(Layout):
    """A folder that `prepare` wrote."""

    kind = "crop-set"

    def is_at(self, path: Path) -> bool:
        """Return whether the folder claims to be a prepared set, broken or not."""
        return is_crop_set(path)

    def open(self, at: SplitPath) -> Contents:
        """Open the set."""
        at.refuse_split("the prepared set")
        return contents_of(CropSet.open(at.path))


PREPARED = PreparedSet()


def contents_of(crop_set: CropSet) -> Contents:
    """Return the crops of an opened set."""
    names, size = crop_set.class_names, crop_set.size_px
    images = [
        SourceImage(f"crop-{index:06d}.png", class_name=names[label] if names else None, member=str(index))
        for index, label in enumerate(crop_set.labels.tolist())
    ]
    description = f"a prepared set of {len(crop_set):,} crops of {size}×{size} px"
    return Contents(images, description, crop_set=crop_set)


class ClassFolders(Layout):
    """Two or more folders beside each other that hold the pictures, each picture directly in one of them.

    They may be called anything, but are not taken for classes where all are called as the splits of a data
    set are (train, val, test, …). A few pictures, at most one for every `STRAYS` in the folders, may lie
    elsewhere: deeper in a class's folder they are of that class, outside they are left out.
    """

    kind = "classes"

    def match(self, listing: Listing) -> Match | None:
        """Return the pictures in class folders and those outside."""
        pictures = listing.pictures
        if not pictures or split_folders(pictures):
            return None
        grandparents = Counter(parent(parent(name)[:-1]) for name in pictures if "/" in name)
        if not grandparents:
            return None
        root = min(grandparents, key=lambda folder: (-grandparents[folder], folder))
        direct = [
            name for name in pictures if name.startswith(root) and name.count("/") == root.count("/") + 1
        ]
        folders = {parent(name) for name in direct}
        if len(folders) < 2 or split_folders(direct) or STRAYS * (len(pictures) - len(direct)) > len(direct):
            return None
        inside = [name for name in pictures if _below(name, root) in folders]
        outside = [name for name in pictures if _below(name, root) not in folders]
        remark = ""
        if len(inside) > len(direct):
            first = next(name for name in inside if parent(name) not in folders)
            remark = (
                f"; {len(inside) - len(direct)} lie deeper than in a class folder, such as {first}, "
                "and are of the class above"
            )
        if outside:
            remark += f"; {len(outside)} outside the class folders left out, such as {outside[0]}"
        return Match(
            self,
            root,
            inside,
            strangers=listing.strangers(root, pictures),
            outside=outside,
            lost_boxes=lost_boxes(listing),
            remark=remark,
        )

    def read(self, match: Match, storage: Storage, at: SplitPath) -> Contents:
        """List the pictures, each of the class that its folder is called."""
        skipped = [Skipped(name, "outside the class folders") for name in match.outside]
        images = [
            match.image(member, member.removeprefix(match.picture_root).partition("/")[0])
            for member in match.pictures
        ]
        classes = len({image.class_name for image in images})
        hint = match.remark + (f"; no boxes, because {match.lost_boxes}" if match.lost_boxes else "")
        description = (
            f"a {at.container} of {len(images):,} pictures without boxes in {classes} class folders{hint}"
        )
        return Contents(images, description, skipped, storage)


CLASS_FOLDERS = ClassFolders()


def _below(name: str, root: str) -> str:
    """Return the folder just below `root` that a file is in, with its `/`; empty where there is none."""
    first, slash, _ = name.removeprefix(root).partition("/")
    return f"{root}{first}/" if name.startswith(root) and slash else ""


class PlainPictures(Layout):
    """Any pictures. Almost-layouts end here, and say what is missing of boxes or classes."""

    kind = "pictures"
    looked_for = "pictures (.jpg, .png, …)"

    def match(self, listing: Listing) -> Match | None:
        """Return all pictures, with what a person should know of their folders."""
        pictures = listing.pictures
        if not pictures:
            return None
        lost_labels = ""
        splits = split_folders(pictures)
        if splits:
            remark = f"; its folders are splits, so give one of {', '.join(splits)} where only that is meant"
            root = common_folder(pictures)
            inside = {parent(name) for name in pictures if name.count("/") >= root.count("/") + 2}
            if len({folder_name(folder) for folder in inside}) > 1:
                folders = ", ".join(root + name for name in splits)
                lost_labels = f"its class folders lie in splits: give one of {folders}"
        else:
            remark = _why_no_classes(pictures)
        return Match(
            self,
            "",
            pictures,
            strangers=listing.strangers("", pictures),
            lost_boxes=lost_boxes(listing),
            lost_labels=lost_labels,
            remark=remark,
        )

    def read(self, match: Match, storage: Storage, at: SplitPath) -> Contents:
        """List the pictures; they have breeds if all but a few lie in breeds' folders."""
        images = [match.image(member, breed_folder(member)) for member in match.pictures]
        images, skipped = _all_or_none_labelled(images)
        hint = match.remark + (f"; no boxes, because {match.lost_boxes}" if match.lost_boxes else "")
        description = f"a {at.container} of {len(images):,} pictures without boxes{hint}"
        return Contents(images, description, skipped, storage)


PLAIN_PICTURES = PlainPictures()


def _all_or_none_labelled(images: list[SourceImage]) -> tuple[list[SourceImage], list[Skipped]]:
    labelled = [image for image in images if image.class_name]
    if STRAYS * (len(images) - len(labelled)) <= len(labelled):
        others = [image for image in images if not image.class_name]
        return labelled, [Skipped(image.name, "outside the class folders") for image in others]
    return [replace(image, class_name=None) for image in images], []


def _why_no_classes(pictures: list[str]) -> str:
    folders = Counter(parent(name) for name in pictures)
    usual = Counter(folder.count("/") for folder in folders if folder)
    if len(folders) < 3 or not usual or max(usual.values()) < 2:
        return ""
    depth = max(usual, key=lambda count: usual[count])
    elsewhere = [name for name in pictures if name.count("/") != depth]
    if not elsewhere:
        return ""
    return (
        f"; its folders are not taken for classes, because {len(elsewhere):,} pictures lie higher or deeper, "
        f"such as {elsewhere[0]}"
    )
