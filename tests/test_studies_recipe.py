"""The recipe study: equal processor time for every variant, a verdict from the baseline's own spread."""

import csv
import dataclasses
import json
import os
import signal

import numpy as np
import pytest
import tiny
import torch

from dogsgan.cli import main
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.errors import DogsganError
from dogsgan.features.networks import open_network
from dogsgan.features.timm_networks import Classifier
from dogsgan.studies import grid, runs
from dogsgan.studies.judge import Judge
from dogsgan.studies.recipe import (
    BASELINE,
    CHOOSING,
    REPORTING,
    VARIANTS,
    Panel,
    changing,
    parse_variants,
    study_recipe,
    verdict,
)
from dogsgan.studies.runs import finish_training, processor_seconds
from dogsgan.training import loop
from dogsgan.training.checkpoint_manager import restore_latest
from dogsgan.training.state import TrainingState

RECIPE = tiny.RECIPE.with_overrides(["training.tick_images=1000", "training.checkpoint_images=1000"])
BUDGET_S = 2.0
A_STEP_S = 0.9
"""More than any step of the tiny recipe takes, and less than half of the budget."""


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return tiny.crop_set(tmp_path_factory.mktemp("data") / "crops")


def study(crops, out, **settings):
    chosen = {"recipe": RECIPE, "budget_s": BUDGET_S, "variants": parse_variants("shared-fakes"), "count": 12}
    return study_recipe(crops.path, out, networks=["stand-in"], **{**chosen, **settings})


@pytest.fixture(scope="module")
def finished(crops, tmp_path_factory):
    """A study of the baseline with two seeds and of one variant."""
    return study(crops, tmp_path_factory.mktemp("finished"))


def content_of(out):
    return json.loads((out / "recipe.json").read_text())


def test_every_run_has_the_same_processor_time_within_a_step(finished):
    found = content_of(finished.out)["runs"]
    order = [(BASELINE, 0), (BASELINE, 1), ("shared-fakes", 0)]
    assert [(run["variant"], run["seed"]) for run in found] == order
    for run in found:
        assert run["stopped_by"] == "budget"
        assert run["images_seen"] > 0
        assert run["processor_s"] == pytest.approx(BUDGET_S, abs=A_STEP_S)
    assert finished.complete


def test_the_table_has_a_row_for_each_variant_in_text_csv_and_json(finished):
    content = content_of(finished.out)
    baseline, variant = content["rows"]
    assert [row["variant"] for row in content["rows"]] == [BASELINE, "shared-fakes"]
    assert (baseline["seeds_done"], variant["seeds_done"]) == ("2 of 2", "1 of 1")
    assert baseline["verdict"] is None
    assert variant["settings"] == "training.shared_fakes=true"
    of_baseline, of_variant = content["runs"][:2], content["runs"][2:]
    reported = [run["figures"]["reporting"]["stand-in"] for run in of_baseline]
    for figure in ("frechet_distance", "recall"):
        mean = np.mean([of_run[figure] for of_run in reported])
        assert baseline[f"{figure}_stand-in"]["mean"] == pytest.approx(mean)
    chosen = [
        [run["figures"]["choosing"]["stand-in"]["frechet_distance"] for run in of_rows]
        for of_rows in (of_variant, of_baseline)
    ]
    assert variant["verdict"] == verdict(*([{"": distance} for distance in part] for part in chosen))
    run = of_variant[0]
    assert variant["images_seen"] == [run["images_seen"]]
    assert variant["processor_minutes"]["mean"] == pytest.approx(run["processor_s"] / 60)
    rate = run["images_seen"] / run["processor_s"]
    assert variant["images_per_processor_second"]["mean"] == pytest.approx(rate)
    assert variant["dogs_percent"] is None  # the stand-in recognises nothing
    with (finished.out / "recipe.csv").open() as file:
        assert [line["verdict"] for line in csv.DictReader(file)] == ["", variant["verdict"]]
    text = (finished.out / "recipe.txt").read_text()
    assert "distance stand-in" in text
    assert "NOT Kaggle's FID" in text
    assert variant["verdict"] in text.splitlines()[-1]
    grids = {path.name for path in (finished.out / "samples").iterdir()}
    assert grids == {"baseline-seed-0.png", "baseline-seed-1.png", "shared-fakes-seed-0.png"}


def test_the_same_again_trains_nothing_and_another_budget_is_refused(finished, crops, monkeypatch):
    monkeypatch.setattr(grid, "finish_training", None)  # would fail if it were called
    assert study(crops, finished.out).content == finished.content
    with pytest.raises(DogsganError, match="processor_seconds: 2 -> 3"):
        study(crops, finished.out, budget_s=3.0)


def stop_after(monkeypatch, steps):
    """Have a signal arrive in the training step of that number."""
    really = loop.train_step

    def step(state, loss):
        if state.steps == steps:
            os.kill(os.getpid(), signal.SIGINT)
        return really(state, loss)

    monkeypatch.setattr(loop, "train_step", step)


def test_a_run_that_was_stopped_goes_on_with_what_is_left(crops, tmp_path, monkeypatch):
    budgets = []
    really = runs.train_within

    def noted(*arguments, deadline, **settings):
        budgets.append(deadline.budget_s)
        return really(*arguments, deadline=deadline, **settings)

    monkeypatch.setattr(runs, "train_within", noted)
    settings = {"images": None, "budget_s": BUDGET_S, "device": "cpu"}
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            finish_training(tmp_path, RECIPE, crops, **settings)
    used = processor_seconds(tmp_path)
    assert 0 < used < BUDGET_S
    trained = finish_training(tmp_path, RECIPE, crops, **settings)
    assert budgets == [BUDGET_S, BUDGET_S - used]
    assert trained.processor_s == pytest.approx(BUDGET_S, abs=A_STEP_S)
    assert trained.images_seen > 20


