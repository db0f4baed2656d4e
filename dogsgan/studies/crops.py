"""The prepared set that every run of a study is trained on, cut once."""

from pathlib import Path

from dogsgan.config import DataRecipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.progress import say


def crops_of(source: Source, folder: Path, data: DataRecipe) -> CropSet:
    """Return the crops of a source as a recipe wants them: a prepared set as it is, else cut into `folder`.

    Raises:
        DogsganError: the set has another size, nothing can be cropped, or `folder` cannot be written.
    """
    if source.crop_set is not None:
        if source.crop_set.size_px != data.size_px:
            raise DogsganError(
                f"the prepared set {source.path} has pictures of {source.crop_set.size_px} px and the recipe "
                f"wants {data.size_px}: add --set data.size_px={source.crop_set.size_px}, or give the source"
            )
        return source.crop_set
    report = prepare(
        source,
        folder,
        size_px=data.size_px,
        policy=data.policy,
        boxes=data.boxes,
        min_box_px=data.min_box_px,
    )
    say(report.summary())
    return report.crop_set
