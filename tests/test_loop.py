"""A run stops where it should, goes on where it stood to the last bit, and survives what befalls it."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from same_run import assert_same_run
from tiny import RECIPE, crop_set

from dogsgan.errors import DogsganError
from dogsgan.models import sampling
from dogsgan.models.generator_file import GENERATOR_FILE, read_generator
from dogsgan.models.sampling import recalibrated_batch_norm_copy
from dogsgan.training import averages, checkpoint, logger, loop, step
from dogsgan.training.checkpoint import STATE
from dogsgan.training.deadline import MARGIN, Deadline
from dogsgan.training.loop import train
from dogsgan.training.losses import HingeLoss, gradient_penalty
from dogsgan.training.run_folder import BETWEEN, checkpoints, plot_losses, read_log
from dogsgan.training.schedules import LEAST_RATE
from dogsgan.training.state import TrainingState


@pytest.fixture
def data(tmp_path):
    return crop_set(tmp_path / "set")


def with_training(**changes):
    return dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))


SILENT = with_training(tick_images=10**9)


def test_a_run_leaves_everything_a_person_and_a_sampler_need(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "plot_losses", plot_losses)
    run = tmp_path / "run"
    report = train(RECIPE, data, run, images=40)
    assert (report.images_seen, report.steps, report.stopped_by) == (40, 10, "images")
    assert {path.name for path in run.iterdir()} >= {
        "recipe.json",
        "log.jsonl",
        "samples",
        "checkpoints",
        "generator.safetensors",
        "losses.png",
    }
    lines = read_log(run)
    assert [line["images_seen"] for line in lines] == [16, 32, 40]
    assert lines[0]["gamma"]["generator"].keys() == {"16"}
    assert sorted(path.name for path in (run / "samples").iterdir()) == [
        "000000016.png",
        "000000032.png",
        "000000040.png",
    ]
    assert not [path for path in run.rglob("*") if "partial" in path.name]


@pytest.mark.parametrize(("precision", "total"), [("float32", 36), ("float16", 20)])
def test_resuming_changes_no_bit(data, tmp_path, precision, total):
    recipe = with_training(precision=precision)
    train(recipe, data, tmp_path / "straight", images=total)
    for images in (12, 16, total):  # once between two checkpoints, once on one; all data are seen after 30
        train(recipe, data, tmp_path / "resumed", images=images)
    assert_same_run(tmp_path / "straight", tmp_path / "resumed")


def test_resuming_changes_no_bit_with_every_option_that_draws(data, tmp_path):
    model = dataclasses.replace(
        RECIPE.model,
        architecture="dcgan",
        noise="uniform",
        generator_slope=0.1,
        discriminator_slope=0.2,
        discriminator_batch_norm=True,
        discriminator_dropout=0.3,
    )
    recipe = with_training(loss="bce", label_noise=0.2, label_smoothing=0.1, gradient_penalty=1.0)
    recipe = dataclasses.replace(recipe, model=model)
    train(recipe, data, tmp_path / "straight", images=36)
    for images in (12, 16, 36):
        torch.manual_seed(images)  # what a process did before is of no account
        train(recipe, data, tmp_path / "resumed", images=images)
    assert_same_run(tmp_path / "straight", tmp_path / "resumed")


def test_resuming_changes_no_bit_with_what_changes_over_a_run(data, tmp_path):
    recipe = with_training(
        shared_fakes=True,
        lecam=0.3,
        diffaugment_overfitting=0.2,
        held_out=0.25,
        lr_decay=0.5,
        planned_images=48,
    )
    train(recipe, data, tmp_path / "straight", images=48)
    for images in (20, 32, 48):
        train(recipe, data, tmp_path / "resumed", images=images)
    assert_same_run(tmp_path / "straight", tmp_path / "resumed")
    last = read_log(tmp_path / "resumed")[-1]
    assert last.keys() >= {"training_logit", "held_out_logit", "overfitting", "augmented_share"}
    assert last["rates_scale"] == LEAST_RATE


def test_a_planned_length_is_kept_by_the_run(data, tmp_path):
    recipe = with_training(lr_decay=0.5)
    train(recipe, data, tmp_path, images=32)
    assert torch.load(checkpoints(tmp_path)[-1] / STATE, weights_only=True)["planned_images"] == 32
    train(recipe, data, tmp_path, images=64)
    assert torch.load(checkpoints(tmp_path)[-1] / STATE, weights_only=True)["planned_images"] == 32
    assert [line["rates_scale"] for line in read_log(tmp_path)] == [1.0, *[LEAST_RATE] * 3]


@pytest.mark.parametrize(("shared", "forwards"), [(False, 2), (True, 1)])
def test_shared_fakes_cost_one_forward_of_the_generator(data, shared, forwards):
    state = TrainingState(with_training(shared_fakes=shared), data, torch.device("cpu"))
    called, judged = [], []
    state.generator.register_forward_hook(lambda *_: called.append(1))
    state.discriminator.register_forward_hook(lambda _, inputs, __: judged.append(inputs[1]))
    before = state.generator.to_picture.bias.clone()
    step.train_step(state, HingeLoss())
    assert len(called) == forwards
    in_discriminator_step, in_generator_step = judged
    assert torch.equal(in_discriminator_step[:4], in_discriminator_step[4:])  # classes of real and generated
    assert torch.equal(in_discriminator_step[4:], in_generator_step) == shared
    assert not torch.equal(state.generator.to_picture.bias, before)


def test_dropout_differs_from_step_to_step(data):
    model = dataclasses.replace(RECIPE.model, architecture="dcgan", discriminator_dropout=0.3)
    state = TrainingState(dataclasses.replace(RECIPE, model=model), data, torch.device("cpu"))
    drawn = []
    for state.steps in (0, 1, 0):
        state.seed_layers()
        drawn.append(torch.nn.functional.dropout(torch.ones(50)))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])


def test_the_gradient_penalty_counts_by_its_weight(data, monkeypatch):
    penalties = []

    def recorded(*arguments, **settings):
        penalties.append(gradient_penalty(*arguments, **settings))
        return penalties[-1]

    monkeypatch.setattr("dogsgan.training.losses.gradient_penalty", recorded)
    losses = []
    for weight in (1.0, 10.0):
        state = TrainingState(with_training(gradient_penalty=weight), data, torch.device("cpu"))
        losses.append(step.train_step(state, HingeLoss())[0].item())
    at_1, at_10 = (penalty.item() for penalty in penalties)
    assert at_1 == at_10 > 0.01
    assert losses[1] - losses[0] == pytest.approx(9 * at_1, rel=1e-4)


def test_the_samples_of_a_tick_are_of_the_recipe_s_noise(data, tmp_path, monkeypatch):
    drawn = []

    def recording(*arguments, **settings):
        generator = recalibrated_batch_norm_copy(*arguments, **settings)
        generator.register_forward_pre_hook(lambda _, inputs: drawn.append(inputs[0]))
        return generator

    monkeypatch.setattr(sampling, "recalibrated_batch_norm_copy", recording)
    uniform = dataclasses.replace(RECIPE, model=dataclasses.replace(RECIPE.model, noise="uniform"))
    train(uniform, data, tmp_path / "run", images=16)
    z, again = drawn  # before the first step, and at the tick
    assert torch.equal(z, again)
    assert z.shape == (logger.GRID_ROWS * logger.GRID_COLUMNS, RECIPE.model.z_dim)
    assert z.abs().max() <= 1
    assert z.min() < 0 < z.max()


TRAIN_IN_A_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tiny import RECIPE
from dogsgan.data.cropset import CropSet
from dogsgan.training.loop import train
train(RECIPE, CropSet.open(Path(sys.argv[2])), Path(sys.argv[3]), images=10**9)
"""


