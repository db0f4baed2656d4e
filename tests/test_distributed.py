"""Two processes train like one: same batches, same gradients, same states, and decisions taken together."""

import dataclasses
import math
import os
import signal
import threading
import time
import warnings
from pathlib import Path

import pytest
import torch
from processes import LIMIT_S, in_processes
from safetensors.torch import load_file
from same_run import assert_same_run
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.config import ModelRecipe, Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.device import repeatable
from dogsgan.errors import DogsganError
from dogsgan.kernel.main import KernelLog
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.supervise.driver import Job, Training
from dogsgan.supervise.session import Clock, Session
from dogsgan.training import checkpoint, distributed, logger, loop, step
from dogsgan.training.augment import diffaugment, flip_half
from dogsgan.training.checkpoint import STATE
from dogsgan.training.deadline import Deadline
from dogsgan.training.distributed import ProcessGroup, open_process_group
from dogsgan.training.interrupts import StopWish
from dogsgan.training.loop import train
from dogsgan.training.losses import HingeLoss, build_loss
from dogsgan.training.run_folder import TrainReport, checkpoints, plot_losses, read_log
from dogsgan.training.share import Share
from dogsgan.training.state import TrainingState
from dogsgan.training.step import METERS

CPU = torch.device("cpu")


@pytest.fixture
def data(tmp_path):
    return crop_set(tmp_path / "set")


def with_training(**changes) -> Recipe:
    return dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, **changes))


# What a share is.


@pytest.mark.parametrize("parts", [1, 2])
def test_shares_are_the_batch_in_its_order(parts):
    batches = torch.arange(12).view(parts, -1)
    shares = [Share(rank, 3).of(batches.flatten(), parts=parts).view(parts, -1) for rank in range(3)]
    assert torch.equal(torch.cat(shares, dim=1), batches)


def test_augmenting_shares_is_sharing_what_was_augmented():
    """Of real and generated pictures behind each other, each process has its rows of both."""
    pictures = torch.rand(8, 3, 16, 16) * 2 - 1
    kinds = "color,translation,cutout"
    expected = diffaugment(pictures, kinds, random=torch.Generator().manual_seed(1), parts=2)
    mirrored = flip_half(pictures, random=torch.Generator().manual_seed(1))
    for share in (Share(0, 2), Share(1, 2)):
        own = share.of(pictures, parts=2)
        random = torch.Generator().manual_seed(1)
        found = diffaugment(own, kinds, random=random, share=share, parts=2)
        assert torch.equal(found, share.of(expected, parts=2))
        found = flip_half(share.of(pictures), random=torch.Generator().manual_seed(1), share=share)
        assert torch.equal(found, share.of(mirrored))


def test_both_processes_see_the_batches_of_one(data):
    class Half(ProcessGroup):
        def __init__(self, rank):
            super().__init__(CPU)
            self.share = Share(rank, 2)

    whole = TrainingState(RECIPE, data, CPU)
    halves = [TrainingState(RECIPE, data, CPU, group=Half(rank)) for rank in (0, 1)]
    for _ in range(10):  # beyond a pass over the data
        pictures, labels = whole.batches.next()
        own = [state.batches.next() for state in halves]
        assert torch.equal(torch.cat([p for p, _ in own]), pictures)
        assert torch.equal(torch.cat([c for _, c in own]), labels)
        z = [step._noise(state) for state in halves]
        assert torch.equal(torch.cat(z), step._noise(whole))


# Who takes part.


@pytest.fixture
def second_of_two(monkeypatch):
    names = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    for name, value in {**names, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)


def test_a_size_that_somebody_else_set_starts_no_team(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "8")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with open_process_group("cpu") as group:
        assert group.is_main
        assert not group.is_distributed


def test_processes_that_torchrun_starts_anew_on_one_machine_find_no_entries_of_those_before(monkeypatch):
    """Its store lives on, and a stale address there is waited for until the time is up."""
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert distributed._attempt(2) == "3"
    assert distributed._attempt(4) == "0"  # each machine counts for itself, and the store is new


def test_one_gpu_for_all_is_refused(second_of_two, monkeypatch):
    with pytest.raises(DogsganError, match="take auto or cuda"), open_process_group("cuda:0"):
        pass
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DogsganError, match="number 1 is none: start fewer"), open_process_group("auto"):
        pass


