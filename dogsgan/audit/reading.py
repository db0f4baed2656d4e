"""Both sides of an audit: opened, checked, and each picture read and decoded once.

From a pass over the real side come views, features and scores. What an audit has found so far is kept in a
work folder, so that an interrupted one goes on where it was.
"""

import contextlib
import dataclasses
import hashlib
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dogsgan.audit.evidence import Workspace
from dogsgan.audit.judgement import refuse_few
from dogsgan.audit.views import VERSION as VIEWS_VERSION
from dogsgan.audit.views import TrainingViews, cutting_views, kept_views
from dogsgan.cache import default_cache_dir, in_cache_or
from dogsgan.competition import SIZE_PX
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, open_network
from dogsgan.features.sides import Side, generated_side_of, generated_size, opened_for, real_sides_of
from dogsgan.features.weights import RELEASED, find_weights
from dogsgan.files import write_text
from dogsgan.metrics.frechet import statistics_of
from dogsgan.pictures import PIXELS, PictureReader
from dogsgan.pictures import read_generated as read_pixels
from dogsgan.progress import optional, say
from dogsgan.recognition import RealCrops, recognise
from dogsgan.score import Score, score_sides
from dogsgan.submission.labels import labelled_sample

VERSION = 5
"""To be raised when the same pixels give other evidence."""
_WORK = ".work"
_WORK_NOTE = "What an audit has found so far. It goes on from here, and removes this when it is done.\n"


@dataclass(frozen=True, eq=False)
class Inputs:
    """Both sides of an audit and the network that sees them."""

    generated: Source
    """The generated pictures that are scored."""
    reader: PictureReader
    """Those pictures, read."""
    submitted: int
    """How many generated pictures there are."""
    classes: Sequence[str | None]
    """The class that each generated picture is of, where known."""
    real: Source
    held_out: Source | None
    network: FeatureNetwork
    size_px: int
    cache_dir: Path


def open_inputs(
    generated: Path,
    real: Path | Source,
    *,
    held_out: Path | None,
    network: str,
    weights: Path | None,
    device: str,
    cache_dir: Path | None,
    labels: Path | None,
    scored: int | None,
    seed: int,
) -> Inputs:
    """Open the inputs; see `audit` for what they are.

    Raises:
        DogsganError: one is missing or unreadable, both sides are the same pictures, the generated ones are
            of another size than the network takes, or there are too few.
    """
    sources = open_source(generated), open_source(real)
    unseen = open_source(held_out) if held_out is not None else None
    cache_dir = default_cache_dir(cache_dir)
    some, classes = labelled_sample(sources[0], labels, count=scored, seed=seed)
    reader = PictureReader(some)
    opened = opened_for(reader, network, weights=weights, device=device, cache_dir=cache_dir)
    if generated.resolve() == sources[1].path.resolve() or _same_pictures(*sources):
        raise DogsganError(
            f"{generated} and {sources[1].path} are the same pictures: give the training set as --real"
        )
    if unseen is not None and _same_pictures(unseen, sources[1]):
        raise DogsganError(
            f"{unseen.path} is the training set: --held-out takes pictures that were not trained on"
        )
    refuse_few(len(sources[1].images))
    size_px = generated_size(reader, opened)
    return Inputs(
        generated=some,
        reader=read_pixels(reader, size_px),
        submitted=len(sources[0].images),
        classes=classes,
        real=sources[1],
        held_out=unseen,
        network=opened,
        size_px=size_px,
        cache_dir=cache_dir,
    )


def _same_pictures(one: Source, other: Source) -> bool:
    """Return whether two sources hold the same pictures.

    All are read only where names and the first one agree.
    """
    if [image.name for image in one.images] != [image.name for image in other.images]:
        return False
    if one.digest(one.images[0]) != other.digest(other.images[0]):
        return False
    return one.fingerprint() == other.fingerprint()


@contextlib.contextmanager
def work_folder(out: Path | None) -> Iterator[Path]:
    """Yield a folder for what an audit finds; it stays if the audit is interrupted, and goes when it ends."""
    if out is None:
        with tempfile.TemporaryDirectory() as passing:
            yield Path(passing)
        return
    folder = Path(out) / _WORK
    write_text(folder / "README.txt", _WORK_NOTE)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def workspace_of(inputs: Inputs, folder: Path, *decisive: object) -> Workspace:
    """Return the place in a work folder where the same audit finds what it has found before.

    `decisive` is what decides the findings beside the inputs, which have been read.
    """
    contents = inputs.generated.fingerprint(), inputs.real.fingerprint()
    parts = (VERSION, VIEWS_VERSION, PIXELS, inputs.size_px, *decisive, inputs.network.identity, *contents)
    key = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
    if (folder / key).is_dir():
        say("going on where an audit of the same pictures was interrupted")
    return Workspace(folder / key)


