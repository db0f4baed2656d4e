"""The training loop: from a crop set and a recipe to a run folder with an averaged generator.

Under `torchrun` every process goes through it in step with the others (`distributed.py`).
"""

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from torch import nn

from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.device import fastest, is_out_of_memory, kept_random_state
from dogsgan.errors import DogsganError, first_line
from dogsgan.files import hold
from dogsgan.progress import optional, progress_bar
from dogsgan.training.averages import choosing_s, chosen_average
from dogsgan.training.checkpoint import sweep
from dogsgan.training.checkpoint_manager import CheckpointManager, restore_latest
from dogsgan.training.compiling import compile_networks, give_up_compiling
from dogsgan.training.deadline import Deadline
from dogsgan.training.distributed import ProcessGroup, is_lost, open_process_group, processes
from dogsgan.training.interrupts import STOP_SIGNALS, listen_for_stop
from dogsgan.training.judging import JudgeEvery, Judging
from dogsgan.training.logger import Begun, TrainingLogger
from dogsgan.training.losses import build_loss
from dogsgan.training.outlets import opened_outlets
from dogsgan.training.planning import LengthPlan
from dogsgan.training.run_folder import (
    PLOT_FILE,
    RECIPE_FILE,
    TrainReport,
    check_same_recipe,
    checkpoints,
    cut_log,
    plot_losses,
    save_recipe,
)
from dogsgan.training.state import TrainingState
from dogsgan.training.step import train_step

Finishing: TypeAlias = Callable[[nn.Module], float]
"""Takes the averaged generator and returns the seconds that sampling it to the end will take."""

DIVERGED, OUT_OF_MEMORY = "diverged", "out-of-memory"
READ_INTERVAL_S = 1.0  # how often the host waits for the device to read losses
REASONS = (*STOP_SIGNALS, "budget", "images")  # a later one outranks those before it


def train(
    recipe: Recipe,
    crop_set: CropSet,
    run: Path,
    *,
    images: int | None = None,  # total of the run, resumed or not
    deadline: Deadline | None = None,  # when everything after training is done, too
    resume: str = "auto",  # `auto` goes on where a run stands, `never` wants a fresh folder
    device: str = "auto",
    finishing_s: Finishing | None = None,  # measures what follows training
    judged: JudgeEvery | None = None,
    outlets: Sequence[str] = (),  # of `outlets.OUTLETS`
) -> TrainReport:
    """Train until the images or the budget run out, somebody asks to stop, or it cannot go on.

    Whatever ends it, the run folder holds the last good averaged generator as `generator.safetensors`, and
    where it is `judged`, the best one as `best-generator.safetensors`. Judging is within the budget.

    Processes that `torchrun` started on one machine train one run together, each on its share of the batch
    and on a GPU of its own, and all return the same report.

    Raises:
        DogsganError: neither length is given; the run belongs to another recipe or data; the recipe cannot
        be built; the device cannot be used.
        ProcessLost: of several processes one ended or hangs.
    """
    run, deadline = Path(run), deadline or Deadline(None)
    deadline.check_length(images)
    begun = Begun.now()
    answer = "training ends after this step, and the run is saved"
    with (
        listen_for_stop(answer, repeated_ends=processes() == 1) as wish,
        open_process_group(device) as group,
        kept_random_state(group.device),  # layers draw from torch's global generators
        _held(run, group),
    ):
        state = _open_run(recipe, crop_set, run, resume=resume, group=group)
        if recipe.training.compile:
            compile_networks(state.generator, state.discriminator, device=state.device)
        manager = CheckpointManager(state, run, deadline)
        if not manager.has_saved():
            manager.save()  # something to return to, and something to sample, from the first second

        choice_s = functools.cache(lambda: choosing_s(state))  # it takes as long at every tick

        def measure_finishing() -> None:
            if finishing_s and deadline.budget_s is not None and deadline.keeps_back and group.is_main:
                deadline.note_finishing(finishing_s(state.averaged.module) + choice_s())

        def reason_to_stop(step_s: float) -> str | None:
            if images is not None and state.images_seen >= images:
                return "images"
            if deadline.training_left_s() < step_s:
                return "budget"
            return wish.signal_name

        measure_finishing()
        plan = LengthPlan(state, deadline, images=images)
        judging = Judging(judged, state, run, deadline)
        with (
            opened_outlets(outlets if group.is_main else (), run, state) as opened,
            _bar(group, total=images, initial=state.images_seen) as bar,
        ):
            logger = TrainingLogger(state, run, deadline, begun, bar, judging=judging, outlets=opened)
            logger.show_start(crop_set)
            with fastest():
                stopped_by = _train_until(reason_to_stop, state, manager, logger, measure_finishing, plan)

            # Leave everything that a later run, a sampler and a person need.
            if group.is_broken:
                manager.give_up_to_last_save()
            else:
                _finish(stopped_by, state, manager, logger)
            if group.is_main:
                with optional(PLOT_FILE):
                    plot_losses(run)
    seconds = time.monotonic() - begun.clock_s
    return TrainReport(
        run, state.images_seen, state.steps, stopped_by, seconds, state.rollbacks, manager.failed
    )


