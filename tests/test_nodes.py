"""One run on several machines, each with a run folder and a prepared set of its own.

Each of two processes stands for a machine, as `torchrun --nnodes 2` would start it. They are started once and
do everything that is tested here.
"""

import dataclasses
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import Member, in_processes
from same_run import assert_same_run
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.files import LOCK_FILE, try_lock
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.training import checkpoint_manager, logger, loop
from dogsgan.training.checkpoint import STATE
from dogsgan.training.deadline import Deadline, launched_s_ago
from dogsgan.training.loop import train
from dogsgan.training.run_folder import LOG_FILE, RECIPE_FILE, checkpoints

OTHER = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, generator_lr=0.1))


class Disk(NamedTuple):
    """The disk of one machine, and how training is called there."""

    rank: int
    root: Path

    def run(self, name: str) -> Path:
        return self.root / str(self.rank) / name

    def train(self, name: str, *, run: Path | None = None, recipe=RECIPE, data="set", **settings) -> str:
        """Train, and return why it stopped."""
        crops = CropSet.open(self.run(data))
        try:
            return train(recipe, crops, run or self.run(name), device="cpu", **settings).stopped_by
        except DogsganError as error:
            return str(error)


def losing(disk: Disk) -> list[str]:
    """Train in four calls, between which a machine loses its folder, or has its newest checkpoint damaged."""
    for images, lost, damaged in ((8, 1, None), (12, None, 0), (16, 0, 1), (20, None, None)):
        disk.train("run", images=images)
        if disk.rank == lost:
            shutil.rmtree(disk.run("run"))
        if disk.rank == damaged:
            (checkpoints(disk.run("run"))[-1] / STATE).write_bytes(b"cut")
    return sorted(path.name for path in disk.run("run/checkpoints").iterdir())


def starting_differently(disk: Disk) -> list[str]:
    """Start machine 1 with what differs from machine 0."""
    rank, own = disk.rank, {"images": 4}
    lock = try_lock(disk.run("run") / LOCK_FILE) if rank else None  # as another training would
    found = [disk.train("run", **own)]
    if lock is not None:
        lock.release()
    return [
        *found,
        disk.train("new", **own, recipe=(RECIPE, OTHER)[rank]),
        disk.train("run", **own, recipe=OTHER),
        disk.train("run", **own, data=("set", "other")[rank]),
        disk.train("new", **own, data=("set", "other")[rank]),
        disk.train("run", **own, resume=("auto", "never")[rank]),
        disk.train("run"),
        disk.train("run", **({} if rank else own)),
    ]


def counting_time_on_a_full_disk(disk: Disk) -> str:
    """Give machine 1 a budget of its own, a start far back, and no room for a copy."""

    def full(target: Path) -> None:
        raise DogsganError(f"cannot write {target}")

    if disk.rank:
        checkpoint_manager.atomic_path = full
    deadlines = Deadline(1e4), Deadline(1e9, started=time.monotonic() - 1e5)
    return disk.train("late", deadline=deadlines[disk.rank], images=4)


def everything(rank: int, root: Path) -> dict[str, object]:
    loop.plot_losses, logger._sample_grid = None, None  # most of the time; what fails there is left out
    disk = Disk(rank, root)
    disk.train("", run=root / "straight", images=20)  # two processes on one machine
    os.environ |= {"GROUP_RANK": str(rank), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    return {
        "checkpoints": losing(disk),
        "shared": disk.train("", run=root / "straight", images=20),
        "differs": starting_differently(disk),
        "late": counting_time_on_a_full_disk(disk),
    }


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("nodes")
    crop_set(folder / "0/set")
    crop_set(folder / "1/set")
    crop_set(folder / "1/other", count=20)
    return folder


@pytest.fixture(scope="module")
def members(root) -> list[Member]:
    return in_processes(everything, root)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_run_goes_on_from_whichever_machine_has_a_good_checkpoint_to_the_last_bit(members, root):
    first, second = root / "0/run", root / "1/run"
    assert_same_run(root / "straight", first)
    beside = {RECIPE_FILE, LOG_FILE, GENERATOR_FILE}
    assert names(second) == {*beside, "checkpoints"}  # the first one alone draws
    for ours, theirs in ((first, second), (checkpoints(first)[-1], checkpoints(second)[-1])):
        for path in (path for path in theirs.iterdir() if path.is_file()):
            assert (ours / path.name).read_bytes() == path.read_bytes(), path
    assert [member.result["checkpoints"] for member in members] == [
        ["000000016", "000000020"],
        ["000000016", "000000016.damaged", "000000020"],
    ]


def test_what_a_lost_machine_needs_is_said_by_the_first(members):
    assert ["TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1" in member.said for member in members] == [True, False]


def test_machines_may_share_one_folder(members):
    assert [member.result["shared"] for member in members] == ["images", "images"]


def test_what_differs_between_machines_is_refused_by_both(members, root):
    own = root / "1/run"
    differs = "processes 0 and 1 were started to train different runs"
    expected = (
        f"{own} is in use",
        f"{differs} (training.generator_lr: 0.0001 -> 0.1): give",
        "was begun with another recipe (training.generator_lr",
        f"{own} was begun with another recipe (the crop set is another one)",
        f"{differs} (the crop set is another one): give",
        f"{own} already holds a run",
        "training needs a length: add --images N or --budget 9h",
        "images",  # the first one says how long
    )
    for member in members:
        for told, text in zip(member.result["differs"], expected, strict=True):
            assert text in told


def test_the_budget_is_that_of_the_first_from_the_earliest_start(members):
    assert [member.result["late"] for member in members] == ["budget", "budget"]


def test_a_machine_without_room_for_a_copy_goes_on(members, root):
    assert "no copy of the checkpoint at 0 images on this machine: cannot write" in members[1].said
    assert checkpoints(root / "0/late")
    assert not checkpoints(root / "1/late")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="only Linux tells when a process began")
def test_a_budget_counts_from_the_start_of_torchrun(monkeypatch):
    before = time.monotonic()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as started:
        after = time.monotonic()
        monkeypatch.setattr(os, "getppid", lambda: started.pid)
        assert launched_s_ago() == 0.0
        monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
        now, ago = time.monotonic(), launched_s_ago()
        assert now - after - 0.02 <= ago <= time.monotonic() - before + 0.02
        monkeypatch.setattr(os, "getppid", os.getpid)
        assert launched_s_ago() > ago
        monkeypatch.setattr(os, "getppid", lambda: 0)
        assert launched_s_ago() == 0.0


def test_other_commands_are_refused_under_torchrun(monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    for command in (["presets"], ["kernel", "build", "--out", "k"], ["run", "dogs.zip", "--out", "out"]):
        assert main(command) == 2
        assert f"run dogsgan {command[0]} without it" in capsys.readouterr().err