@dataclass(frozen=True, eq=False)
class RealSide:
    """The training pictures: their views, and their features by each network."""

    views: TrainingViews
    networks: Sequence[FeatureNetwork]
    """The chosen one, then the competition's others whose weights are at hand."""
    sides: Sequence[Side]
    """Of each network."""
    names: Sequence[str]
    """Those of the pictures that have features, M."""
    warnings: Sequence[str]
    crops: RealCrops
    """What recognition looks at, cut in the same pass unless its guesses are kept."""

    @property
    def features(self) -> np.ndarray:
        """Those of the chosen network, M×D float32."""
        assert self.sides[0].features is not None
        return self.sides[0].features

    def repeats(self, groups: np.ndarray) -> np.ndarray:
        """Return which of the pictures with features duplicate an earlier one, M bool.

        `groups`, P, are those of the pictures that have views. Others may be missing there than among the
        features, and a picture without views duplicates none.
        """
        group_of = dict(zip(self.views.names, groups.tolist(), strict=True))
        of_rows = [group_of.get(name, -1 - row) for row, name in enumerate(self.names)]
        excluded = np.ones(len(of_rows), dtype=bool)
        excluded[np.unique(of_rows, return_index=True)[1]] = False
        return excluded


def read_real(inputs: Inputs, folder: Path, *, others: bool, device: str, left_out: list[str]) -> RealSide:
    """Read the training pictures in one pass, for views and all networks; what is kept is not made anew.

    Nobody asked for `others`, so one that fails (damaged weights, no memory) adds a line to `left_out` and
    costs nothing else. `folder` is for views that cannot be kept in the cache folder.
    """
    networks = [inputs.network, *(_others(inputs, device, left_out) if others else [])]

    def read(some: Sequence[FeatureNetwork]) -> RealSide:
        return in_cache_or(lambda place: _read_real(inputs, some, place), inputs.cache_dir / "audit", folder)

    if len(networks) > 1:
        names = ", ".join(network.name for network in networks[1:])
        with optional(f"the score by the network {names}", left_out):
            return read(networks)
    return read(networks[:1])


def _read_real(inputs: Inputs, networks: Sequence[FeatureNetwork], folder: Path) -> RealSide:
    source, size_px, cache_dir = inputs.real, inputs.size_px, inputs.cache_dir
    crops = RealCrops(source, inputs.network, count=len(inputs.classes), size_px=size_px, cache_dir=cache_dir)
    consumers = crops.wanted(asked=False)
    with cutting_views(source, size_px=size_px, folder=folder) as cutters:
        sides, warnings = real_sides_of(
            source, networks, size_px=size_px, cache_dir=cache_dir, consumers=[*consumers, *cutters]
        )
    views, rows = kept_views(source, size_px=size_px, folder=folder), sides[0].rows
    assert views is not None, "just written"
    assert rows is not None
    return RealSide(views, networks, sides, [source.images[row].name for row in rows], warnings, crops)


def _others(inputs: Inputs, device: str, left_out: list[str]) -> list[FeatureNetwork]:
    """Return the competition's other networks whose weights are at hand."""
    opened = []
    for name in RELEASED:
        if inputs.size_px != SIZE_PX or name == inputs.network.name:
            continue
        with contextlib.suppress(DogsganError):
            find_weights(name, cache_dir=inputs.cache_dir)
            with optional(f"the score by the network {name}", left_out):
                opened.append(open_network(name, device=device, cache_dir=inputs.cache_dir))
    return opened


def read_generated(inputs: Inputs, real: RealSide, workspace: Workspace) -> tuple[np.ndarray, float, Score]:
    """Return the generated pictures' features by the chosen network, N×D float32, and what they tell at once.

    That is the seconds that the network took for one, and the score. The features are kept in the workspace.
    """
    fresh: list[Side] = []  # with its statistics, unless an earlier call extracted the features

    def extracted() -> dict[str, np.ndarray]:
        began = time.perf_counter()
        side, noted = generated_side_of(inputs.reader, inputs.network)
        assert side.features is not None
        fresh.append(side)
        return {
            "features": side.features,
            "warnings": np.array(noted, dtype=str),
            "seconds": np.array(time.perf_counter() - began),
        }

    kept = workspace.stage("generated-features", extracted)
    features = kept["features"]
    if not fresh:
        fresh.append(Side(statistics_of(features), features, jpegs_by_pillow=inputs.reader.jpegs_by_pillow))
    [side] = fresh
    notes = [inputs.network.note] if inputs.network.note else []
    warnings = [*notes, *kept["warnings"].tolist(), *real.warnings]
    recognition = None
    with optional("recognition", warnings):
        recognition = recognise(
            inputs.generated,
            side,
            real.crops,
            real.sides[0],
            inputs.network,
            generated_classes=inputs.classes,
        )
    score = score_sides(side, real.sides[0], inputs.network, warnings=warnings)
    score = dataclasses.replace(score, recognition=recognition)
    return features, float(kept["seconds"]) / len(features), score


def other_scores(inputs: Inputs, real: RealSide, left_out: list[str]) -> list[Score]:
    """Return the scores by the other networks, of the pictures that were read; see `read_real`."""
    scores: list[Score] = []
    for network, side in zip(real.networks[1:], real.sides[1:], strict=True):
        with optional(f"the score by the network {network.name}", left_out):
            generated, noted = generated_side_of(inputs.reader, network)
            scores.append(score_sides(generated, side, network, warnings=[*noted, *real.warnings]))
    return scores
