"""The evaluation of a run's generators against crops it was trained on, while it trains and afterwards.

The embedded network's Fréchet distance, and which share of the pictures it takes for a dog: never Kaggle's
score. A fixed sample of crops, and the same noise every time, make the figures of a run comparable.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from dogsgan.data.cropset import CropSet
from dogsgan.data.pictures import in_colour
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, features_of, features_of_stream, open_network
from dogsgan.features.timm_networks import LITE0
from dogsgan.files import atomic_path
from dogsgan.metrics.frechet import Statistics, frechet_distance_between, statistics_of
from dogsgan.models.generator_file import BEST_GENERATOR_FILE, GENERATOR_FILE
from dogsgan.models.sampling import Sampler
from dogsgan.number_text import percent
from dogsgan.progress import optional_file, progress_bar
from dogsgan.recognition import best_guesses, shares_of
from dogsgan.recognition.imagenet import DOGS
from dogsgan.spreadsheet import Value, write_rows
from dogsgan.training.batches import in_grey
from dogsgan.training.judging import JudgeEvery
from dogsgan.training.run_folder import checkpoints

COUNT, REAL_COUNT = 1000, 2000
"""Pictures of each side while a run trains: enough to compare places of one run, not two recipes."""


class Evaluator:
    """Figures of a generator's pictures: `fid` to a sample of crops, and `dogs` where that can be told.

    Args:
        network: what sees the pictures; see `open_network`.
        count: generated pictures.
        real_count: crops, chosen by chance, the same ones every time.

    Raises:
        DogsganError: the network cannot be opened, or takes other pictures.
    """

    def __init__(
        self,
        crop_set: CropSet,
        *,
        network: str = LITE0,
        weights: Path | None = None,
        device: str = "auto",
        count: int = COUNT,
        real_count: int = REAL_COUNT,
    ) -> None:
        self.network: FeatureNetwork = open_network(network, weights=weights, device=device)
        self.network.refuse_other_size(crop_set.size_px)
        self.crop_set, self.count, self.real_count = crop_set, count, min(real_count, len(crop_set))
        self._chosen = np.sort(np.random.default_rng(0).permutation(len(crop_set))[:real_count])
        self._real: dict[int, Statistics] = {}  # by channels

    def _real_of(self, channels: int) -> Statistics:
        """Return the statistics of the crops as a recipe with so many channels is shown them."""
        if channels not in self._real:
            crops = crops_as_trained(self.crop_set, self._chosen, channels=channels)
            features = features_of_stream(crops, self.network, total=self.real_count, description=None)
            self._real[channels] = statistics_of(features)
        return self._real[channels]

    def __call__(self, sampler: Sampler) -> dict[str, float]:
        """Return the figures of a sampler's first `count` pictures."""
        channels = sampler.recipe.data.channels
        features = features_of(in_colour(sampler.sample(self.count)), self.network)
        figures = {"fid": frechet_distance_between(statistics_of(features), self._real_of(channels))}
        if self.network.classifier is not None and channels == 3:
            best = best_guesses(features, self.network.classifier)
            figures["dogs"] = shares_of(best, classes=DOGS, own=[None] * len(features)).in_classes
        return figures


def judge_every(crop_set: CropSet, images: int, *, device: str = "auto") -> JudgeEvery:
    """Return who judges a training on `crop_set` after every so many images.

    Raises:
        DogsganError: the network cannot be opened.
    """
    return JudgeEvery(Evaluator(crop_set, device=device), images)


def crops_as_trained(
    crop_set: CropSet, rows: np.ndarray, *, channels: int
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield names and crops of a set, H×W×3, as a recipe with `channels` is shown them: in grey for 1."""
    for row in rows:
        crop = crop_set.pictures[[row]]
        yield f"crop {row}", in_colour(in_grey(crop) if channels == 1 else crop)[0]


class Evaluated(NamedTuple):
    """The figures of one generator of a run."""

    generator: str
    """`checkpoint`, or the name of the generator's file."""
    images_seen: int
    figures: Mapping[str, float]


@dataclass(frozen=True)
class Evaluation:
    """The figures of a run's generators, in the order of training."""

    run: Path
    network: str
    count: int
    real_count: int
    generators: tuple[Evaluated, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        rows = [{**row._asdict(), "figures": dict(row.figures)} for row in self.generators]
        return {
            "run": str(self.run),
            "network": self.network,
            "count": self.count,
            "real_count": self.real_count,
            "generators": rows,
        }

    def summary(self) -> str:
        """Return a line a generator."""
        lines = [
            f"{row.images_seen:>12,} images  Fréchet distance {row.figures['fid']:8.2f}"
            + (f"  dogs {percent(row.figures['dogs']):>6}" if "dogs" in row.figures else "")
            + f"  {row.generator}"
            for row in self.generators
        ]
        said = (
            f"{self.count:,} pictures against {self.real_count:,} crops by {self.network}: not Kaggle's score"
        )
        return "\n".join([*lines, said])


def generators_of(run: Path) -> list[tuple[Path, str]]:
    """Return a run's generators, each with what it is: those of its checkpoints, its own and the best one.

    Raises:
        DogsganError: the run has no generator.
    """
    found = [(folder / GENERATOR_FILE, "checkpoint") for folder in checkpoints(run)]
    own = (GENERATOR_FILE, BEST_GENERATOR_FILE)
    found += [(run / name, name) for name in own if (run / name).is_file()]
    if not found:
        raise DogsganError(f"{run} has no generator: train a run first, or name its folder")
    return found


def evaluate(run: Path, evaluator: Evaluator, *, device: str = "auto") -> Evaluation:
    """Evaluate every generator of a run; write `evaluation.csv` and `.png`.

    Raises:
        DogsganError: as `generators_of`.
    """
    rows, generators = [], generators_of(run)
    with progress_bar(description="evaluate", total=len(generators), unit="generators") as bar:
        for path, name in generators:
            sampler = Sampler.open(path, device=device)
            rows.append(Evaluated(name, sampler.images_seen, evaluator(sampler)))
            bar.update()
    found = Evaluation(run, evaluator.network.name, evaluator.count, evaluator.real_count, tuple(rows))
    with optional_file(run / "evaluation.csv"):
        _write_table(found, run / "evaluation.csv")
    with optional_file(run / "evaluation.png"):
        _plot(found, run / "evaluation.png")
    return found


def _write_table(found: Evaluation, path: Path) -> None:
    names = list(found.generators[0].figures)
    rows: list[list[Value]] = [["generator", "images_seen", *names]]
    for row in found.generators:
        rows.append([row.generator, row.images_seen, *(row.figures[name] for name in names)])
    write_rows(path, rows)


def _plot(found: Evaluation, path: Path) -> None:
    from matplotlib.figure import Figure  # only here: its import takes a second

    rows = sorted(found.generators, key=lambda row: row.images_seen)
    names = list(rows[0].figures)
    figure = Figure(figsize=(4.5 * len(names), 3.5), layout="constrained")
    titles = {"fid": "Fréchet distance", "dogs": "share of dogs"}
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        axes.plot([row.images_seen for row in rows], [row.figures[name] for row in rows], marker=".")
        axes.set(xlabel="images seen", title=f"{titles[name]}, {found.network}")
        axes.grid(alpha=0.3)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=100)
