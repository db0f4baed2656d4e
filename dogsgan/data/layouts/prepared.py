"""Prepared sets as a layout: crops that are arrays, and need no decoding."""

from pathlib import Path

from dogsgan.data.cropset import CropSet, is_crop_set
from dogsgan.data.layouts.layout import Contents, Layout
from dogsgan.data.source_image import SourceImage
from dogsgan.data.splits import SplitPath


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
