"""The competition's score of generated pictures against the real ones: what `dogsgan score` calls."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from dogsgan.cache import default_cache_dir
from dogsgan.competition import COUNT, SUBMISSIONS, percentile_2019
from dogsgan.data.sources import Source, open_source
from dogsgan.device import with_float64
from dogsgan.features.networks import FeatureNetwork
from dogsgan.features.sides import (
    Side,
    check_statistics_name,
    generated_side_of,
    is_statistics_file,
    load_statistics,
    opened_for,
    real_side_of,
    save_statistics,
)
from dogsgan.metrics import Measured, registered
from dogsgan.metrics.frechet import few_pictures, frechet_distance_between
from dogsgan.metrics.memorization import memorization_distance, mifid
from dogsgan.number_text import distance as distance_text
from dogsgan.number_text import significant
from dogsgan.pictures import PictureReader
from dogsgan.progress import optional
from dogsgan.recognition import RealCrops, Recognition, recognise, refuse_without_classifier
from dogsgan.recognition.imagenet import ClassSet, class_set
from dogsgan.submission.labels import labelled_sample

_REAL_COUNT_AT_LEAST = 20_000
_IN_HEADLINE = ("fid", "distance")


@dataclass(frozen=True)
class Score:
    """What `score` found. `distance` and `mifid` are None where the real side had no features."""

    network: str
    description: str
    """The network and its recipe in words."""
    competition: bool
    """Whether network and weights are the competition's own."""
    epsilon: float | None
    """The threshold on the distance; None where none was calibrated, and `mifid` then equals `fid`."""
    fid: float
    distance: float | None
    mifid: float | None
    generated: int
    """How many generated pictures were scored."""
    real: int | None
    """How many real pictures; None where a statistics file does not say."""
    percentile_2019: float | None
    """The percentage of the submissions of 2019 that did not memorise with a worse score."""
    warnings: tuple[str, ...]
    jpegs_by_pillow: int = 0
    """How many JPEGs of both sides the competition's decoder could not read, so that Pillow decoded them."""
    metrics: Mapping[str, Measured] = field(default_factory=dict)
    """The quick metrics of `dogsgan.metrics` by name; empty where the real side has no features."""
    recognition: Recognition | None = None
    """None where the network names no classes."""
    failed: tuple[str, ...] = ()
    """A line for each thing that was asked for beside the score and could not be made."""

    def to_json(self) -> dict[str, Any]:
        """Return the score as plain values."""
        plain = ("network", "description", "competition", "epsilon", "fid", "distance", "mifid")
        counts = ("generated", "real", "percentile_2019", "jpegs_by_pillow")
        return {
            **{name: getattr(self, name) for name in (*plain, *counts)},
            "metrics": {name: registered()[name].to_json(found) for name, found in self.metrics.items()},
            "recognition": self.recognition.to_json() if self.recognition else None,
            "note": self.note(),
            "warnings": [*self.warnings, *self.failed],
        }

    def note(self) -> str:
        """Return in a sentence whether this is the competition's score."""
        if self.competition:
            return f"by the competition's own {self.network} network"
        return f"NOT the competition's score: {self.network} made it; compare it only with its own kind"

    def summary(self) -> str:
        """Return the score in a few lines for people."""
        real = "an unknown number of" if self.real is None else f"{self.real:,}"
        lines = [
            self._headline(),
            f"  {self.generated:,} generated against {real} real pictures, seen by {self.description}",
            f"  {self.note()}",
        ]
        if self.jpegs_by_pillow:
            lines.append(
                f"  {self.jpegs_by_pillow:,} JPEG(s) that the competition's decoder cannot read (CMYK?) were "
                "decoded by Pillow"
            )
        for name, found in self.metrics.items():
            if name not in _IN_HEADLINE:
                lines.append(f"  {registered()[name].title} {found.summary()}")
        if self.percentile_2019 is not None:
            lines.append(
                f"  better than {self.percentile_2019:g}% of the {SUBMISSIONS} submissions of 2019 "
                "that did not memorise"
            )
        if self.recognition is not None:
            lines += [f"  {line}" for line in self.recognition.summary().splitlines()]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])

    def _headline(self) -> str:
        if self.distance is None or self.mifid is None:
            return f"Fréchet distance {significant(self.fid, 5)} (no MiFID: the real side has no features)"
        if self.epsilon is None:
            penalty = "no threshold was calibrated for this network, so no penalty"
        elif self.distance < self.epsilon:
            penalty = f"below the threshold {self.epsilon:g}: penalised"
        else:
            penalty = f"not below the threshold {self.epsilon:g}: no penalty"
        return (
            f"MiFID {significant(self.mifid, 5)} (Fréchet distance {significant(self.fid, 5)}, "
            f"memorization distance {distance_text(self.distance)}, {penalty})"
        )


