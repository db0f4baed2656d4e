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
from dogsgan.files import hold, holder_of
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
    cut_log,
    newest_checkpoint,
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

    Processes that `torchrun` started train one run together, each on its share of the batch and on a GPU of
    its own, and all return the same report. Process 0 says how long; its budget counts from the start of the
    earliest. Each machine has a folder `run`, and those of the others get copies of the checkpoints.

    Raises:
        DogsganError: neither length is given; the run belongs to another recipe or data, or other processes
        have others; the recipe cannot be built; the device cannot be used.
        ProcessLost: of several processes one ended or hangs.
    """
    run, deadline = Path(run), deadline or Deadline(None)
    begun = Begun.now()
    answer = "training ends after this step, and the run is saved"
    with (
        listen_for_stop(answer, repeated_ends=processes() == 1) as wish,
        open_process_group(device) as group,
        kept_random_state(group.device),  # layers draw from torch's global generators
        _held(run, group, images, deadline),
    ):
        if group.is_distributed and deadline.keeps_back:
            passed_s = max(group.all_gather(deadline.clock() - deadline.started))
            deadline.started = deadline.clock() - passed_s
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
            if group.is_main and images is not None and state.images_seen >= images:
                return "images"
            if group.is_main and deadline.training_left_s() < step_s:
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
def _held(run: Path, group: ProcessGroup, images: int | None, deadline: Deadline) -> Iterator[None]:
    """Have process 0 hold the run folder for all that train together, and one of each other machine its own.

    Raises:
        DogsganError: another training holds it, or process 0 has no length; every process is told.
    """
    with contextlib.ExitStack() as stack:
        with group.refuses_together():
            if group.is_main:
                deadline.check_length(images)
                stack.enter_context(hold(run))
        holder = group.broadcast(holder_of(run))
        with group.refuses_together():
            if group.leads_node and holder_of(run) != holder:  # else the machines share one folder
                stack.enter_context(hold(run))
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


def _agreed(recipe: Recipe, crop_set: CropSet, run: Path, group: ProcessGroup) -> tuple[Recipe, bool]:
    """Return the recipe that all processes train, and whether any has a checkpoint to go on from.

    Raises:
        DogsganError: they were started to train different runs.
    """
    saved = newest_checkpoint(run) if (run / RECIPE_FILE).exists() else None
    place = -1 if saved is None else int(saved.name)
    offers = group.all_gather((place, recipe, crop_set.fingerprint, group.device.type))
    _, ours, fingerprint, device = offers[0]
    for rank, (_, theirs, other_fingerprint, other_device) in enumerate(offers):
        differences = ours.differences(theirs)
        if fingerprint != other_fingerprint:
            differences.append("the crop set is another one")
        if device != other_device:
            differences.append(f"device: {device} -> {other_device}")
        if differences:
            raise DogsganError(
                f"processes 0 and {rank} were started to train different runs ({'; '.join(differences)}): "
                "give every machine the same command, and a copy of one prepared set"
            )
    place, recipe, *_ = max(offers, key=lambda offer: offer[0])  # its run's, which may be an older one
    return recipe, place >= 0


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
    with group.refuses_together():
        if resume == "never" and (run / RECIPE_FILE).exists():
            raise DogsganError(
                f"{run} already holds a run: choose another --run folder, or --resume auto to go on with it"
            )
        recipe = check_same_recipe(run, recipe, fingerprint=crop_set.fingerprint)
        if not len(crop_set):
            raise DogsganError(
                f"the crop set {crop_set.path} is empty: prepare it from a source with pictures"
            )
        crop_set.refuse_other_size(recipe.data.size_px)
    recipe, is_saved = _agreed(recipe, crop_set, run, group)
    state = TrainingState(recipe, crop_set, group.device, group=group)
    if group.leads_node:
        run.mkdir(parents=True, exist_ok=True)
        sweep(run)
    if is_saved:
        restore_latest(state, run)
        if group.is_main:
            cut_log(run, images_seen=state.images_seen)
        group.say(f"going on with {run} at {state.images_seen:,} images")
    elif group.is_main:
        save_recipe(run, recipe, fingerprint=crop_set.fingerprint)
    return state