# What training does.


def plain_descent(state: TrainingState) -> None:
    """Take steps in proportion to the gradient: Adam's first steps depend on its sign alone."""
    state.generator_optimizer = torch.optim.SGD(state.generator.parameters(), lr=1e-2)
    state.discriminator_optimizer = torch.optim.SGD(state.discriminator.parameters(), lr=1e-2)


def all_tensors(state: TrainingState) -> dict[str, torch.Tensor]:
    players = {**state.networks(), "average": state.averaged.module}
    return {f"{p}.{n}": t.clone() for p, network in players.items() for n, t in network.state_dict().items()}


def trained(
    recipe: Recipe, data: Path, steps: int, *, device: str = "cpu"
) -> dict[str, dict[str, torch.Tensor]]:
    """Return the gradients of the first step, how far every tensor moved, and where everything stands."""
    with open_process_group(device) as group, repeatable():
        state = TrainingState(recipe, CropSet.open(data), group.device, group=group)
        plain_descent(state)
        before, loss, gradients = all_tensors(state), build_loss(recipe.training), {}
        for number in range(steps):
            step.train_step(state, loss)
            if not number:
                for player, network in state.networks().items():
                    gradients |= {f"{player}.{n}": p.grad.clone() for n, p in network.named_parameters()}
        after = all_tensors(state)
        moved = {name: tensor - before[name] for name, tensor in after.items()}
        place = {"random": state.random.get_state(), "order": state.batches.state_dict()["order"]}
        found = {"gradients": gradients, "moved": moved, "after": after, "place": place}
        return {group: {name: t.cpu() for name, t in tensors.items()} for group, tensors in found.items()}


def member_trained(rank, recipe, data, steps, out, device):
    torch.save(trained(recipe, data, steps, device=device), out / f"{rank}.pt")


def relative_difference(found, expected, player: str) -> float:
    """Return the norm of the difference of one network's tensors over their norm."""
    names = [n for n, t in expected.items() if n.startswith(f"{player}.") and t.is_floating_point()]
    apart = sum((found[n].double() - expected[n].double()).square().sum() for n in names)
    return float((apart / sum(expected[n].double().square().sum() for n in names)).sqrt())


PARITY = {
    "hinge": (with_training(batch_size=8), 4),
    "penalty": (with_training(batch_size=8, gradient_penalty=1.0, discriminator_steps=2, loss="bce"), 2),
    "shared fakes and LeCam": (
        with_training(
            batch_size=8,
            shared_fakes=True,
            lecam=0.3,
            held_out=0.2,
            lr_decay=0.5,
            planned_images=64,
            further_halflives_images=(0,),
        ),
        2,
    ),
    "batch norm in both": (  # the penalty's second derivative goes through the exchange of statistics
        dataclasses.replace(
            with_training(batch_size=8, gradient_penalty=1.0, loss="bce", label_noise=0.2),
            model=ModelRecipe(
                architecture="dcgan",
                z_dim=16,
                noise="uniform",
                conditional=False,
                generator_width=8,
                discriminator_width=8,
                generator_attention_px=(16,),
                discriminator_attention_px=(8,),
                discriminator_batch_norm=True,
                discriminator_slope=0.2,
            ),
        ),
        2,
    ),
}


TWO_GPUS = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=TWO_GPUS)])
@pytest.mark.parametrize(("recipe", "steps"), PARITY.values(), ids=PARITY.keys())
def test_two_processes_train_like_one_with_twice_the_batch(data, tmp_path, recipe, steps, device):
    """The same averaged gradients and the same steps, but for the order of sums; the same random states."""
    alone = trained(recipe, data.path, steps, device=device)
    in_processes(member_trained, recipe, data.path, steps, tmp_path, device)
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for player in ("generator", "discriminator"):
        assert relative_difference(both[0]["gradients"], alone["gradients"], player) < 1e-5
        assert relative_difference(both[0]["moved"], alone["moved"], player) < 1e-3
    assert relative_difference(both[0]["moved"], alone["moved"], "average") < 1e-3
    for name in (name for name in alone["moved"] if "running_" in name):
        torch.testing.assert_close(both[0]["moved"][name], alone["moved"][name], rtol=1e-3, atol=1e-5)
    for name, tensor in alone["place"].items():
        assert torch.equal(both[0]["place"][name], tensor), name
    for group in alone:  # spectral norms' vectors, batch norms' statistics and the average among them
        for name in alone[group]:
            assert torch.equal(both[0][group][name], both[1][group][name]), name


