"""What watches a training: the judge and the best generator, TensorBoard, `evaluate`."""

import csv
import dataclasses
import json
import math
import sys
import time
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from same_run import assert_same_run
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.data.cropset import CropSet
from dogsgan.errors import DogsganError
from dogsgan.models.generator_file import BEST_GENERATOR_FILE, read_generator
from dogsgan.models.sampling import Sampler
from dogsgan.reports import evaluation
from dogsgan.reports.evaluation import Evaluated, Evaluation, Evaluator
from dogsgan.scoring import features_of, frechet_distance_of_features, open_network
from dogsgan.supervise import worker
from dogsgan.supervise.children import Ended
from dogsgan.supervise.driver import Job, Training
from dogsgan.supervise.session import Clock, Session, Terminal
from dogsgan.training import outlets
from dogsgan.training.batches import in_grey
from dogsgan.training.deadline import Deadline
from dogsgan.training.judging import JudgeEvery
from dogsgan.training.loop import train
from dogsgan.training.run_folder import read_log


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropSet:
    return crop_set(tmp_path_factory.mktemp("evaluation") / "set")


def judged_by(figures: list[float], asked: list[int]) -> JudgeEvery:
    """Return a judge who gives these figures, and notes which generators it was shown."""
    waiting = iter(figures)

    def judge(sampler: Sampler) -> dict[str, float]:
        asked.append(sampler.images_seen)
        return {"fid": next(waiting), "dogs": 0.5}

    return JudgeEvery(judge, 16)


def best_of(run: Path) -> int:
    return int(read_generator(run / BEST_GENERATOR_FILE)[1]["images_seen"])


def test_the_best_generator_is_kept_over_worse_ones_and_over_a_resume(crops: CropSet, tmp_path: Path) -> None:
    asked: list[int] = []
    train(RECIPE, crops, tmp_path / "run", images=48, judged=judged_by([9.0, 5.0, 7.0], asked))
    assert asked == [16, 32, 48]
    assert best_of(tmp_path / "run") == 32
    told = [(line["images_seen"], line["judged"]["fid"]) for line in read_log(tmp_path / "run")]
    assert told == [(16, 9.0), (32, 5.0), (48, 7.0)]
    train(RECIPE, crops, tmp_path / "run", images=80, judged=judged_by([6.0, 4.0], asked))
    assert asked[3:] == [64, 80]
    assert best_of(tmp_path / "run") == 80


def test_being_judged_changes_nothing_of_a_run(crops: CropSet, tmp_path: Path) -> None:
    train(RECIPE, crops, tmp_path / "judged", images=32, judged=judged_by([1.0, 2.0], []))
    train(RECIPE, crops, tmp_path / "alone", images=32)
    assert_same_run(tmp_path / "judged", tmp_path / "alone")


