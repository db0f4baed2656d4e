"""The score of labelled pictures for each class: what `dogsgan score --per-class` calls."""

import dataclasses
import itertools
from pathlib import Path

import numpy as np

from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side
from dogsgan.features.sides import opened_for
from dogsgan.features.statistics_file import check_statistics_name, is_statistics_file
from dogsgan.metrics.precision_recall import NEIGHBOURS
from dogsgan.per_class.figures import class_figures, with_recognition
from dogsgan.per_class.files import write_per_class
from dogsgan.per_class.result import PerClassScore, correlations_with_real
from dogsgan.pictures import PictureReader
from dogsgan.recognition.imagenet import class_set
from dogsgan.recognition.recognise import refuse_without_classifier
from dogsgan.recognition.shares import Recognition
from dogsgan.score import compare
from dogsgan.submission.labels import generated_classes, listed, matched_classes, real_classes


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
    names = generated_classes(sources[0], labels), real_classes(sources[1])
    matched = matched_classes(*names)
    reader = PictureReader(sources[0])
    opened = opened_for(reader, network, weights=weights, device=device, cache_dir=cache_dir)
    if classes is not None:
        refuse_without_classifier(opened, "--classes")
    score, generated_side, real_side = compare(
        reader,
        sources[1],
        opened,
        class_names=names[0],
        classes=chosen_classes,
        recognition_asked=classes is not None,
        batch_size=batch_size,
        cache_dir=cache_dir,
        save_stats=save_stats,
    )
    assert real_side.rows is not None  # of pictures, not of a statistics file
    real_kept = [matched[1][row] for row in real_side.rows]
    figures, equal_counts = class_figures(
        _features(generated_side), matched[0], _features(real_side), real_kept, neighbours=neighbours
    )
    if score.recognition is not None:
        indices = _indices_of(matched, names, score.recognition)
        figures = tuple(with_recognition(each, score.recognition, indices.get(each.name)) for each in figures)
    result = PerClassScore(
        score=score,
        classes=figures,
        correlations=correlations_with_real(figures),
        equal_counts=equal_counts,
        neighbours=neighbours,
        warnings=tuple(_left_out(sources, matched)),
    )
    failed = write_per_class(result, Path(out)) if out is not None else []
    score = dataclasses.replace(score, failed=(*score.failed, *failed))
    return dataclasses.replace(result, score=score)


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