def test_a_resumed_run_keeps_its_planned_length(crops, tmp_path, monkeypatch):
    recipe = RECIPE.with_overrides(["training.lr_decay=0.5", "training.tick_images=8"])
    settings = {"images": None, "budget_s": 3 * BUDGET_S, "device": "cpu"}
    with monkeypatch.context() as patch:
        stop_after(patch, 4)
        with pytest.raises(KeyboardInterrupt):
            finish_training(tmp_path, recipe, crops, **settings)

    def planned():
        state = TrainingState(recipe, crops, torch.device("cpu"))
        restore_latest(state, tmp_path)
        return state.planned_images

    before = planned()
    assert before > 16
    finish_training(tmp_path, recipe, crops, **settings)
    assert planned() == before


def test_what_a_kill_lost_is_not_counted(tmp_path):
    assert processor_seconds(tmp_path) == 0
    lines = [{"images_seen": 8, "processor_s": 3.5}, {"images_seen": 12, "processor_s": 5.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "checkpoints" / "000000008").mkdir(parents=True)
    assert processor_seconds(tmp_path) == 3.5


BOTH = [{"a": 100.0, "b": 50.0}, {"a": 110.0, "b": 60.0}]  # means 105 and 55, seeds 10 apart


@pytest.mark.parametrize(
    ("seeds", "baseline", "expected"),
    [
        ([{"a": 94.0, "b": 44.0}], BOTH, "better"),
        ([{"a": 96.0, "b": 44.0}], BOTH, "undecided"),  # a gains 9
        ([{"a": 95.0, "b": 45.0}], BOTH, "undecided"),  # just as far as the seeds
        ([{"a": 94.0, "b": 44.0}, {"a": 94.0, "b": 46.0}], BOTH, "undecided"),  # the second seed gains less
        ([{"a": 116.0, "b": 66.0}], BOTH, "worse"),
        ([{"a": 94.0, "b": 66.0}], BOTH, "undecided"),  # the networks disagree
        ([{"a": 1.0, "b": 1.0}], BOTH[:1], "undecided"),  # one seed tells no spread
        ([{"a": 1.0, "b": 1.0}], [*BOTH, None], "undecided"),
        ([{"a": 1.0, "b": 1.0}, None], BOTH, "worse"),  # a run without pictures
    ],
)
def test_a_gain_counts_beyond_the_difference_of_the_baseline_s_seeds(seeds, baseline, expected):
    assert verdict(seeds, baseline) == expected


def test_variants_are_the_baseline_and_those_named():
    assert [variant.name for variant in parse_variants("fast, fast-decay,fast")] == [
        BASELINE,
        "fast",
        "fast-decay",
    ]
    assert [variant.name for variant in parse_variants(None)] == list(VARIANTS)
    kept, left_out = changing(parse_variants("attention-16,fast"), RECIPE)  # the tiny one attends at 16 px
    assert [variant.name for variant in kept] == [BASELINE, "fast"]
    assert left_out == ["attention-16 is left out: tiny has its settings already"]


def test_every_variant_changes_what_it_says_in_the_preset():
    from dogsgan.presets import preset

    base = preset("dogs-sagan-cpu")
    for variant in parse_variants(None):
        changed = [line.partition(":")[0] for line in base.differences(variant.recipe(base, seed=0))]
        assert sorted(changed) == sorted(setting.partition("=")[0] for setting in variant.settings)


def test_an_unknown_variant_is_refused_by_name(crops, tmp_path, capsys):
    arguments = ["study", "recipe", str(crops.path), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--variants", "fast,fats"]) == 2
    error = capsys.readouterr().err
    assert "no variant 'fats'" in error
    assert "fast-lecam" in error
    assert not (tmp_path / "out").exists()


def test_weights_that_no_network_takes_are_refused(crops, tmp_path):
    with pytest.raises(DogsganError, match="no --network is left that needs a file"):
        study(crops, tmp_path, weights=[tmp_path / "weights.safetensors"])


def panel_of(crops, cache_dir, network):
    judge = Judge(crops, network, channels=3, count=12, real_count=100, cache_dir=cache_dir)
    return Panel([judge], conditional=True)


def test_the_halves_share_no_crop(crops, tmp_path):
    panel = panel_of(crops, tmp_path, open_network("stand-in", device="cpu"))
    choosing, reporting = (panel._judges["stand-in"][half] for half in (CHOOSING, REPORTING))
    halves = [[name for name, _ in judge._real_pictures()] for judge in (choosing, reporting)]
    assert len(halves[0]) == len(halves[1]) == panel.real_count == 15
    assert len({*halves[0], *halves[1]}) == 30
    figures = panel.figures(np.asarray(crops.pictures[:12]))
    assert figures.choosing != figures.reporting
    assert panel.restored(json.loads(json.dumps(dataclasses.asdict(figures)))) == figures


def test_generated_pictures_are_recognised_by_the_class_asked_for(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (20, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(20) % 2
    write_crop_set(tmp_path / "dogs", pictures, labels, class_names=["Chihuahua", "Maltese dog"])
    crops = CropSet.open(tmp_path / "dogs")
    network = open_network("stand-in", device="cpu")
    always_chihuahua = torch.zeros(1000)
    always_chihuahua[151] = 1.0
    classifier = Classifier(torch.zeros(1000, network.dimension), always_chihuahua)
    panel = panel_of(crops, tmp_path, dataclasses.replace(network, classifier=classifier))
    figures = panel.figures(pictures[:9])
    assert figures.dogs == panel.real_dogs == 1.0
    assert figures.first == pytest.approx(5 / 9)  # in turn: Chihuahua first
