"""What a kernel has to work with: the GPUs on which a real operation runs, and how fast the CPU samples."""

from collections.abc import Iterable

from dogsgan.config import Recipe
from dogsgan.kernel.inside import launch
from dogsgan.kernel.inside.session import Session

LIST_LIMIT_S, PROBE_LIMIT_S, MEASURE_LIMIT_S = 300.0, 180.0, 300.0
UNMEASURED_SHARE = 0.1  # of the budget, kept back for sampling where it could not be timed


def list_gpus(session: Session) -> range:
    """Return the numbers of the GPUs that torch lists; none where it fails at that."""
    ended = session.run("survey", {}, stop_at=session.within(LIST_LIMIT_S), gpus=None)
    if ended.answered_after_s is not None:
        session.clock.startup_s = ended.answered_after_s
    if ended.answer is None:
        session.note(f"torch cannot be asked for GPUs: {ended.reason()}")
        return range(0)
    return range(ended.answer["gpus"])


def working_gpus(session: Session, candidates: Iterable[int]) -> list[int]:
    """Return those on which a convolution and its gradient run, each tried in a process of its own."""
    working = []
    for gpu in candidates:
        ended = session.run("probe", {}, stop_at=session.within(PROBE_LIMIT_S), gpus=[gpu])
        if ended.answer is not None and ended.answer["works"]:
            working.append(gpu)
            session.log.say(f"GPU {gpu}: {ended.answer['name']}, {ended.answer['memory_gb']} GB, works")
        else:
            reason = "no operation runs on it" if ended.answer else ended.reason()
            session.note(f"GPU {gpu} is listed but not used: {reason}")
    return working if launch.trains_in_parallel() else working[:1]


def measure_rescue(session: Session, recipe: Recipe) -> None:
    """Time on the CPU what sampling would take, and have the clock keep that back."""
    clock, count = session.clock, session.settings.count
    ended = session.run(
        "measure", {"recipe": recipe.to_json(), "count": count}, stop_at=session.within(MEASURE_LIMIT_S)
    )
    if ended.answer is None:
        clock.finishing_s = UNMEASURED_SHARE * session.settings.budget_s
        session.note(f"sampling on the CPU could not be timed ({ended.reason()}): more time is kept back")
    else:
        clock.finishing_s = ended.answer["finishing_s"]
        clock.startup_s = max(clock.startup_s, ended.answer["imported_after_s"])
    session.log.say(f"{clock.rescue_s:.0f} s are kept back for sampling {count:,} pictures on the CPU")
