"""Class folders beside each other, the layout of `torchvision.datasets.ImageFolder`."""

from collections import Counter

from dogsgan.data.layouts.annotated import lost_boxes
from dogsgan.data.layouts.layout import Contents, Layout, Listing, Match
from dogsgan.data.layouts.paths import parent, split_folders
from dogsgan.data.source_image import Skipped
from dogsgan.data.splits import SplitPath
from dogsgan.data.storage import Storage

STRAYS = 4  # a folder's pictures are classes where at most one in so many lies elsewhere


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