def test_kill_9_loses_an_interval_at_most_and_no_bit(data, tmp_path):
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    arguments = [str(Path(__file__).parent), str(data.path), str(killed)]
    running = subprocess.Popen([sys.executable, "-c", TRAIN_IN_A_PROCESS, *arguments], stderr=subprocess.PIPE)
    ends_at = time.monotonic() + 60
    while not any(int(folder.name) >= 32 for folder in checkpoints(killed)):
        assert time.monotonic() < ends_at, "no checkpoint came"
        time.sleep(0.05)
    running.kill()
    running.communicate()
    total = int(checkpoints(killed)[-1].name) + 24
    for run in (killed, straight):
        train(RECIPE, data, run, images=total)
    assert_same_run(straight, killed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_saves_and_stops(data, tmp_path, monkeypatch, number):
    def signalled(state, loss):
        if state.steps == 2:
            os.kill(os.getpid(), number)
        return step.train_step(state, loss)

    monkeypatch.setattr(loop, "train_step", signalled)
    report = train(SILENT, data, tmp_path / "run", images=10**9)
    assert (report.stopped_by, report.images_seen) == (number.name, 12)
    assert checkpoints(tmp_path / "run")[-1].name == "000000012"


def test_a_changed_recipe_is_refused_with_the_difference_named(data, tmp_path):
    train(RECIPE, data, tmp_path / "run", images=4)
    with pytest.raises(DogsganError, match=r"training\.generator_lr: 0\.0001 -> 0\.5"):
        train(with_training(generator_lr=0.5), data, tmp_path / "run", images=8)


def test_other_data_is_refused(data, tmp_path):
    train(RECIPE, data, tmp_path / "run", images=4)
    other = crop_set(tmp_path / "other", count=31)
    with pytest.raises(DogsganError, match="crop set is another"):
        train(RECIPE, other, tmp_path / "run", images=8)


def test_never_resuming_wants_a_fresh_folder(data, tmp_path):
    train(RECIPE, data, tmp_path / "run", images=4)
    with pytest.raises(DogsganError, match="already holds a run"):
        train(RECIPE, data, tmp_path / "run", images=8, resume="never")


def test_the_size_of_the_set_has_to_be_the_recipe_s(tmp_path):
    with pytest.raises(DogsganError, match="--size 32"):
        train(RECIPE, crop_set(tmp_path / "set", size_px=64), tmp_path / "run", images=4)


def test_a_length_is_needed(data, tmp_path):
    with pytest.raises(DogsganError, match="--images N or --budget"):
        train(RECIPE, data, tmp_path / "run")


def test_the_budget_keeps_back_what_comes_after(data, tmp_path, monkeypatch):
    """By a clock on which a step takes 10 s; what a choice and a checkpoint take is measured, too."""
    deadline = Deadline(100.0, started=0.0)
    deadline.clock = lambda: now
    now = 0.0

    def slow(state, loss):
        nonlocal now
        now += 10.0
        return step.train_step(state, loss)

    monkeypatch.setattr(loop, "train_step", slow)
    report = train(SILENT, data, tmp_path / "run", deadline=deadline, finishing_s=lambda generator: 30.0)
    assert report.stopped_by == "budget"
    assert report.steps * 10.0 == now
    assert 30.0 <= now < 100.0 - MARGIN * 30.0


def test_a_spent_budget_still_leaves_a_generator(data, tmp_path):
    report = train(RECIPE, data, tmp_path / "run", deadline=Deadline(0.01))
    assert (report.images_seen, report.stopped_by) == (0, "budget")
    assert (tmp_path / "run" / GENERATOR_FILE).is_file()


class _NaNFrom(HingeLoss):
    """A loss that turns NaN once, or from some call on."""

    def __init__(self, call: int, *, forever: bool) -> None:
        self.call, self.forever, self.calls = call, forever, 0

    def discriminator(self, real_logits, fake_logits, draws):
        self.calls += 1
        bad = self.calls >= self.call if self.forever else self.calls == self.call
        value = super().discriminator(real_logits, fake_logits, draws)
        return value * float("nan") if bad else value


def test_a_nan_rolls_back_with_a_lower_rate_and_goes_on(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "build_loss", lambda recipe: _NaNFrom(7, forever=False))
    report = train(RECIPE, data, tmp_path / "run", images=64)
    assert (report.images_seen, report.stopped_by, report.rollbacks) == (64, "images", 1)
    said = capsys.readouterr().err
    assert "diverged" in said
    assert "0.5 × the learning rates" in said
    saved = torch.load(checkpoints(tmp_path / "run")[-1] / STATE, weights_only=True)
    assert saved["generator_optimizer"]["param_groups"][0]["lr"] == RECIPE.training.generator_lr / 2
    weights = load_file(tmp_path / "run" / GENERATOR_FILE)
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())
    assert [line["images_seen"] for line in read_log(tmp_path / "run")] == [16, 32, 48, 64]