class _InfiniteInOne(HingeLoss):
    """A loss that is infinite in one call of the second process, with its gradient or without."""

    def __init__(self, *, call: int, with_gradient: bool) -> None:
        self.is_here, self.call, self.calls = os.environ["RANK"] == "1", call, 0
        self.with_gradient = with_gradient

    def discriminator(self, real_logits, fake_logits, draws):
        self.calls += 1
        value = super().discriminator(real_logits, fake_logits, draws)
        if not self.is_here or self.calls != self.call:
            return value
        return value * float("inf") if self.with_gradient else value + float("inf")


def member_scaled(rank, data, out):
    recipe = with_training(precision="float16")
    with open_process_group("cpu") as group:
        state = TrainingState(recipe, CropSet.open(data), group.device, group=group)
        loss = _InfiniteInOne(call=2, with_gradient=True)
        scales = [float(state.discriminator_scaler.get_scale())]
        for _ in range(3):
            step.train_step(state, loss)
            scales.append(float(state.discriminator_scaler.get_scale()))
        torch.save(all_tensors(state), out / f"{rank}.pt")
        return scales


def test_an_overflow_in_one_process_has_all_of_them_skip_the_step(data, tmp_path):
    ours, theirs = (member.result for member in in_processes(member_scaled, data.path, tmp_path))
    assert ours == theirs
    assert ours[2] == ours[1] / 2
    both = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert all(torch.equal(both[0][name], both[1][name]) for name in both[0])
    assert all(tensor.isfinite().all() for tensor in both[0].values() if tensor.is_floating_point())


# What a run does.


def member_run(rank, recipe, data, run, settings):
    """Train, but for the last of several calls with the lengths in `settings["images"]`, and report."""
    lengths = settings.pop("images", [None])
    for images in lengths:
        report = train(recipe, CropSet.open(data), run, images=images, device="cpu", **settings)
    assert "Grad strides" not in str(warnings.filters), "a filter of the whole process"
    return dataclasses.replace(report, seconds=0.0)


SILENT = with_training(tick_images=10**9)


def run_in_two(data: CropSet, run: Path, *, recipe: Recipe = SILENT, work=member_run, **settings):
    """Train in two processes; return the report of both, and what they said."""
    members = in_processes(work, recipe, data.path, run, settings)
    assert members[0].result == members[1].result
    return members[0].result, "".join(member.said for member in members)


def saved_state(run: Path) -> dict:
    return torch.load(checkpoints(run)[-1] / STATE, weights_only=True)


def member_that_must_not_write(rank, *arguments):
    if rank:
        for module, name in ((checkpoint, "save_checkpoint"), (checkpoint, "publish_generator")):
            setattr(module, name, None)
        for module, name in ((logger, "append_line"), (logger, "_save_samples"), (loop, "plot_losses")):
            setattr(module, name, None)
    return member_run(rank, *arguments)


def test_a_run_of_two_is_written_by_one_and_goes_on_to_the_last_bit(data, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "plot_losses", plot_losses)
    straight, resumed, alone = (tmp_path / name for name in ("straight", "resumed", "alone"))
    report, said = run_in_two(data, straight, recipe=RECIPE, work=member_that_must_not_write, images=[32])
    assert "left out" not in said
    assert "Grad strides" not in said
    assert (report.images_seen, report.stopped_by) == (32, "images")
    _, said = run_in_two(data, resumed, recipe=RECIPE, images=[20, 32])
    assert_same_run(straight, resumed)
    assert said.count("going on with") == 1

    # One process sees what two did.
    train(RECIPE, data, alone, images=32, device="cpu")
    assert {path.name for path in straight.iterdir()} == {path.name for path in alone.iterdir()}
    ours, theirs = read_log(straight), read_log(alone)
    assert [line["images_seen"] for line in ours] == [line["images_seen"] for line in theirs]
    for name in METERS:
        assert ours[0][name] == pytest.approx(theirs[0][name], abs=0.01)