def test_a_judge_that_fails_costs_its_figures_only(
    crops: CropSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def judge(sampler: Sampler) -> dict[str, float]:
        raise MemoryError("too many pictures")

    report = train(RECIPE, crops, tmp_path / "run", images=32, judged=JudgeEvery(judge, 16))
    assert report.images_seen == 32
    assert (
        "the judgement at 16 images is left out (MemoryError: too many pictures)" in capsys.readouterr().err
    )


def test_no_judgement_is_begun_that_would_break_the_budget(
    crops: CropSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(Deadline, "training_left_s", lambda deadline: -1.0 if asked else 60.0)
    train(
        RECIPE,
        crops,
        tmp_path / "run",
        images=48,
        deadline=Deadline(100),
        judged=judged_by([1.0, 2.0, 3.0], asked),
    )
    assert asked == [16]


def test_the_figures_are_those_of_the_first_pictures_and_the_chosen_crops(
    crops: CropSet, tmp_path: Path
) -> None:
    train(RECIPE, crops, tmp_path / "run", images=16)
    sampler = Sampler.open(tmp_path / "run", device="cpu")
    figures = Evaluator(crops, network="stand-in", device="cpu", count=20, real_count=100)(sampler)
    network = open_network("stand-in", device="cpu")
    real, fake = (features_of(each, network) for each in (np.asarray(crops.pictures), sampler.sample(20)))
    assert figures == {"fid": pytest.approx(frechet_distance_of_features(fake, real))}


def test_crops_are_compared_in_grey_with_a_generator_of_grey_pictures(crops: CropSet, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, data=dataclasses.replace(RECIPE.data, channels=1))
    train(recipe, crops, tmp_path / "run", images=16)
    sampler = Sampler.open(tmp_path / "run", device="cpu")
    figures = Evaluator(crops, network="stand-in", device="cpu", count=20, real_count=100)(sampler)
    network = open_network("stand-in", device="cpu")
    real, fake = in_grey(np.asarray(crops.pictures)), sampler.sample(20)
    features = [features_of(each.repeat(3, axis=3), network) for each in (fake, real)]
    assert figures == {"fid": pytest.approx(frechet_distance_of_features(*features))}


def test_a_network_for_another_size_is_refused(crops: CropSet, monkeypatch: pytest.MonkeyPatch) -> None:
    network = dataclasses.replace(open_network("stand-in", device="cpu"), required_px=64)
    monkeypatch.setattr(evaluation, "open_network", lambda *_, **__: network)
    with pytest.raises(DogsganError, match="takes 64 px, not 32 px"):
        Evaluator(crops, network="public")


def test_evaluate_follows_the_checkpoints_and_generate_takes_the_best(
    crops: CropSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(RECIPE, crops, run, images=48, judged=judged_by([9.0, 5.0, 7.0], []))
    command = ["evaluate", str(run), "--data", str(crops.path), "--network", "stand-in", "--count", "8"]
    assert main([*command, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["generators"]
    assert [row["images_seen"] for row in rows][-2:] == [48, 32]
    assert rows[-1]["generator"] == BEST_GENERATOR_FILE
    table = list(csv.DictReader((run / "evaluation.csv").open()))
    assert [float(row["fid"]) for row in table] == [row["figures"]["fid"] for row in rows]
    assert (run / "evaluation.png").is_file()

    for name, best in (("last", []), ("best", ["--best"])):
        zip_path = str(tmp_path / f"{name}.zip")
        assert main(["generate", str(run), "--out", zip_path, "--count", "4", "--json", *best]) == 0
    told = [json.loads(line)["images_seen"] for line in capsys.readouterr().out.splitlines()]
    assert told == [48, 32]


def test_a_share_of_dogs_is_never_rounded_to_all_or_none() -> None:
    shares = (0.0, 0.0004, 0.1234, 0.9996, 1.0)
    rows = tuple(Evaluated("checkpoint", 16, {"fid": 1.0, "dogs": share}) for share in shares)
    said = Evaluation(Path("run"), "n", count=10_000, real_count=100, generators=rows).summary()
    told = [line.split("dogs")[1].split("checkpoint")[0].strip() for line in said.splitlines()[:-1]]
    assert told == ["0%", "under 0.1%", "12.3%", "over 99.9%", "100%"]


def test_best_without_a_judged_run_says_how(
    crops: CropSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "run").mkdir()
    assert main(["generate", str(tmp_path / "run"), "--out", str(tmp_path / "a.zip"), "--best"]) == 2
    assert BEST_GENERATOR_FILE in capsys.readouterr().err


def test_tensorboard_has_the_losses_the_figures_and_the_grids(crops: CropSet, tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    judged = judged_by([9.0, 5.0], [])
    train(RECIPE, crops, tmp_path / "run", images=32, judged=judged, outlets=["tensorboard"])
    events = accumulator.EventAccumulator(str(tmp_path / "run/tensorboard"))
    events.Reload()
    lines = read_log(tmp_path / "run")
    for name, values in (
        ("generator_loss", [line["generator_loss"] for line in lines]),
        ("judged/fid", [9.0, 5.0]),
        ("gamma/generator/16", [line["gamma"]["generator"]["16"] for line in lines]),
    ):
        found = [event for event in events.Scalars(name) if event.step in (16, 32)]
        assert [event.value for event in found] == pytest.approx(values, abs=1e-6)
    assert [event.step for event in events.Images("samples")] == [16, 32]


class FakeWandb(types.ModuleType):
    """Stands for the package, and notes what is sent."""

    def __init__(self) -> None:
        super().__init__("wandb")
        self.begun: list[dict[str, object]] = []
        self.sent: list[dict[str, object]] = []
        self.finished = 0

    def init(self, **settings: object) -> "FakeWandb":
        self.begun.append(settings)
        return self

    def log(self, values: dict[str, object]) -> None:
        self.sent.append(values)

    def finish(self) -> None:
        self.finished += 1

    def Image(self, path: str) -> str:
        return path


def test_weights_and_biases_goes_on_with_the_same_run(
    crops: CropSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    for images in (16, 32):
        train(RECIPE, crops, tmp_path / "run", images=images, outlets=["wandb"])
    assert fake.begun[0]["id"] == fake.begun[1]["id"]
    assert fake.finished == 2
    assert {values["images_seen"] for values in fake.sent if "generator_loss" in values} >= {16, 32}
    assert str(tmp_path / "run/samples/000000032.png") in [values.get("samples") for values in fake.sent]


def test_an_outlet_that_fails_costs_no_training(
    crops: CropSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None: ...

        def __getattr__(self, name: str) -> object:
            raise ConnectionError("no network")

    monkeypatch.setitem(outlets.OUTLETS, "wandb", (Broken, "json"))
    assert train(RECIPE, crops, tmp_path / "run", images=16, outlets=["wandb"]).images_seen == 16
    assert "no network" in capsys.readouterr().err
    assert (tmp_path / "run/samples/000000016.png").is_file()


def test_an_outlet_that_is_not_installed_is_refused_before_anything_starts(
    crops: CropSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(outlets.OUTLETS, "wandb", (outlets.WandbOutlet, "no_such_package"))
    command = ["train", "--data", str(crops.path), "--run", str(tmp_path / "run"), "--images", "16"]
    assert main([*command, "--log", "wandb"]) == 2
    assert "pip install 'dogsgan[wandb]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_supervised_trainer_is_judged_and_logged_as_run_asked(
    crops: CropSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.setattr(
        evaluation, "judge_every", lambda crop_set, images, *, device: judged_by([3.0, 2.0], [])
    )
    job = Job(
        RECIPE,
        crops.path,
        run=tmp_path / "run",
        zip_path=tmp_path / "images.zip",
        images=32,
        device="cpu",
        evaluate_every=16,
        outlets=("wandb",),
    )

    class InProcess(Session):
        """Runs a part in this process, as far as it is JSON."""

        def run(self, part: str, request: dict[str, Any], **_: Any) -> Ended:
            return Ended("done", 0, (getattr(worker, part)(json.loads(json.dumps(request))),), (), 1.0)

    training = Training(InProcess(Clock(time.monotonic(), math.inf), Terminal()), job)
    training.run()
    assert training.report["images_seen"] == 32
    assert best_of(tmp_path / "run") == 32
    assert fake.finished == 1
