"""The time that an audit takes, measured on a few pictures beforehand, and the sample that fits a limit."""

import dataclasses
import math
import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.duplicates import HASHES_AT_ONCE
from dogsgan.audit.evidence import PICTURES_AT_ONCE, Workspace, rows_at_once
from dogsgan.audit.reading import Inputs
from dogsgan.audit.search import find_candidates, views_at_once
from dogsgan.audit.verification import pictures_at_once, verify
from dogsgan.audit.views import TrainingViews
from dogsgan.blockwise import CPU
from dogsgan.progress import say

AUDIT_LIMIT_S = 300.0
"""What `run` gives the audit after the score."""
FEWEST_LOOKED_AT, FEWEST_NULL = 200, 400
"""However little time there is, so many generated and training pictures are looked at."""
_FEW, _MANY, _VIEWS = 8, 72, 512  # pictures and views of the measurement
_HASH_S = 1e-3  # a picture and its mirror image hashed
_HASHES_COMPARED_S = 1.6e-8  # two pictures' hashes
_FEATURES_COMPARED_S = 1e-10  # one feature of two pictures


class Speed(NamedTuple):
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
    most, null = min(sample or generated, generated), min(null, len(views.names))
    assert inputs.reader.pixels is not None
    device, dimension = inputs.network.device, inputs.network.dimension
    speed = measure_speed(inputs.reader.pixels, views, network_s=network_s, device=device)
    plan_of = partial(plan, speed, views, generated=generated, dimension=dimension, device=device)

    def fitting() -> dict[str, np.ndarray]:
        if limit_s is None or sample is not None:
            return {"count": np.array([most, null])}
        return {"count": np.array(sample_within(limit_s, plan_of, looked_at=most, null=null))}

    fits, null = (int(count) for count in workspace.stage("sample", fitting)["count"])
    planned = plan_of(looked_at=fits, null=null)
    if fits < most:
        seconds = plan_of(looked_at=most, null=null).seconds
        say(
            f"an audit of all {generated:,} pictures would take {_in_words(seconds)}: it looks at "
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
    for_few = _seconds(find_candidates, few, part, device=device)
    for_many = _seconds(find_candidates, many, part, device=device)
    for_alignment = _seconds(verify, few, part, candidates, device=device)
    pair = max(0.0, for_many - for_few) / ((_MANY - _FEW) * len(part))
    bands = max(0.0, for_few - pair * _FEW * len(part)) / len(part)
    return Speed(network=network_s, bands=bands, search=pair, alignment=for_alignment / _FEW)


def plan(
    speed: Speed,
    views: TrainingViews,
    *,
    looked_at: int,
    null: int,
    generated: int,
    dimension: int,
    device: torch.device = CPU,
) -> Plan:
    """Return the time of an audit of `looked_at` of the `generated` pictures with a null sample of `null`.

    The stages are those that open a progress bar.
    """
    count, real = len(views), len(views.names)
    network, hashes, features = speed.network, _HASHES_COMPARED_S, _FEATURES_COMPARED_S * dimension
    across, tile = 2 * count * looked_at, 2048**2
    pairs = {"real to real": real**2 / 2, "generated to generated": generated**2 / 2}
    pairs |= dict.fromkeys(("generated to real", "overlap"), generated * real)
    work = {  # seconds, items of the bar
        "features: pictures": (network * (looked_at + 2 * null), looked_at + 2 * null),
        "duplicates: hashes of generated pictures": (_HASH_S * looked_at, looked_at),
        "duplicates: hashes of training views": (_HASH_S * count, count),
        "duplicates: training with training": (hashes * count**2, count**2 / HASHES_AT_ONCE),
        "duplicates: generated with training": (hashes * across, across / HASHES_AT_ONCE),
    } | {f"whole set: {name}": (features * some, some / tile) for name, some in pairs.items()}
    for name, pictures in (("generated", looked_at), ("real", null)):
        parts = math.ceil(pictures / PICTURES_AT_ONCE)
        nearest_s, search_s = 2 * features * pictures * real, speed.bands * parts + speed.search * pictures
        work |= {
            f"{name}: nearest by features": (nearest_s, pictures / rows_at_once(real, device)),
            f"{name}: search in pixels": (search_s * count, parts * math.ceil(count / views_at_once(device))),
            f"{name}: alignment": (speed.alignment * pictures, pictures / pictures_at_once(device)),
        }
    return Plan(
        sum(seconds for seconds, _ in work.values()),
        {name: seconds / max(1, math.ceil(items)) for name, (seconds, items) in work.items()},
    )


def sample_within(
    limit_s: float, plan_of: Callable[..., Plan], *, looked_at: int, null: int
) -> tuple[int, int]:
    """Return how many of the pictures and how many of the null sample can be looked at within a limit.

    The null sample shrinks first, and none below `FEWEST_NULL` and `FEWEST_LOOKED_AT`.
    """
    while null > FEWEST_NULL and plan_of(looked_at=looked_at, null=null).seconds > limit_s:
        null = max(FEWEST_NULL, null * 4 // 5)
    while looked_at > FEWEST_LOOKED_AT and plan_of(looked_at=looked_at, null=null).seconds > limit_s:
        looked_at = max(FEWEST_LOOKED_AT, looked_at * 9 // 10)
    return looked_at, null


def _in_words(seconds: float) -> str:
    """Return an estimated duration for people."""
    return f"about {max(1, round(seconds))} s" if seconds < 90 else f"about {round(seconds / 60):,} minutes"


def _seconds(work: Callable[..., object], *args: object, device: torch.device) -> float:
    began = time.perf_counter()
    work(*args, device=device)
    return time.perf_counter() - began
