"""The machine of a kernel: the GPUs on which a real operation runs, and how fast the CPU samples."""

import dataclasses
from collections.abc import Iterable
from typing import Any

from dogsgan.config import Recipe
from dogsgan.presets import preset
from dogsgan.supervise.session import Session

SURVEY_LIMIT_S, PROBE_LIMIT_S = 300.0, 180.0
SMALLEST = "demo"  # the preset that samples fastest
UNTIMED_SHARE = 0.1  # of the budget, kept back for sampling where it could not be timed


def choose_machine(
    session: Session, recipe: Recipe, cpu_recipe: Recipe, *, count: int
) -> tuple[Recipe, list[int]]:
    """Return the recipe to train and the GPUs to train it on; the clock keeps back what a rescue takes."""
    request = {"recipe": recipe.to_json(), "cpu_recipe": cpu_recipe.to_json(), "count": count}
    ended = session.run("survey", request, stop_at=session.clock.within(SURVEY_LIMIT_S))
    surveyed = ended.answer or {}
    if not surveyed:
        session.note(f"torch cannot be asked for GPUs: {ended.reason()}")
    listed = surveyed.get("gpus", 0)
    gpus = working_gpus(session, range(listed))
    chosen = recipe if gpus else cpu_recipe
    if not gpus:
        session.note(f"no GPU works ({listed} listed): {chosen.name} on the CPU, which is slower")
    if surveyed.get("recipe") == chosen.name:
        _keep_back(session, surveyed, count=count)
    else:
        time_rescue(session, chosen, count=count)
    return (chosen if gpus else _in_time(session, chosen, count=count)), gpus


def _in_time(session: Session, recipe: Recipe, *, count: int) -> Recipe:
    """Return what a CPU can sample within the budget: the recipe, or else the smallest one of its kind."""
    clock = session.clock
    if clock.rescue_s < clock.budget_s:
        return recipe
    problem = f"WARNING: sampling with {recipe.name} takes {clock.finishing_s:.0f} s of {clock.budget_s:.0f}"
    small = preset(SMALLEST)
    if (recipe.data.size_px, recipe.data.channels) != (small.data.size_px, small.data.channels):
        session.note(f"{problem}: images.zip may not be there in time")
        return recipe
    session.note(f"{problem}: {small.name} is trained instead")
    model = dataclasses.replace(small.model, conditional=recipe.model.conditional)
    small = dataclasses.replace(small, data=recipe.data, model=model)
    time_rescue(session, small, count=count)
    return small


def working_gpus(session: Session, candidates: Iterable[int]) -> list[int]:
    """Return those on which a convolution and its gradient run, each tried in a process of its own."""
    working = []
    for gpu in candidates:
        ended = session.run("probe", {}, stop_at=session.clock.within(PROBE_LIMIT_S), gpus=[gpu])
        if ended.answer is not None and ended.answer["works"]:
            working.append(gpu)
            session.log.say(f"GPU {gpu}: {ended.answer['name']}, {ended.answer['memory_gb']} GB, works")
        else:
            reason = "no operation runs on it" if ended.answer else ended.reason()
            session.note(f"GPU {gpu} is listed but not used: {reason}")
    return working


def time_rescue(session: Session, recipe: Recipe, *, count: int) -> None:
    """Time on the CPU what sampling would take, and have the clock keep that back."""
    request = {"recipe": recipe.to_json(), "count": count}
    ended = session.run("measure", request, stop_at=session.clock.within(SURVEY_LIMIT_S), gpus=[])
    if ended.answer is None:
        session.note(f"sampling on the CPU could not be timed ({ended.reason()}): more time is kept back")
        session.clock.finishing_s = UNTIMED_SHARE * session.clock.budget_s
    else:
        _keep_back(session, ended.answer, count=count)


def _keep_back(session: Session, timed: dict[str, Any], *, count: int) -> None:
    session.clock.finishing_s = timed["finishing_s"]
    seconds = session.clock.rescue_s
    session.log.say(f"{seconds:.0f} s are kept back for sampling {count:,} pictures on the CPU")