@contextlib.contextmanager
def _held(run: Path, group: ProcessGroup) -> Iterator[None]:
    """Have process 0 hold the run folder for all that train together.

    Raises:
        DogsganError: another training holds it; every process of this one is told.
    """
    with contextlib.ExitStack() as stack:
        refusal = None
        if group.is_main:
            try:
                stack.enter_context(hold(run))
            except DogsganError as error:
                refusal = error
        if group.broadcast(int(refusal is not None)):
            raise refusal or DogsganError(f"{run} is in use or cannot be written: see what process 0 says")
        yield


def _train_until(
    reason_to_stop: Callable[[float], str | None],  # given the seconds of the last step
    state: TrainingState,
    manager: CheckpointManager,
    logger: TrainingLogger,
    measure_finishing: Callable[[], None],
    plan: LengthPlan,
) -> str:
    """Step until there is a reason to stop, and return it."""
    loss, step_s, group = build_loss(state.recipe.training), 0.0, state.group
    clock = logger.deadline.clock
    while True:
        try:
            # Stop, and read the losses now and then, when any process has a reason to.
            since_read_s = time.monotonic() - logger.last_read
            reason, read_due = _agree(group, reason_to_stop(step_s), since_read_s > READ_INTERVAL_S)
            if reason:
                return reason

            # Train.
            step_began = clock()
            logger.add(train_step(state, loss))
            step_s = clock() - step_began

            # Go back to the last good state if the losses are none any more.
            tick_due, save_due, planned = logger.is_due(), manager.is_due(), False
            if tick_due or save_due or read_due:
                good = logger.read() and (not save_due or group.all_true(state.is_finite()))
                if not good:
                    rolled_back = manager.roll_back()
                    logger.restart()
                    if not rolled_back:
                        return DIVERGED
                    continue

            # Write what is due.
            if tick_due:
                state.note_overfitting()
                logger.tick()
                with optional("the measurement of what follows training"):
                    measure_finishing()
                planned = plan.fix()
            if save_due or planned:
                manager.save()
        except Exception as error:
            torchs_own = not isinstance(error, DogsganError) and not is_lost(error)
            if torchs_own and give_up_compiling(*state.networks().values()):
                state.discriminator.requires_grad_(True)  # the generator's step may have been left midway
                manager.restore()
                logger.restart()
                group.say(
                    f"training.compile failed ({first_line(error)}): going on without it from "
                    f"{state.images_seen:,} images"
                )
                continue
            if not isinstance(error, RuntimeError | MemoryError):
                raise
            if is_out_of_memory(error):
                group.note_out_of_memory()
            elif not (is_lost(error) and group.is_out_of_memory_elsewhere()):
                raise
            group.say(
                f"out of memory at {state.images_seen:,} images: ending with the last good generator; "
                "a smaller training.batch_size needs less"
            )
            return OUT_OF_MEMORY


def _agree(group: ProcessGroup, reason: str | None, read_due: bool) -> tuple[str | None, bool]:
    """Return the weightiest reason to stop that any process has, and whether any wants to read."""
    rank = REASONS.index(reason) + 1 if reason else 0
    rank, reads = group.all_reduce_max(rank, int(read_due))
    return (REASONS[rank - 1] if rank else None), bool(reads)


def _finish(
    stopped_by: str, state: TrainingState, manager: CheckpointManager, logger: TrainingLogger
) -> None:
    """Save the last state and what it shows, or return to the last good one."""
    if stopped_by == OUT_OF_MEMORY or not (logger.read() and state.group.all_true(state.is_finite())):
        manager.restore()
        logger.restart()
    if logger.has_news():
        logger.tick()
    manager.save(published=chosen_average(state))


def _bar(group: ProcessGroup, *, total: int | None, initial: int) -> contextlib.AbstractContextManager[Any]:
    """Return the progress bar of the process that shows one."""
    if not group.is_main:
        return contextlib.nullcontext()
    bar: contextlib.AbstractContextManager[Any] = progress_bar(
        description="train", total=total, initial=initial
    )
    return bar


def _open_run(
    recipe: Recipe, crop_set: CropSet, run: Path, *, resume: str, group: ProcessGroup
) -> TrainingState:
    """Begin a run in an empty folder, or go on with the one that stands there."""
    begun_before = bool(group.broadcast((run / RECIPE_FILE).exists()))
    if begun_before and resume == "never":
        raise DogsganError(
            f"{run} already holds a run: choose another --run folder, or --resume auto to go on with it"
        )
    if begun_before:
        recipe = check_same_recipe(run, recipe, fingerprint=crop_set.fingerprint)
    if not len(crop_set):
        raise DogsganError(f"the crop set {crop_set.path} is empty: prepare it from a source with pictures")
    crop_set.refuse_other_size(recipe.data.size_px)
    state = TrainingState(recipe, crop_set, group.device, group=group)
    if group.is_main:
        run.mkdir(parents=True, exist_ok=True)
        sweep(run)
    if group.broadcast(begun_before and bool(checkpoints(run))):
        restore_latest(state, run)
        if group.is_main:
            cut_log(run, images_seen=state.images_seen)
        group.say(f"going on with {run} at {state.images_seen:,} images")
    elif group.is_main:
        save_recipe(run, recipe, fingerprint=crop_set.fingerprint)
    return state
