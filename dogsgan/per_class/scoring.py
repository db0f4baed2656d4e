"""The score of labelled pictures for each class: what `dogsgan score --per-class` calls."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np

from dogsgan.cache import default_cache_dir
from dogsgan.class_labels import (
    generated_classes,
    listed,
    matched_classes,
    real_classes,
)
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.choice import generated_size, opened_for, refuse_without_classifier
from dogsgan.features.extraction import Side
from dogsgan.features.sides import generated_side_of, real_side_of
from dogsgan.features.statistics_file import is_statistics_file, save_statistics
from dogsgan.metrics.precision_recall import NEIGHBOURS
from dogsgan.per_class.figures import class_figures, with_recognition
from dogsgan.per_class.files import write_per_class
from dogsgan.per_class.result import PerClassScore, correlations_with_real
from dogsgan.pictures import PictureReader, read_table
from dogsgan.progress import optional
from dogsgan.recognition.imagenet import class_set
from dogsgan.recognition.real_crops import crops_to_cut
from dogsgan.recognition.recognise import recognise
from dogsgan.recognition.shares import Recognition
from dogsgan.score import check_statistics_name, score_sides


def per_class(
    generated: Path,
    real: Path,
    *,
    labels: Path | None = None,
    out: Path | None = None,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    cache_dir: Path | None = None,
    save_stats: Path | None = None,
    neighbours: int = NEIGHBOURS,
    classes: str | None = None,
) -> PerClassScore:
    """Score generated pictures as `score` does, and each class of them against that class's real pictures.

    Args:
        labels: a CSV `name,class` of the generated pictures; by default their classes are those that their
            source knows: class folders, breeds, a prepared set's labels.
        out: a folder for `per-class.csv`, `per-class.json` and `per-class.png`.
        neighbours: k of precision and recall.
        classes: as for `score`.

    Raises:
        DogsganError: as `score`; or a side has no classes, the labels do not fit the pictures, or the sides
            have no class in common.
    """
    if is_statistics_file(Path(real)):
        raise DogsganError(
            f"{real} is a statistics file, which says nothing of classes: give the real pictures themselves"
        )
    check_statistics_name(save_stats)
    sources = open_source(Path(generated)), open_source(Path(real))
    chosen_classes = class_set(classes) if classes is not None else None  # before anything is computed
    names = generated_classes(sources[0], labels)
    matched = matched_classes(names, real_classes(sources[1]))
    reader = PictureReader(sources[0])
    opened, notes = opened_for(reader, network, weights=weights, device=device, cache_dir=cache_dir)
    if classes is not None:
        refuse_without_classifier(opened, "--classes")
    size_px = generated_size(reader, opened)
    generated_side, warnings = generated_side_of(read_table(reader, size_px), opened, batch_size=batch_size)
    cache_dir = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    crops = crops_to_cut(
        sources[1],
        opened,
        count=len(reader),
        size_px=size_px,
        cache_dir=cache_dir,
        asked=chosen_classes is not None,
    )
    real_side, noted = real_side_of(
        sources[1],
        opened,
        size_px=size_px,
        batch_size=batch_size,
        cache_dir=cache_dir,
        consumers=crops,
    )
    failed: list[str] = []
    if save_stats is not None:
        with optional("the statistics file", failed):
            save_statistics(Path(save_stats), real_side)
    assert real_side.rows is not None  # of pictures, not of a statistics file
    real_kept = [matched[1][row] for row in real_side.rows]
    figures, equal_counts = class_figures(
        _features(generated_side), matched[0], _features(real_side), real_kept, neighbours=neighbours
    )
    recognition = None
    with optional("recognition", failed if classes is not None else warnings):
        recognition = recognise(
            sources[0],
            generated_side,
            sources[1],
            real_side,
            opened,
            generated_classes=names,
            size_px=size_px,
            cache_dir=cache_dir,
            classes=chosen_classes,
            crops=crops,
        )
    if recognition is not None:
        indices = _indices_of(matched, (names, real_classes(sources[1])), recognition)
        figures = tuple(with_recognition(each, recognition, indices.get(each.name)) for each in figures)
    score = score_sides(generated_side, real_side, opened, warnings=[*notes, *warnings, *noted])
    result = PerClassScore(
        score=dataclasses.replace(score, recognition=recognition),
        classes=figures,
        correlations=correlations_with_real(figures),
        equal_counts=equal_counts,
        neighbours=neighbours,
        warnings=tuple(_left_out(sources, matched)),
    )
    if out is not None:
        failed += write_per_class(result, Path(out))
    return dataclasses.replace(result, score=dataclasses.replace(result.score, failed=tuple(failed)))


def _indices_of(
    matched: tuple[list[str | None], list[str | None]],
    names: tuple[list[str | None], list[str | None]],
    recognition: Recognition,
) -> dict[str, int]:
    """Return ImageNet's class of each class by its common name, from the names that the sides have for it."""
    found = {}
    for common, own in zip(itertools.chain(*matched), itertools.chain(*names), strict=True):
        if common and own and own in recognition.indices:
            found[common] = recognition.indices[own]
    return found


def _features(side: Side) -> np.ndarray:
    assert side.features is not None  # of pictures, not of a statistics file
    return side.features


def _left_out(
    sources: tuple[Source, Source], classes: tuple[list[str | None], list[str | None]]
) -> list[str]:
    """Say which pictures are in no class, and which classes are on one side only."""
    sides = ("generated", "real")
    lines = [
        f"{count:,} {side} pictures in {source.path} have no class and count for the whole score only"
        for side, source, names in zip(sides, sources, classes, strict=True)
        if (count := names.count(None))
    ]
    for here, there in ((0, 1), (1, 0)):
        alone = set(classes[here]) - set(classes[there]) - {None}
        if alone:
            lines.append(
                f"{len(alone):,} of the {sides[here]} side's classes have no {sides[there]} picture: "
                f"{listed(alone)}"
            )
    return lines