def test_a_lasting_nan_ends_with_the_last_good_generator(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "build_loss", lambda recipe: _NaNFrom(6, forever=True))
    report = train(with_training(max_rollbacks=2), data, tmp_path / "run", images=64)
    assert report.stopped_by == "diverged"
    assert report.images_seen == 16
    weights = load_file(tmp_path / "run" / GENERATOR_FILE)
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def test_a_nan_in_the_last_steps_is_not_kept(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "build_loss", lambda recipe: _NaNFrom(10, forever=True))
    monkeypatch.setattr(loop, "READ_INTERVAL_S", 1e9)
    report = train(with_training(max_rollbacks=0), data, tmp_path / "run", images=40)
    assert report.images_seen == 32
    weights = load_file(tmp_path / "run" / GENERATOR_FILE)
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def test_out_of_memory_ends_with_the_last_good_generator(data, tmp_path, monkeypatch):
    calls = []

    def step_or_fail(state, loss):
        calls.append(1)
        if len(calls) == 6:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return step.train_step(state, loss)

    monkeypatch.setattr(loop, "train_step", step_or_fail)
    report = train(RECIPE, data, tmp_path / "run", images=64)
    assert (report.images_seen, report.stopped_by) == (16, "out-of-memory")
    assert (tmp_path / "run" / GENERATOR_FILE).is_file()


