"""Both sides of an audit, each picture read and decoded once: pixels, features, training views and scores."""

import contextlib
import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogsgan.audit.copies.views import TrainingViews, cutting_views, kept_views
from dogsgan.audit.inputs import Inputs
from dogsgan.audit.workspace import Workspace
from dogsgan.cache import in_cache_or
from dogsgan.competition import SIZE_PX
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side
from dogsgan.features.networks import FeatureNetwork, open_network
from dogsgan.features.sides import generated_side_of, real_sides_of
from dogsgan.features.weights import RELEASED, find_weights
from dogsgan.metrics.frechet import statistics_of
from dogsgan.progress import optional
from dogsgan.recognition import RealCrops, recognise
from dogsgan.score import Score, score_sides


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


class GeneratedSide(NamedTuple):
    """The generated pictures' features by the chosen network, with the score."""

    features: np.ndarray
    """N×D float32."""
    seconds_a_picture: float
    """What the network took for one."""
    score: Score


def read_generated(inputs: Inputs, real: RealSide, workspace: Workspace) -> GeneratedSide:
    """Return the generated pictures' features, which are kept in the workspace, and the score."""

    def extracted() -> dict[str, np.ndarray]:
        began = time.perf_counter()
        side, noted = generated_side_of(inputs.reader, inputs.network)
        assert side.features is not None
        return {
            "features": side.features,
            "warnings": np.array(noted, dtype=str),
            "seconds": np.array(time.perf_counter() - began),
        }

    kept = workspace.stage("generated-features", extracted)
    features = kept["features"]
    side = Side(statistics_of(features), features, jpegs_by_pillow=inputs.reader.jpegs_by_pillow)
    warnings = [*inputs.notes, *kept["warnings"].tolist(), *real.warnings]
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
    return GeneratedSide(features, float(kept["seconds"]) / len(features), score)


def other_scores(inputs: Inputs, real: RealSide, left_out: list[str]) -> list[Score]:
    """Return the scores by the other networks, of the pictures that were read; see `read_real`."""
    scores: list[Score] = []
    for network, side in zip(real.networks[1:], real.sides[1:], strict=True):
        with optional(f"the score by the network {network.name}", left_out):
            generated, noted = generated_side_of(inputs.reader, network)
            scores.append(score_sides(generated, side, network, warnings=[*noted, *real.warnings]))
    return scores
