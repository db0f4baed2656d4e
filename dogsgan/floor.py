"""The floor of the score: how far real crops of each policy are from real whole pictures.

The score's real side is whole pictures. A generator that drew crops of a policy perfectly would still be this
far away, so the floor tells which policy can win at all. What `dogsgan floor` calls.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dogsgan.competition import SIZE_PX
from dogsgan.config import DataRecipe
from dogsgan.cores import usable_cores
from dogsgan.data.prepare import crops_in_order
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, features_of_stream, open_network
from dogsgan.metrics.frechet import Statistics, frechet_distance_between, statistics_of
from dogsgan.pictures import PictureReader, whole_at

POLICIES = (
    "whole",
    "whole:0.5,context:0.5",
    "whole:0.5,square:0.5",
    "center",
    "context",
    "square",
    "squash",
)
COUNT = 3000
_FEWEST = 2


@dataclass(frozen=True)
class PolicyFloor:
    """The Fréchet distance of one policy's crops to whole pictures."""

    policy: str
    fid: float
    crops: int


@dataclass(frozen=True)
class Floor:
    """The floors of several policies by one network, the lowest first."""

    network: str
    description: str
    competition: bool
    whole: int
    """How many whole pictures the crops of the other half are held against."""
    size_px: int
    policies: tuple[PolicyFloor, ...]
    note: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "network": self.network,
            "description": self.description,
            "competition": self.competition,
            "whole": self.whole,
            "size": self.size_px,
            "policies": [dataclasses.asdict(policy) for policy in self.policies],
            "note": self.note,
        }

    def summary(self) -> str:
        """Return a table for people."""
        width = max(len("policy"), *(len(each.policy) for each in self.policies))
        own = "the competition's own network" if self.competition else "not the competition's network"
        return "\n".join(
            [
                f"Fréchet distance of real crops of {self.size_px} px to {self.whole:,} whole pictures of",
                f"the other half, by {self.network} ({own})",
                f"  {'policy':<{width}} {'distance':>9} {'crops':>7}",
                *(f"  {each.policy:<{width}} {each.fid:>9.2f} {each.crops:>7,}" for each in self.policies),
                "a perfect generator of such crops scores no better; compare equal networks and counts",
                *([self.note] if self.note else []),
            ]
        )


def floor(
    source: Path,
    *,
    policies: Sequence[str] = POLICIES,
    count: int = COUNT,
    size_px: int = SIZE_PX,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
    seed: int = 0,
) -> Floor:
    """Return how far crops of one half of a source's pictures are from whole pictures of the other half.

    At most `count` crops of each policy and `count` whole pictures, as the score reads them, are taken, in an
    order by chance. Of a picture with several boxes every box counts.

    Raises:
        DogsganError: the source is a prepared set or has too few pictures, or a policy is unknown.
    """
    opened = open_source(Path(source))
    if opened.crop_set is not None:
        raise DogsganError(
            f"{source} is a prepared set, whose pictures are crops already: give the source it was cut from"
        )
    parsed = [DataRecipe(size_px=size_px, policy=policy) for policy in policies]
    if len(opened.images) < 2 * _FEWEST:
        raise DogsganError(
            f"{source} has {len(opened.images)} pictures: a floor needs at least {2 * _FEWEST}"
        )
    judge = open_network(network, weights=weights, device=device, cache_dir=cache_dir, size_px=size_px)
    judge.refuse_other_size(size_px, remedy=f"give --size {judge.required_px}")
    order = np.random.default_rng(seed).permutation(len(opened.images))
    halves = [
        dataclasses.replace(opened, images=[opened.images[row] for row in rows])
        for rows in np.array_split(order, 2)
    ]
    whole = _whole(halves[1], judge, count=count, size_px=size_px)
    found = []
    for data in parsed:
        crops = _crops(halves[0], judge, data, count=count)
        found.append(
            PolicyFloor(str(data.crop_policy), frechet_distance_between(crops, whole), crops.count or 0)
        )
    return Floor(
        network=judge.name,
        description=judge.description,
        competition=judge.competition,
        whole=whole.count or 0,
        size_px=size_px,
        policies=tuple(sorted(found, key=lambda each: each.fid)),
        note=judge.note,
    )


def _whole(half: Source, network: FeatureNetwork, *, count: int, size_px: int) -> Statistics:
    """Return the statistics of whole pictures, read as the score reads its real side."""
    some = dataclasses.replace(half, images=half.images[:count])
    stream = PictureReader(some).stream(whole_at(some, network.real_px or size_px))
    pictures = ((some.images[row].name, picture) for row, picture in stream)
    return _statistics(pictures, network, "whole pictures", total=len(some.images))


def _crops(half: Source, network: FeatureNetwork, data: DataRecipe, *, count: int) -> Statistics:
    """Return the statistics of crops as `prepare` cuts them."""
    cropped = crops_in_order(half, data, workers=usable_cores())
    crops = itertools.islice((("a crop", picture) for each in cropped for picture, _ in each.crops), count)
    return _statistics(crops, network, f"crops, {data.crop_policy}", total=count)


def _statistics(
    pictures: Iterator[tuple[str, np.ndarray]], network: FeatureNetwork, description: str, *, total: int
) -> Statistics:
    features = features_of_stream(pictures, network, total=total, description=description)
    if len(features) < _FEWEST:
        raise DogsganError(
            f"{len(features)} {description} can be had: a floor takes {_FEWEST} at least of each kind"
        )
    return statistics_of(features)