def test_out_of_memory_before_the_first_step_trained_nothing(data, tmp_path, monkeypatch, capsys):
    def fail(state, loss):
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")

    monkeypatch.setattr(loop, "train_step", fail)
    report = train(RECIPE, data, tmp_path / "run", images=64)
    assert not report.trained_something
    assert "batch_size" in capsys.readouterr().err


def test_out_of_memory_in_the_samples_costs_the_samples_only(data, tmp_path, monkeypatch):
    def fail(state, run):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(logger, "_save_samples", fail)
    assert train(RECIPE, data, tmp_path / "run", images=32).stopped_by == "images"


def test_a_full_disk_is_said_by_the_library_that_writes(data, tmp_path, monkeypatch, capsys):
    """safetensors raises an exception of its own for what the system refused."""
    save = checkpoint.save_file

    def full(tensors, path, **settings):
        if "000000000" not in str(path):
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        save(tensors, path, **settings)

    monkeypatch.setattr(checkpoint, "save_file", full)
    assert train(RECIPE, data, tmp_path / "run", images=32).stopped_by == "images"
    assert "No space left" in capsys.readouterr().err


def test_without_a_plot_there_is_still_a_run(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(loop, "plot_losses", plot_losses)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert train(RECIPE, data, tmp_path / "run", images=16).stopped_by == "images"
    assert "losses.png is left out (ModuleNotFoundError" in capsys.readouterr().err


def test_nothing_that_a_run_shows_or_measures_costs_a_bit_of_it(data, tmp_path, monkeypatch, capsys):
    recipe = with_training(further_halflives_images=(0,))
    failing = {
        (logger, "append_line"): ValueError("a line"),
        (logger, "_save_samples"): RuntimeError("no kernel image"),
        (logger, "_save_reals"): TypeError("a bug"),
        (loop, "plot_losses"): ZeroDivisionError("a plot"),
        (averages, "average_distances"): IndexError("a choice"),
    }
    with monkeypatch.context() as patch:
        for module, name in failing:
            patch.setattr(module, name, Mock(return_value=[0.0, 1.0]))
        train(recipe, data, tmp_path / "undisturbed", images=32)
    for (module, name), error in failing.items():
        monkeypatch.setattr(module, name, Mock(side_effect=error))
    monkeypatch.setattr(loop, "choosing_s", lambda state: 0.0)
    finishing_s = Mock(side_effect=[1.0, *[AttributeError("a measurement")] * 9])
    capsys.readouterr()
    deadline = Deadline(10_000.0)
    report = train(recipe, data, tmp_path / "run", images=32, deadline=deadline, finishing_s=finishing_s)
    assert (report.images_seen, report.stopped_by, report.rollbacks) == (32, "images", 0)
    assert_same_run(tmp_path / "run", tmp_path / "undisturbed")
    _, published = read_generator(tmp_path / "run" / GENERATOR_FILE)
    assert published["halflife_images"] == RECIPE.training.ema_halflife_images
    said = capsys.readouterr().err
    for error in (*failing.values(), AttributeError("a measurement")):
        assert f"is left out ({type(error).__name__}: {error})" in said


def test_training_leaves_torch_s_random_state_as_it_was(data, tmp_path):
    torch.manual_seed(7)
    before = torch.get_rng_state()
    train(with_training(tick_images=10**9), data, tmp_path / "run", images=4)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_full_disk_costs_the_checkpoint_not_the_run(data, tmp_path, monkeypatch, capsys):
    save = checkpoint.save_checkpoint

    def full_from_the_second_on(state, run):
        if state.images_seen:
            raise DogsganError("the disk is full")
        return save(state, run)

    monkeypatch.setattr(checkpoint, "save_checkpoint", full_from_the_second_on)
    report = train(RECIPE, data, tmp_path / "run", images=32)
    assert report.stopped_by == "images"
    assert "not written: the disk is full" in capsys.readouterr().err


def test_a_log_line_cut_short_by_a_kill_is_left_out(data, tmp_path):
    run = tmp_path / "run"
    train(RECIPE, data, run, images=16)
    with (run / "log.jsonl").open("a") as file:
        file.write('7\n{"images_seen": 20, "st')
    assert len(read_log(run)) == 1
    train(RECIPE, data, run, images=32)
    assert [json.loads(line)["images_seen"] for line in (run / "log.jsonl").read_text().splitlines()] == [
        16,
        32,
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell's PATH")
def test_compiling_is_refused_where_there_is_no_compiler(data, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DogsganError, match=r"compile=true cannot work here.*C\+\+ compiler"):
        train(with_training(compile=True), data, tmp_path / "run", images=4, device="cpu")


def test_grey_recipes_train_on_coloured_sets(data, tmp_path):
    recipe = dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, channels=1))
    assert train(recipe, data, tmp_path / "run", images=16).images_seen == 16


