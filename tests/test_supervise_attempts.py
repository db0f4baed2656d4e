"""What a kernel does when training ends otherwise than planned: go on, on less, or stop and sample."""

import dataclasses
from pathlib import Path

import pytest
from tiny import RECIPE

from dogsgan.supervise import driver
from dogsgan.supervise.children import Ended
from dogsgan.supervise.driver import MOST_ATTEMPTS, Job, Training
from dogsgan.supervise.session import Clock, Session, Terminal

SMALL = dataclasses.replace(RECIPE, name="small")
BIG_BATCH = dataclasses.replace(RECIPE, training=dataclasses.replace(RECIPE.training, batch_size=32))


class Script(Session):
    """A session whose trainers do what a list says: a number of images to reach, and how to end."""

    def __init__(self, acts):
        super().__init__(Clock(driver.time.monotonic(), 600.0), Terminal())
        self.clock.note_startup(1.0)
        self.acts, self.trained = list(acts), []

    def run(self, part, request, *, stop_at, gpus=(), forward_signals=False):
        assert forward_signals
        self.trained.append((request["recipe"]["name"], Path(request["run"]).name, len(gpus or ())))
        images, end = self.acts.pop(0) if self.acts else (0, "crash")
        if images:
            folder = Path(request["run"]) / "checkpoints" / f"{images:09d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "generator.safetensors").touch()
        if end == "crash":
            return Ended("failed", 1, (), ("RuntimeError: CUDA error",), 1.0)
        if end == "mistake":
            return Ended("failed", 2, (), ("error: recipe: …",), 1.0)
        if end == "overran":
            return Ended("overran", -9, (), (), 1.0)
        report = {"stopped_by": end, "images_seen": images, "steps": images // 4}
        return Ended("done", 0, (report,), (), 1.0)


@pytest.fixture
def play(tmp_path, monkeypatch):
    def play(*acts, gpus=(), still_working=None, recipe=RECIPE, cpu_recipe=SMALL):
        session = Script(acts)
        working = list((gpus or ()) if still_working is None else still_working)
        monkeypatch.setattr(driver, "working_gpus", lambda session, gpus: [g for g in gpus if g in working])
        monkeypatch.setattr(driver, "time_rescue", lambda session, recipe, count: None)
        run, zip_path = tmp_path / "run-1", tmp_path / "images.zip"
        job = Job(recipe, tmp_path / "crops", run=run, zip_path=zip_path, cpu_recipe=cpu_recipe)
        training = Training(session, job, gpus=None if gpus is None else list(gpus))
        training.run()
        return session, training

    return play


def test_a_run_that_ends_as_planned_is_not_repeated(play):
    session, training = play((100, "budget"))
    assert len(session.trained) == 1
    assert training.report["images_seen"] == 100
    assert session.events == []


def test_a_crash_goes_on_from_the_last_checkpoint(play):
    session, training = play((100, "crash"), (200, "crash"), (300, "budget"), gpus=[0])
    assert [run for _, run, _ in session.trained] == ["run-1"] * 3
    assert training.report["images_seen"] == 300


def test_a_crash_that_two_gpus_do_not_get_past_leaves_one(play):
    session, _ = play((100, "crash"), (0, "crash"), (200, "budget"), gpus=[0, 1])
    assert [gpus for _, _, gpus in session.trained] == [2, 2, 1]


def test_a_gpu_that_dies_is_left_out(play):
    session, _ = play((100, "crash"), (200, "budget"), gpus=[0, 1], still_working=[1])
    assert [gpus for _, _, gpus in session.trained] == [2, 1]


def test_where_no_gpu_ever_trained_the_cpu_begins_anew_with_its_own_recipe(play):
    session, training = play((0, "crash"), (50, "budget"), gpus=[0], still_working=[])
    assert session.trained == [("tiny", "run-1", 1), ("small", "run-2", 0)]
    assert training.gpus == []


def test_what_a_gpu_learned_is_not_thrown_away_when_it_dies(play):
    session, training = play((100, "crash"), gpus=[0], still_working=[])
    assert session.trained == [("tiny", "run-1", 1)]
    assert training.generators()[0].parent.name == "000000100"


@pytest.mark.parametrize("end", ["mistake", "overran", "diverged", "SIGINT"])
def test_what_trying_again_does_not_mend_is_not_tried_again(play, end):
    session, _ = play((100, end), gpus=[0])
    assert len(session.trained) == 1
    (event,) = session.events
    assert event.startswith(f"training stopped by {end}" if end in ("diverged", "SIGINT") else "training")


@pytest.mark.parametrize(("asked_by", "events"), [(None, 0), ("SIGTERM", 1)])
def test_only_a_stop_that_somebody_else_asked_for_is_worth_a_last_line(
    play, monkeypatch, asked_by, events, capsys
):
    reached = driver.Training._note_unless_planned

    def heard_meanwhile(self, report):
        self.session.wish.signal_name = asked_by
        reached(self, report)

    monkeypatch.setattr(driver.Training, "_note_unless_planned", heard_meanwhile)
    session, training = play((100, "SIGTERM"))
    assert len(session.trained) == 1
    assert len(session.events) == events
    assert ("its time was up" in capsys.readouterr().err) is (asked_by is None)
    assert training.report["stopped_by"] == (asked_by or "budget")


@pytest.mark.parametrize("gpus", [[], [0], [0, 1]])
def test_an_earlier_kernel_s_run_that_training_refuses_is_left_for_a_fresh_one(play, tmp_path, gpus):
    (tmp_path / "run-1" / "checkpoints" / "000000100").mkdir(parents=True)
    session, training = play((0, "mistake"), (50, "budget"), gpus=gpus)
    assert session.trained == [("tiny", "run-1", len(gpus)), ("tiny", "run-2", len(gpus))]
    assert training.report["images_seen"] == 50
    assert "WARNING, the earlier run cannot be continued" in session.events[-1]


def test_a_person_s_own_run_that_training_refuses_is_never_begun_anew(play, tmp_path):
    (tmp_path / "run-1" / "checkpoints" / "000000100").mkdir(parents=True)
    session, _ = play((0, "mistake"), gpus=None, cpu_recipe=None)
    assert session.trained == [("tiny", "run-1", 0)]


def test_batches_that_do_not_fit_are_halved_in_a_fresh_run(play):
    session, training = play(
        (0, "out-of-memory"), (0, "out-of-memory"), (100, "budget"), gpus=[0], recipe=BIG_BATCH
    )
    assert [run for _, run, _ in session.trained] == ["run-1", "run-2", "run-3"]
    assert training.recipe.training.batch_size == 8


def test_memory_that_runs_out_later_ends_with_what_there_is(play):
    session, _ = play((100, "out-of-memory"), gpus=[0], recipe=BIG_BATCH)
    assert len(session.trained) == 1


def test_attempts_come_to_an_end(play):
    session, _ = play(*[(100 * (i + 1), "crash") for i in range(50)], gpus=[0])
    assert len(session.trained) == MOST_ATTEMPTS


def test_the_newest_generator_comes_first_and_a_folder_of_another_name_never(play, tmp_path):
    (tmp_path / "run-1" / "checkpoints" / "000000900.damaged").mkdir(parents=True)
    _, training = play((100, "crash"), (200, "budget"))
    assert [path.parent.name for path in training.generators()] == ["000000200", "000000100"]


def test_a_signal_before_there_is_a_trainer_leaves_none_to_start(play, monkeypatch):
    monkeypatch.setattr(driver.Training, "reached", lambda self: 0)
    session, training = play()
    session.trained.clear()
    session.wish.signal_name = "SIGHUP"
    training.run()
    assert session.trained == []


# As `run` has it: one recipe, one run, the device that was asked for.


def test_a_run_goes_on_from_its_last_checkpoint_and_never_begins_anew(play):
    session, training = play((100, "crash"), (0, "crash"), (200, "budget"), gpus=None, cpu_recipe=None)
    assert session.trained == [("tiny", "run-1", 0)] * 3
    assert training.report["images_seen"] == 200


def test_a_run_that_saves_nothing_twice_is_given_up(play):
    session, training = play((100, "crash"), gpus=None, cpu_recipe=None)
    assert len(session.trained) == 3
    assert training.report == {}
    assert training.generators()[0].parent.name == "000000100"


@pytest.mark.parametrize("end", ["mistake", "overran", "diverged", "out-of-memory"])
def test_a_run_is_not_tried_again_where_that_does_not_mend_it(play, end):
    session, _ = play((0, end), gpus=None, cpu_recipe=None)
    assert session.trained == [("tiny", "run-1", 0)]