def test_a_run_goes_on_with_another_number_of_processes(data, tmp_path):
    """The data and the noise are those of a run that was never interrupted."""
    train(SILENT, data, tmp_path / "straight", images=32, device="cpu")
    run_in_two(data, tmp_path / "run", images=[12])
    train(SILENT, data, tmp_path / "run", images=20, device="cpu")
    run_in_two(data, tmp_path / "run", images=[32])
    ours, theirs = saved_state(tmp_path / "run"), saved_state(tmp_path / "straight")
    assert ours["images_seen"] == 32
    assert torch.equal(ours["random"], theirs["random"])
    assert torch.equal(ours["batches"]["order"], theirs["batches"]["order"])
    assert ours["batches"]["position"] == theirs["batches"]["position"]


def test_a_batch_without_equal_shares_is_refused(data, tmp_path):
    refused, _ = run_in_two(data, tmp_path / "run", recipe=with_training(batch_size=5), images=[20])
    assert "batch_size = 5 cannot be shared by 2" in refused


# What is decided together.


def member_signalled(rank, *arguments):
    """Have the second process alone get a signal in its fifth step, and get it twice."""
    calls = []

    def step_and_signal(state, loss):
        calls.append(1)
        for _ in range(2 if rank == 1 and len(calls) == 5 else 0):
            os.kill(os.getpid(), signal.SIGTERM)
        return step.train_step(state, loss)

    loop.train_step = step_and_signal
    return member_run(rank, *arguments)


def test_a_signal_to_one_stops_both_with_what_they_have(data, tmp_path):
    report, _ = run_in_two(data, tmp_path / "run", work=member_signalled, images=[10**9])
    assert (report.stopped_by, report.images_seen) == ("SIGTERM", 20)
    assert checkpoints(tmp_path / "run")[-1].name == "000000020"


def slow_finish(generator) -> float:
    return 1e6


def test_the_time_that_one_measured_stops_both(data, tmp_path):
    report, _ = run_in_two(data, tmp_path / "run", deadline=Deadline(1e5), finishing_s=slow_finish)
    assert (report.stopped_by, report.steps) == ("budget", 0)
    assert (tmp_path / "run" / GENERATOR_FILE).is_file()


def member_diverging(rank, *arguments):
    loop.build_loss = lambda recipe: _InfiniteInOne(call=7, with_gradient=False)
    return member_run(rank, *arguments)


def test_a_loss_that_is_none_in_one_takes_both_back(data, tmp_path):
    report, said = run_in_two(data, tmp_path / "run", work=member_diverging, images=[36])
    assert (report.stopped_by, report.images_seen, report.rollbacks) == ("images", 36, 1)
    assert said.count("diverged") == 1
    weights = load_file(tmp_path / "run" / GENERATOR_FILE)
    assert all(tensor.isfinite().all() for tensor in weights.values() if tensor.is_floating_point())


def member_out_of_memory(rank, *arguments):
    """Run out of memory in the second process, in the middle of a step that the first waits in."""
    forward, calls = step.diffaugment, []

    def fail_later(*positional, **named):
        calls.append(1)
        if rank == 1 and len(calls) == 12:  # the sixth step's generator
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return forward(*positional, **named)

    step.diffaugment = fail_later
    return member_run(rank, *arguments)


def test_memory_that_ends_in_one_ends_both_with_the_last_good_generator(data, tmp_path):
    report, said = run_in_two(data, tmp_path / "run", work=member_out_of_memory, images=[10**9])
    assert (report.stopped_by, report.images_seen, report.steps) == ("out-of-memory", 16, 4)
    assert (tmp_path / "run" / GENERATOR_FILE).is_file()
    assert said.count("out of memory") == 1


def member_lost(rank, how, *arguments):
    """Have the second process end, or hang, in its sixth step."""
    calls = []

    def step_or_not(state, loss):
        calls.append(1)
        if rank == 1 and len(calls) == 6:
            os.kill(os.getpid(), signal.SIGKILL) if how == "ends" else time.sleep(1e4)
        return step.train_step(state, loss)

    loop.train_step = step_or_not
    return member_run(rank, *arguments)


