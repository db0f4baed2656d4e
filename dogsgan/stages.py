"""The stages that commands, studies and kernel share: crops of a source, training within a budget, a zip.

They chain data, training, sampling and submission, and know nothing of scoring: a Kaggle kernel takes this
path.
"""

import dataclasses
import itertools
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dogsgan.competition import COUNT
from dogsgan.config import DataRecipe, Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.grids import save_grid
from dogsgan.data.prepare import PrepareReport, prepare
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.files import refuse_other_content, refuse_unusable
from dogsgan.progress import optional_file, progress_bar, say
from dogsgan.submission import SubmissionReport, write_submission
from dogsgan.submission.labels import HEADER, write_labels
from dogsgan.submission.writing import encode_png, picture_names, refuse_full_folder, write_folder
from dogsgan.training.deadline import Deadline
from dogsgan.training.record import CARD_FILE, write_card
from dogsgan.training.run_folder import TrainReport

if TYPE_CHECKING:
    from torch import nn

    from dogsgan.models.rejection import Rejection
    from dogsgan.models.sampling import Batch, Sampler
    from dogsgan.training.judging import JudgeEvery


def generate(
    run: Path,
    out: Path,
    *,
    count: int = COUNT,
    seed: int = 0,
    seeds: Sequence[int] = (),
    breed: str | None = None,
    truncation: float = 1.0,
    device: str = "auto",
    labels: Path | None = None,
    rejection: float | None = None,
    crops: Path | None = None,
    as_folder: bool = False,
) -> SubmissionReport:
    """Sample the averaged generator of a run (or a generator file) into a zip of PNGs, or a new folder.

    `seeds` and `breed` are as for `Sampler.batches`; a picture of a seed is called `seed-0007.png`. `labels`
    names a CSV to write each picture's class to, which changes nothing in the zip. With `rejection`, about
    that share of the pictures is rejected by the run's discriminator, calibrated on the prepared set `crops`
    (`Rejection`).

    Raises:
        DogsganError: no usable generator, or `out` cannot be written; nothing stands under it then. Or a
            breed or labels are asked for of a generator that knows no classes, or rejection with a breed.
    """
    from dogsgan.models.sampling import Sampler  # here and below: who only supervises has no torch

    began, run, out = time.monotonic(), Path(run), Path(out)
    if as_folder:  # all of this before seconds of collecting statistics
        refuse_unusable(out)
        refuse_full_folder(out)
    else:
        refuse_other_content(out, b"PK", "zip")
    if labels is not None:
        labels = Path(labels)
        _refuse_labels_place(labels, out=out)
    if rejection is not None and (breed is not None or seeds):
        raise DogsganError("--rejection chooses among all breeds and seeds: leave out --breed and --seeds")
    sampler = Sampler.open(run, device=device, truncation=truncation, keep_statistics=True)
    if labels is not None and not sampler.class_names:
        raise DogsganError(
            f"the generator of {run} knows no classes, so there are no labels to write: leave out --labels"
        )
    if rejection is not None:
        batches = _rejection(run, sampler, rejection, crops).batches(count, seed=seed)
    else:
        batches = sampler.batches(count, seed=seed, seeds=seeds, breed=breed)
    names = [f"seed-{each:04d}.png" for each in seeds] or list(picture_names(count))
    classes: list[int] = []
    write = write_folder if as_folder else write_submission
    with progress_bar(description="generate", total=len(names)) as bar:
        pictures = _counted(batches, bar, classes)
        report = write(pictures, out, count=len(names), names=names)
    failed: list[str] = []
    if labels is not None:
        with optional_file(labels, failed):
            named = [sampler.class_names[index] for index in classes]
            write_labels(labels, zip(names, named, strict=True))
    return dataclasses.replace(
        report,
        seconds=time.monotonic() - began,
        images_seen=sampler.images_seen,
        failed=tuple(failed),
    )


def _rejection(run: Path, sampler: "Sampler", share: float, crops: Path | None) -> "Rejection":
    from dogsgan.models.rejection import Rejection

    if crops is None:
        raise DogsganError("--rejection calibrates the discriminator on real crops: add --data SET")
    return Rejection.of_run(run, sampler, CropSet.open(crops), share=share)


def write_samples(sampler: "Sampler", out: Path, *, count: int = COUNT, seed: int = 0) -> SubmissionReport:
    """Write `count` pictures of a sampler into a zip of PNGs.

    Raises:
        DogsganError: the generator makes NaN, or the zip cannot be written; nothing stands under `out` then.
    """
    with progress_bar(description="generate", total=count) as bar:
        report = write_submission(_counted(sampler.batches(count, seed=seed), bar, []), out, count=count)
    return dataclasses.replace(report, images_seen=sampler.images_seen)


def save_labels(labels: Path, *, count: int, class_names: Sequence[str]) -> None:
    """Write to a CSV the classes of `count` pictures that a generator of `class_names` was sampled into.

    Raises:
        DogsganError: the file cannot be written.
    """
    classes = itertools.cycle(class_names)  # as `balanced_labels` has them
    write_labels(labels, zip(picture_names(count), classes, strict=False))


