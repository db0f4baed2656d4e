"""Pictures in any folders, without boxes: what is none of the other layouts."""

from collections import Counter
from dataclasses import replace

from dogsgan.data.layouts.annotated import breed_folder, lost_boxes
from dogsgan.data.layouts.class_folders import STRAYS
from dogsgan.data.layouts.layout import Contents, Layout, Listing, Match
from dogsgan.data.layouts.paths import common_folder, folder_name, parent, split_folders
from dogsgan.data.source_image import Skipped, SourceImage
from dogsgan.data.splits import SplitPath
from dogsgan.data.storage import Storage


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