@pytest.mark.parametrize(
    ("fails_at", "error"),
    [
        (1, AssertionError("-O3: no such\noption")),  # the first forward, of the generator
        (12, RuntimeError("no kernel image")),  # the generator's step of a later round
        (8, torch.OutOfMemoryError("CUDA out of memory")),
    ],
)
def test_compiling_that_fails_is_given_up(data, tmp_path, monkeypatch, capsys, fails_at, error):
    """And the run is, to the last bit, the one that was never compiled."""
    calls = []

    def compile_badly(network, **options):
        def compiled(*args, **kwargs):
            calls.append(network)
            if len(calls) == fails_at:
                raise error
            return network._call_impl(*args, **kwargs)

        network._compiled_call_impl = compiled

    monkeypatch.setattr(torch.nn.Module, "compile", compile_badly)
    report = train(with_training(compile=True), data, tmp_path / "compiled", images=32, device="cpu")
    assert (report.images_seen, report.stopped_by, report.rollbacks) == (32, "images", 0)
    assert len(calls) == fails_at
    first_line = str(error).splitlines()[0]
    assert (
        f"training.compile failed ({first_line}): going on without it from 0 images"
        in capsys.readouterr().err
    )
    train(RECIPE, data, tmp_path / "plain", images=32, device="cpu")
    weights = [read_generator(tmp_path / run / "generator.safetensors")[0] for run in ("compiled", "plain")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])