def _refuse_labels_place(labels: Path, *, out: Path) -> None:
    if labels.resolve() == out.resolve():
        raise DogsganError(f"{labels} is to be the zip and the labels: give --labels a name of its own")
    if labels.is_dir():
        raise DogsganError(f"{labels} is a folder: name a file for the labels")
    refuse_other_content(labels, ",".join(HEADER).encode(), "labels file")


def _counted(batches: "Iterable[Batch]", bar: Any, classes: list[int]) -> Iterator[np.ndarray]:
    """Yield the pictures of batches, while the bar moves and their classes are noted in `classes`."""
    for batch in batches:
        classes += batch.labels.tolist()
        yield batch.pictures
        bar.update(len(batch.pictures))


def finishing_seconds(generator: "nn.Module", recipe: Recipe, *, class_count: int, count: int) -> float:
    """Measure what sampling and zipping `count` pictures will take after training, on one core."""
    from dogsgan.models.sampling import measured_sampling

    sampling_s, pictures = measured_sampling(
        generator, model=recipe.model, class_count=class_count, count=count
    )
    began = time.monotonic()
    for picture in pictures:
        encode_png(picture)
    return sampling_s + (time.monotonic() - began) / len(pictures) * count


def train_within(
    recipe: Recipe,
    crop_set: CropSet,
    run: Path,
    *,
    images: int | None,
    deadline: Deadline,
    resume: str = "auto",
    device: str = "auto",
    count: int = COUNT,
    judged: "JudgeEvery | None" = None,
    outlets: Sequence[str] = (),
) -> TrainReport:
    """Train so that `count` pictures can still be sampled and zipped before the deadline.

    What the set was prepared with goes into the recipe, so that the run's recipe tells the truth. A model
    card is left in the run.
    """
    from dogsgan.training.loop import train

    recipe = recipe_of_set(recipe, crop_set)
    class_count = len(crop_set.class_names) if recipe.model.conditional else 0
    report = train(
        recipe,
        crop_set,
        run,
        images=images,
        deadline=deadline,
        resume=resume,
        device=device,
        finishing_s=lambda generator: finishing_seconds(
            generator, recipe, class_count=class_count, count=count
        ),
        judged=judged,
        outlets=outlets,
    )
    if os.environ.get("RANK", "0") == "0":  # of several processes one writes
        with optional_file(Path(run) / CARD_FILE):
            write_card(Path(run), crop_set)
    return report


def crops_of(
    source: Source,
    folder: Path,
    data: DataRecipe,
    *,
    workers: int | None = None,
    same_as: str | None = None,
    quiet: bool = False,
) -> tuple[CropSet, PrepareReport | None]:
    """Return the crops of a source as a recipe wants them: a prepared set as it is, else cut into `folder`.

    What was cropped is said, unless `quiet`. `same_as` is the fingerprint of the set that a run there is
    trained on: other crops do not replace it.

    Raises:
        DogsganError: a prepared set has another size than the recipe, nothing can be cropped, or `folder`
            cannot be written.
    """
    if source.crop_set is not None:
        source.crop_set.refuse_other_size(data.size_px)
        return source.crop_set, None
    report = prepare(source, folder, data, workers=workers, same_as=same_as)
    if not quiet:
        say(report.summary())
    return report.crop_set, report


def refuse_other_crops(settings: list[str], recipe: Recipe, crop_set: CropSet) -> None:
    """Refuse settings `data.…=…` that ask for other crops than a prepared set has.

    Raises:
        DogsganError: naming the first such setting.
    """
    asked = {setting.partition("=")[0].strip() for setting in settings}
    for difference in recipe.differences(recipe_of_set(recipe, crop_set)):
        if difference.partition(":")[0] in asked:
            raise DogsganError(
                f"--set {difference} in {crop_set.path}: prepare a set that way, or leave it out"
            )


def recipe_of_set(recipe: Recipe, crop_set: CropSet) -> Recipe:
    """Return the recipe with the crop policy and boxes that a prepared set was really made with."""
    made_with = {
        name: crop_set.provenance[name]
        for name in ("policy", "boxes", "min_box_px")
        if name in crop_set.provenance
    }
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, **made_with))


GRID_COLUMNS, GRID_PICTURES = 16, 160
"""Of the grids that a run leaves."""


def save_sample_grid(zip_path: Path, path: Path, *, names: Sequence[str] | None = None) -> None:
    """Draw the first pictures of a zip, or those of `names` in their order; at most `GRID_PICTURES`."""
    source = open_source(zip_path)
    shown = source.images[:GRID_PICTURES]
    if names is not None:
        images = {image.name: image for image in source.images}
        shown = [images[name] for name in names[:GRID_PICTURES]]
    pictures = [np.asarray(source.decode(image)) for image in shown]
    save_grid(np.stack(pictures), path, columns=GRID_COLUMNS)