def score(
    generated: Path,
    real: Path | Source,
    *,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    cache_dir: Path | None = None,
    save_stats: Path | None = None,
    labels: Path | None = None,
    classes: str | None = None,
    sample: int | None = None,
) -> Score:
    """Score generated pictures (zip, folder or prepared set) against real ones (or a statistics file).

    `network` and `weights` are as for `open_network`. Features of the real
    side are kept in `cache_dir`, by default the user's cache folder. `save_stats` names an `.npz` for the
    real side's statistics. Where the network is a classifier, the score says how often it recognises one of
    `classes` (see `class_set`; dogs), and the class that each picture is of: by the CSV `labels`, else by the
    class folders. With `sample`, that many of the generated pictures are scored, chosen by chance.

    Raises:
        DogsganError: something is missing, unreadable, of the wrong size, or gives NaN.
    """
    check_statistics_name(save_stats)
    chosen_classes = class_set(classes) if classes is not None else None
    source = open_source(Path(generated))  # what is not there is named before any network
    opened_real = open_real(real)
    reader = PictureReader(source)
    opened = opened_for(reader, network, weights=weights, device=device, cache_dir=cache_dir)
    for option, given in (("--labels", labels), ("--classes", classes)):
        if given is not None:
            refuse_without_classifier(opened, option)
    some, names = labelled_sample(source, labels, count=sample)
    return compare(
        reader if some is source else PictureReader(some),
        opened_real,
        opened,
        class_names=names,
        classes=chosen_classes,
        recognition_asked=labels is not None or classes is not None,
        batch_size=batch_size,
        cache_dir=cache_dir,
        save_stats=save_stats,
    )[0]


def open_real(real: Path | Source) -> Source | Path:
    """Return a real side opened, or the path of a statistics file."""
    if isinstance(real, Source):
        return real
    path = Path(real)
    return path if is_statistics_file(path) and path.exists() else open_source(path)


def compare(
    reader: PictureReader,
    real: Source | Path,
    network: FeatureNetwork,
    *,
    class_names: Sequence[str | None],
    classes: ClassSet | None = None,
    recognition_asked: bool = False,
    batch_size: int | None = None,
    cache_dir: Path | None = None,
    save_stats: Path | None = None,
) -> tuple[Score, Side, Side]:
    """Return the score of generated pictures, of `class_names`, against real ones or a statistics file.

    Return both sides' features, too. Each picture is read, decoded and shown to the network once. The rest is
    as for `score`.

    Raises:
        DogsganError: as `score`.
    """
    cache_dir = default_cache_dir(cache_dir)
    crops = None
    if isinstance(real, Path):
        real_side = load_statistics(real, dimension=network.dimension, network=network.name)
    generated_side, warnings = generated_side_of(reader, network, batch_size=batch_size)
    size_px = reader.side_px()
    if isinstance(real, Source):
        crops = RealCrops(real, network, count=len(reader), size_px=size_px, cache_dir=cache_dir)
        real_side, noted = real_side_of(
            real,
            network,
            size_px=size_px,
            batch_size=batch_size,
            cache_dir=cache_dir,
            consumers=crops.wanted(asked=classes is not None),
        )
        warnings += noted
    failed: list[str] = []
    if save_stats is not None:
        with optional("the statistics file", failed):
            save_statistics(Path(save_stats), real_side)
    recognition = None
    with optional("recognition", failed if recognition_asked else warnings):
        recognition = recognise(
            reader.source,
            generated_side,
            crops,
            real_side,
            network,
            generated_classes=class_names,
            classes=classes,
        )
    notes = [network.note] if network.note else []
    found = score_sides(generated_side, real_side, network, warnings=[*notes, *warnings])
    found = dataclasses.replace(found, recognition=recognition, failed=tuple(failed))
    return found, generated_side, real_side


def score_sides(
    generated: Side, real: Side, network: FeatureNetwork, *, warnings: Sequence[str] = ()
) -> Score:
    """Score two sides whose features `network` made; `warnings` are carried into the result."""
    notes = list(warnings)
    fid = frechet_distance_between(generated.statistics, real.statistics)
    distance = score_value = None
    metrics: dict[str, Measured] = {}
    if generated.features is None or real.features is None:
        notes.append(
            "the statistics file has no features, so there is no memorization distance and no MiFID: "
            "give the real pictures, or a file written with --save-stats"
        )
    else:
        distance = memorization_distance(_on(generated, network), _on(real, network))
        metrics = {"fid": Measured(fid), "distance": Measured(distance)}
        for name, metric in registered().items():
            if metric.quick and name not in metrics:
                with optional(metric.title, notes):
                    metrics[name] = metric.measure(generated.features, real.features)
        score_value = mifid(fid, distance, epsilon=network.epsilon)
    generated_count = generated.count or 0
    if network.competition and generated_count != COUNT:
        notes.append(f"the competition scored {COUNT:,} pictures, these are {generated_count:,}")
    notes += few_pictures("generated", generated.statistics, generated.features, real.statistics, fid=fid)
    notes += few_pictures("real", real.statistics, real.features, generated.statistics, fid=fid)
    comparable = (
        network.competition
        and generated_count == COUNT
        and real.count is not None
        and real.count >= _REAL_COUNT_AT_LEAST
    )
    return Score(
        network=network.name,
        description=network.description,
        competition=network.competition,
        epsilon=network.epsilon,
        fid=fid,
        distance=distance,
        mifid=score_value,
        generated=generated_count,
        real=real.count,
        percentile_2019=percentile_2019(network.name, score_value)
        if comparable and score_value is not None
        else None,
        warnings=tuple(notes),
        jpegs_by_pillow=generated.jpegs_by_pillow + real.jpegs_by_pillow,
        metrics=metrics,
    )


def _on(side: Side, network: FeatureNetwork) -> torch.Tensor:
    """Return a side's features where the network is, if float64 sums run there."""
    return torch.as_tensor(side.features).to(with_float64(network.device))