@pytest.mark.slow
def test_compiled_networks_train_as_others_and_resume(data, tmp_path, capsys):
    for name, compiled in (("compiled", True), ("plain", False)):
        for images in (12, 24):
            train(with_training(compile=compiled), data, tmp_path / name, images=images, device="cpu")
    assert "failed" not in capsys.readouterr().err
    compiled, plain = (
        read_generator(tmp_path / run / "generator.safetensors")[0] for run in ("compiled", "plain")
    )
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=1e-2, atol=1e-4, msg=name)


def test_the_networks_learn(tmp_path):
    """A few hundred steps on pictures of one colour bring the generator's colour there."""
    import numpy as np

    from dogsgan.data.cropset import CropSet, write_crop_set
    from dogsgan.models.sampling import Sampler

    pictures = np.zeros((64, 32, 32, 3), dtype=np.uint8)
    pictures[..., 0] = 220
    write_crop_set(tmp_path / "red", pictures, np.zeros(64, dtype=np.int64), class_names=["red"])
    recipe = with_training(
        generator_lr=2e-3, discriminator_lr=4e-3, tick_images=10**6, checkpoint_images=10**6, diffaugment=""
    )
    train(recipe, CropSet.open(tmp_path / "red"), tmp_path / "run", images=800)
    made = next(Sampler.open(tmp_path / "run").batches(32)).pictures.mean(axis=(0, 1, 2))
    assert made[0] > 140
    assert made[1] < 90
    assert made[2] < 90


def test_a_short_run_logs_by_the_clock_and_shows_where_it_began(data, tmp_path, monkeypatch):
    monkeypatch.setattr(logger, "LINE_INTERVAL_S", 0.0)
    monkeypatch.setattr(logger, "MOST_LINES", 1e9)
    monkeypatch.setattr(loop, "READ_INTERVAL_S", 0.0)
    run = tmp_path / "run"
    train(RECIPE, data, run, images=24)
    assert [line["images_seen"] for line in read_log(run)] == [16, 24]
    lines = read_log(run, between=True)
    assert [line["images_seen"] for line in lines] == [4, 8, 12, 16, 20, 24, 24]
    assert all(line.keys() - {BETWEEN} == lines[-1].keys() for line in lines)
    elapsed_s, processor_s = lines[-1]["elapsed_s"], lines[-1]["processor_s"]
    assert 0 < processor_s < time.process_time()
    grids = ("reals.png", "init.png", "samples/000000016.png")
    assert len({Image.open(run / name).size for name in grids}) == 1
    real = (np.asarray(Image.open(run / "reals.png"))[2:34, 2:34] == data.pictures).all(axis=(1, 2, 3))
    assert data.labels[real].tolist() == [0]  # the first place shows the first class

    init = (run / "init.png").read_bytes()
    train(RECIPE, data, run, images=32)
    lines = read_log(run, between=True)
    assert [line["images_seen"] for line in lines][-2:] == [28, 32]
    assert all(line["elapsed_s"] > elapsed_s for line in lines[-2:])  # it goes on
    assert all(line["processor_s"] > processor_s for line in lines[-2:])
    assert (run / "init.png").read_bytes() == init
