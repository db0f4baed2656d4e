"""The time that an audit takes, measured on a few pictures beforehand, and the sample that fits a limit."""

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.copies.evidence import PICTURES_AT_ONCE
from dogsgan.audit.copies.neighbours import ROWS_AT_ONCE as NEIGHBOURS_AT_ONCE
from dogsgan.audit.copies.perceptual_hash import HASHES_AT_ONCE
from dogsgan.audit.copies.search import VIEWS_AT_ONCE, find_candidates
from dogsgan.audit.copies.verification import PICTURES_AT_ONCE as ALIGNED_AT_ONCE
from dogsgan.audit.copies.verification import verify
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.audit.inputs import Inputs
from dogsgan.audit.workspace import Workspace
from dogsgan.progress import say

AUDIT_LIMIT_S = 300.0
"""What `run` gives the audit after the score."""
FEWEST_LOOKED_AT, FEWEST_NULL = 200, 400
"""However little time there is, so many generated and training pictures are looked at."""
_FEW, _MANY, _VIEWS = 8, 72, 512  # pictures and views of the measurement
_HASH_S = 1e-3  # a picture and its mirror image hashed
_HASHES_COMPARED_S = 1.6e-8  # two pictures' hashes
_FEATURES_COMPARED_S = 1e-10  # one feature of two pictures


@dataclass(frozen=True)
class Speed:
    """Seconds that one unit of the work takes here."""

    network: float
    """A picture through the network."""
    bands: float
    """A training view prepared for the search."""
    search: float
    """A picture compared with a view in pixels."""
    alignment: float
    """A picture aligned with its candidates."""


class Plan(NamedTuple):
    """The stages after the score: seconds in all, and those of an item of each progress bar."""

    seconds: float
    rates: dict[str, float]


def planned_audit(
    inputs: Inputs,
    views: TrainingViews,
    workspace: Workspace,
    *,
    network_s: float,
    sample: int | None,
    null: int,
    limit_s: float | None,
    seed: int,
) -> tuple[np.ndarray, int, Plan]:
    """Say how long the audit takes; return which pictures it looks at, how many real ones, and the plan.

    Where that is more than `limit_s` and no sample is asked for, a sample is taken that fits. An audit that
    goes on takes the one that it began with.
    """
    generated = len(inputs.generated.images)
    looked_at, null = min(sample or generated, generated), min(null, len(views.names))
    assert inputs.table.pixels is not None
    speed = measure_speed(inputs.table.pixels, views, network_s=network_s, device=inputs.network.device)

    def plan_of(some: int, real: int) -> Plan:
        dimension = inputs.network.dimension
        return plan(speed, views, looked_at=some, null=real, generated=generated, dimension=dimension)

    def fitting() -> dict[str, np.ndarray]:
        if limit_s is None or sample is not None:
            return {"count": np.array([looked_at, null])}
        return {"count": np.array(sample_within(limit_s, plan_of, pictures=looked_at, null=null))}

    fits, null = (int(count) for count in workspace.stage("sample", fitting)["count"])
    planned = plan_of(fits, null)
    whole = plan_of(looked_at, null)
    if fits < looked_at:
        say(
            f"an audit of all {generated:,} pictures would take {_in_words(whole.seconds)}: it looks at "
            f"{fits:,} of them, chosen by chance; `dogsgan audit` without --sample looks at all"
        )
    say(f"the audit of {fits:,} pictures takes {_in_words(planned.seconds)}")
    chosen = np.sort(np.random.default_rng(seed).permutation(generated)[:fits])
    return chosen, null, planned


def measure_speed(
    pictures: np.ndarray, views: TrainingViews, *, network_s: float, device: torch.device
) -> Speed:
    """Measure how fast this machine is, on a few pictures; `network_s` is what the network takes for one."""
    few, many = (np.resize(pictures[:_MANY], (count, *pictures.shape[1:])) for count in (_FEW, _MANY))
    part = dataclasses.replace(
        views,
        pictures=views.pictures[:_VIEWS],
        picture_index=views.picture_index[:_VIEWS],
        form=views.form[:_VIEWS],
    )
    candidates = find_candidates(few, part, device=device)  # prepares what later calls reuse
    for_few = _seconds(lambda: find_candidates(few, part, device=device))
    for_many = _seconds(lambda: find_candidates(many, part, device=device))
    pair = max(0.0, for_many - for_few) / ((_MANY - _FEW) * len(part))
    return Speed(
        network=network_s,
        bands=max(0.0, for_few - pair * _FEW * len(part)) / len(part),
        search=pair,
        alignment=_seconds(lambda: verify(few, part, candidates, device=device)) / _FEW,
    )


def plan(
    speed: Speed, views: TrainingViews, *, looked_at: int, null: int, generated: int, dimension: int
) -> Plan:
    """Return the time of an audit of `looked_at` of the `generated` pictures with a null sample of `null`.

    The stages are those that open a progress bar.
    """
    count, real = len(views), len(views.names)
    hashes, features = _HASHES_COMPARED_S, _FEATURES_COMPARED_S * dimension
    work = {  # seconds, items of the bar
        "features: pictures": (speed.network * (looked_at + 2 * null), looked_at + 2 * null),
        "duplicates: hashes of generated pictures": (_HASH_S * looked_at, looked_at),
        "duplicates: hashes of training views": (_HASH_S * count, count),
        "duplicates: training with training": (hashes * count**2, count**2 / HASHES_AT_ONCE),
        "duplicates: generated with training": (
            2 * hashes * count * looked_at,
            2 * count * looked_at / HASHES_AT_ONCE,
        ),
        "whole set: generated to real": (features * generated * real, generated * real / 2048**2),
        "whole set: real to real": (features * real**2 / 2, real**2 / 2048**2 / 2),
        "whole set: generated to generated": (features * generated**2 / 2, generated**2 / 2048**2 / 2),
        "whole set: overlap": (features * generated * real, generated * real / 2048**2),
    }
    for name, pictures in (("generated", looked_at), ("real", null)):
        parts = math.ceil(pictures / PICTURES_AT_ONCE)
        work |= {
            f"{name}: nearest by features": (
                2 * features * pictures * real,
                pictures / NEIGHBOURS_AT_ONCE,
            ),
            f"{name}: search in pixels": (
                (speed.bands * parts + speed.search * pictures) * count,
                parts * math.ceil(count / VIEWS_AT_ONCE),
            ),
            f"{name}: alignment": (speed.alignment * pictures, pictures / ALIGNED_AT_ONCE),
        }
    return Plan(
        sum(seconds for seconds, _ in work.values()),
        {name: seconds / max(1, math.ceil(items)) for name, (seconds, items) in work.items()},
    )


def sample_within(
    limit_s: float, plan_of: Callable[[int, int], Plan], *, pictures: int, null: int
) -> tuple[int, int]:
    """Return how many of the pictures and how many of the null sample can be looked at within a limit.

    The null sample shrinks first, and none below `FEWEST_NULL` and `FEWEST_LOOKED_AT`.
    """
    while null > FEWEST_NULL and plan_of(pictures, null).seconds > limit_s:
        null = max(FEWEST_NULL, null * 4 // 5)
    while pictures > FEWEST_LOOKED_AT and plan_of(pictures, null).seconds > limit_s:
        pictures = max(FEWEST_LOOKED_AT, pictures * 9 // 10)
    return pictures, null


def _in_words(seconds: float) -> str:
    """Return an estimated duration for people."""
    return f"about {max(1, round(seconds))} s" if seconds < 90 else f"about {round(seconds / 60):,} minutes"


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