@pytest.mark.parametrize("how", ["ends", "hangs"])
def test_who_loses_the_other_ends_and_leaves_the_last_checkpoint(data, tmp_path, how):
    arguments = (how, SILENT, data.path, tmp_path / "run", {"images": [10**9]})
    timeout_s = 6.0 if how == "hangs" else 10 * LIMIT_S  # one that has ended is missed at once
    survivor, lost = in_processes(member_lost, *arguments, wait_for_all=False, timeout_s=timeout_s)
    assert lost.result is None
    assert survivor.result.startswith("ProcessLost: process 0 of 2 lost another one")
    assert "\n" not in survivor.result
    assert (tmp_path / "run" / GENERATOR_FILE).is_file()
    assert train(SILENT, data, tmp_path / "run", images=20, device="cpu").images_seen == 20


# As a kernel starts it.


def wait_for_checkpoint(run: Path, *, images: int) -> None:
    for _ in range(1200):
        if any(int(folder.name) >= images for folder in checkpoints(run)):
            return
        time.sleep(0.05)
    raise AssertionError("no checkpoint came")


def test_one_of_several_processes_on_a_machine_prints(tmp_path, monkeypatch, capsys):
    report = TrainReport(tmp_path / "run", 8, 1, "images", 1.0, 0)
    monkeypatch.setattr("dogsgan.stages.train_within", lambda *_, **__: report)
    crop_set(tmp_path / "set")
    command = ["train", "--data", str(tmp_path / "set"), "--out", str(tmp_path / "run"), "--images", "8"]
    command += ["--preset", "demo", "--set", "data.size_px=32"]
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "x", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    for rank, printed in (("0", 1), ("1", 0)):
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert main(command) == 0
        assert capsys.readouterr().out.count("trained 8 images") == printed


def test_torchrun_passes_every_option_of_train_on():
    from torch.distributed.run import parse_args

    from dogsgan.cli import build_parser

    given = "train --data set --out run --preset demo --set a.b=1 --images 8 --resume never --device cpu"
    parsed = parse_args(["--standalone", "--nproc-per-node", "2", "-m", "dogsgan", *given.split()])
    assert parsed.training_script_args == given.split()
    assert build_parser().parse_args(given.split()).run == Path("run")


def test_a_signal_to_all_that_train_together_saves_and_is_answered_once(data, tmp_path, monkeypatch):
    """Started by the driver, one process a GPU; here the CPU stands for both."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    run, wish = tmp_path / "run", StopWish()
    session = Session(Clock(time.monotonic(), math.inf), KernelLog(tmp_path / "log", started=0.0))
    session.wish = wish

    def stop():
        wait_for_checkpoint(run, images=16)
        wish.signal_name = "SIGHUP"

    thread = threading.Thread(target=stop)
    thread.start()
    job = Job(SILENT, data.path, run=run, zip_path=tmp_path / "images.zip", images=10**9, count=10)
    training = Training(session, job, gpus=[0, 1])
    monkeypatch.setattr(Training, "_device", lambda self: "cpu")
    training.run()
    thread.join()
    reports = [answer for answer in training.ended.answers if "stopped_by" in answer]
    assert [report["stopped_by"] for report in reports] == ["SIGHUP"], training.ended.last_lines
    assert int(checkpoints(run)[-1].name) == reports[0]["images_seen"]
    assert training.ended.status == 0


def test_a_user_error_of_several_arrives_as_one(data, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    train(SILENT, data, tmp_path / "run", images=4, device="cpu")
    session = Session(Clock(time.monotonic(), math.inf), KernelLog(tmp_path / "log", started=0.0))
    other = dataclasses.replace(SILENT, training=dataclasses.replace(SILENT.training, batch_size=8))
    request = {"recipe": other.to_json(), "crops": str(data.path), "run": str(tmp_path / "run"), "images": 8}
    request |= {"budget_s": None, "started": 0.0, "device": "cpu", "count": 10, "locks": True}
    ended = session.run("train", request, stop_at=math.inf, gpus=[0, 1])
    assert ended.status == 2
    assert "batch_size" in ended.reason()
