"""The attention study: variants alike but for what is compared, runs done once, a table of what is there."""

import csv
import json
import os
import signal

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from dogsgan.cli import main
from dogsgan.commands.study import outcome
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import features_of, open_network
from dogsgan.features.sides import Side, real_side_of
from dogsgan.metrics.frechet import statistics_of
from dogsgan.metrics.precision_recall import precision_recall
from dogsgan.models.sampling import Sampler
from dogsgan.score import score_sides
from dogsgan.studies import attention, grid, judge, runs, table
from dogsgan.studies.attention import choose_variants, parse_norms, parse_sizes, study_attention
from dogsgan.studies.judge import Judge
from dogsgan.studies.runs import seconds_per_thousand_images
from dogsgan.training import loop
from dogsgan.training.run_folder import TrainReport
from dogsgan.training.state import TrainingState
from dogsgan.training.step import _noise

RECIPE = tiny.RECIPE.with_overrides(["training.tick_images=1000", "training.checkpoint_images=1000"])


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Leave out the plot, which other tests are about."""
    monkeypatch.setattr(attention, "save_lines", lambda *lines, **texts: None)


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return tiny.crop_set(tmp_path_factory.mktemp("data") / "crops")


def study(crops, out, **settings):
    chosen = {"recipe": RECIPE, "images": 8, "seeds": 1, "attention": (None, 16), "spectral_norm": (False,)}
    source = crops.path if isinstance(crops, CropSet) else crops
    return study_attention(source, out, **{**chosen, "count": 12, "device": "cpu", **settings})


def rows_of(out):
    return json.loads((out / "attention.json").read_text())["rows"]


def runs_of(out):
    return json.loads((out / "attention.json").read_text())["runs"]


@pytest.fixture(scope="module")
def finished(crops, tmp_path_factory):
    """A study of two sizes, with and without spectral norm, over two seeds."""
    out = tmp_path_factory.mktemp("finished")
    return study(crops, out, seeds=2, attention=(None, 32), spectral_norm=(True, False))


def test_every_variant_has_a_row_in_text_csv_and_json(finished):
    rows = rows_of(finished.out)
    variants = [("none", "on"), ("none", "off"), ("32", "on"), ("32", "off")]
    assert [(row["attention"], row["spectral_norm"]) for row in rows] == variants
    assert [row["attention_in"] for row in rows] == [None, None, "G", "G"]
    assert [row["seeds_done"] for row in rows] == ["2 of 2"] * 4
    assert all(row["ended"] == "images" and row["images_seen"] == [8, 8] for row in rows)
    with (finished.out / "attention.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["attention"] for line in lines] == ["none", "none", "32", "32"]
    assert {line["network"] for line in lines} == {"stand-in"}
    assert finished.to_json()["rows"] == rows
    assert finished.complete


def test_the_network_is_named_and_is_not_kaggles(finished):
    content = json.loads((finished.out / "attention.json").read_text())
    assert content["network"] == "stand-in"
    assert "not Kaggle" in content["note"]
    assert "by the network stand-in" in finished.text
    assert "NOT Kaggle's FID" in finished.text


def test_the_tables_figures_are_those_of_the_runs(finished):
    for row in rows_of(finished.out):
        name = f"attention-{row['attention']}" + "-sn" * (row["spectral_norm"] == "on")
        ours = [run for run in runs_of(finished.out) if run["variant"] == name]
        assert [run["seed"] for run in ours] == [0, 1]
        for figure in ("frechet_distance", "precision", "recall"):
            values = [run["figures"][figure] for run in ours]
            assert row[figure]["mean"] == pytest.approx(np.mean(values))
            assert row[figure]["deviation"] == pytest.approx(np.std(values, ddof=1))
        for run in ours:
            saved = json.loads((finished.out / name / f"seed-{run['seed']}" / "result.json").read_text())
            assert saved["figures"] == run["figures"]


def test_the_distance_is_the_packages_own_of_the_runs_pictures(finished, crops, tmp_path):
    network = open_network("stand-in", device="cpu")
    sampler = Sampler.open(finished.out / "attention-32-sn" / "seed-1", device="cpu")
    pictures = np.concatenate([batch.pictures for batch in sampler.batches(12, seed=0)])
    features = features_of(pictures, network)
    real, _ = real_side_of(open_source(crops.path), network, size_px=32, cache_dir=tmp_path)
    expected = score_sides(Side(statistics_of(features), features), real, network)
    run = next(r for r in runs_of(finished.out) if (r["variant"], r["seed"]) == ("attention-32-sn", 1))
    assert run["figures"]["frechet_distance"] == pytest.approx(expected.fid, rel=1e-6)


def test_there_are_a_plot_and_a_grid_of_every_run(finished):
    with Image.open(finished.out / "attention.png") as plot:
        assert plot.width > 500
    grids = sorted(path.name for path in (finished.out / "samples").iterdir())
    names = ("attention-32", "attention-32-sn", "attention-none", "attention-none-sn")
    assert grids == sorted(f"{name}-seed-{seed}.png" for name in names for seed in (0, 1))


def test_parameters_are_those_that_were_trained(finished):
    none, with_attention = rows_of(finished.out)[0], rows_of(finished.out)[2]
    sampler = Sampler.open(finished.out / "attention-32-sn" / "seed-0", device="cpu")
    assert with_attention["generator_parameters"] == sum(p.numel() for p in sampler.generator.parameters())
    assert (
        with_attention["generator_parameters"] - none["generator_parameters"] == 81
    )  # 8 channels: 8+8+32+32+γ
    assert with_attention["discriminator_parameters"] == none["discriminator_parameters"]


def test_the_same_again_trains_and_judges_nothing(finished, crops, monkeypatch):
    monkeypatch.setattr(grid, "finish_training", None)  # would fail if it were called
    again = study(crops, finished.out, seeds=2, attention=(None, 32), spectral_norm=(True, False))
    assert again.content == finished.content


def test_variants_of_a_seed_see_the_same_pictures_and_noise(crops):
    variants, _ = choose_variants(RECIPE, (None, 8, 16, 32), (True, False))
    seen = {}
    for variant in variants:
        for seed in (0, 1):
            state = TrainingState(variant.recipe(RECIPE, seed=seed), crops, torch.device("cpu"))
            real, labels = state.batches.next()
            seen.setdefault(seed, []).append((real, labels, _noise(state)))
    for of_seed in seen.values():
        assert len(of_seed) == 8
        assert all(torch.equal(a, b) for other in of_seed for a, b in zip(of_seed[0], other, strict=True))
    assert not torch.equal(seen[0][0][2], seen[1][0][2])


def test_a_variant_changes_attention_spectral_norm_and_seed_alone():
    variants, _ = choose_variants(RECIPE, (None, 8, 32), (True, False))
    allowed = {
        "model.generator_attention_px",
        "model.discriminator_attention_px",
        "model.generator_spectral_norm",
        "model.discriminator_spectral_norm",
        "training.seed",
    }
    for variant in variants:
        changed = {line.partition(":")[0] for line in RECIPE.differences(variant.recipe(RECIPE, seed=7))}
        assert changed <= allowed
    assert len({variant.name for variant in variants}) == 6


def test_attention_stands_in_each_network_that_has_such_a_map():
    (g, both), left_out = choose_variants(RECIPE, (32, 16), (True,))
    assert (g.attention_in, both.attention_in) == ("G", "G+D")
    recipe = g.recipe(RECIPE, seed=0).model
    assert (recipe.generator_attention_px, recipe.discriminator_attention_px) == ((32,), ())
    assert left_out == []


def test_sizes_that_no_network_has_are_left_out_with_a_reason():
    variants, left_out = choose_variants(RECIPE, (None, 64, 16), (True,))
    assert [variant.size for variant in variants] == ["none", "16"]
    assert len(left_out) == 1
    assert "64 px is left out: with pictures of 32 px the generator has maps of 8, 16, 32 px" in left_out[0]
    narrow = RECIPE.with_overrides(["model.generator_width=4", "model.discriminator_width=4"])
    variants, left_out = choose_variants(narrow, (32, 16), (True,))
    assert [variant.size for variant in variants] == ["16"]
    assert "4 channels" in left_out[0]
    with pytest.raises(DogsganError, match="nothing to compare"):
        choose_variants(RECIPE, (64,), (True, False))


def test_what_is_left_out_is_said_with_the_table(crops, tmp_path):
    report = study(crops, tmp_path, attention=(None, 64))
    assert "64 px is left out" in report.text
    assert report.to_json()["left_out"] == report.text.splitlines()[-2:-1]


@pytest.mark.parametrize("text", ["", "16,x", "0", "-8", "8;16", "²"])
def test_what_is_no_list_of_sizes_is_refused(text):
    with pytest.raises(DogsganError, match="no map size"):
        parse_sizes(text)


def test_lists_are_read_as_they_are_meant():
    assert parse_sizes("None, 8,16,8") == (None, 8, 16)
    assert parse_norms("off,on") == (False, True)
    with pytest.raises(DogsganError, match="on, off"):
        parse_norms("yes")


def test_more_seeds_add_runs_and_keep_those_there(crops, tmp_path, monkeypatch):
    study(crops, tmp_path)
    trained = []
    really = runs.train_within
    monkeypatch.setattr(
        runs,
        "train_within",
        lambda recipe, *a, **k: trained.append(recipe.training.seed) or really(recipe, *a, **k),
    )
    before = {run["variant"]: run for run in runs_of(tmp_path)}
    study(crops, tmp_path, seeds=2)
    assert trained == [1, 1]
    assert {run["variant"]: run for run in runs_of(tmp_path) if run["seed"] == 0} == before
    assert [row["frechet_distance"]["count"] for row in rows_of(tmp_path)] == [2, 2]


def test_more_images_go_on_with_every_run_as_if_never_stopped(crops, tmp_path):
    study(crops, tmp_path / "grown", attention=(16,))
    study(crops, tmp_path / "grown", attention=(16,), images=16)
    study(crops, tmp_path / "straight", attention=(16,), images=16)
    grown, straight = runs_of(tmp_path / "grown"), runs_of(tmp_path / "straight")
    assert grown[0]["images_seen"] == 16
    assert grown[0]["figures"] == straight[0]["figures"]
    with pytest.raises(DogsganError, match="images: 16 -> 8"):
        study(crops, tmp_path / "grown", attention=(16,))


def test_another_recipe_or_other_crops_are_refused_and_harm_nothing(crops, tmp_path):
    study(crops, tmp_path, attention=(None,))
    with pytest.raises(DogsganError, match=r"training\.batch_size: 4 -> 8"):
        study(crops, tmp_path, recipe=RECIPE.with_overrides(["training.batch_size=8"]))
    with pytest.raises(DogsganError, match="crops: "):
        study(tiny.crop_set(tmp_path / "others", count=31), tmp_path)
    assert [row["seeds_done"] for row in rows_of(tmp_path)] == ["1 of 1"]


def test_another_source_is_refused_before_its_crops_replace_those_there(tmp_path):
    for name in ("a", "b"):
        for index in range(8):
            path = tmp_path / name / f"{index}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(np.full((40, 40, 3), 9 * index + ord(name), dtype=np.uint8)).save(path)
    recipe = RECIPE.with_overrides(["model.conditional=false"])
    out = tmp_path / "out"
    study(tmp_path / "a", out, recipe=recipe, attention=(None,))
    crops = CropSet.open(out / "crops")
    assert len(crops) == 8
    with pytest.raises(DogsganError, match="source: "):
        study(tmp_path / "b", out, recipe=recipe, attention=(None,))
    assert CropSet.open(out / "crops").fingerprint == crops.fingerprint
    assert study(out / "crops", out, recipe=recipe, attention=(None,)).complete  # the crops are a source, too


def test_all_variants_of_a_seed_come_before_the_next(crops, tmp_path, monkeypatch):
    order = []
    really = runs.train_within

    def stopped(recipe, crop_set, run, **settings):
        order.append((run.parent.name, run.name))
        if len(order) == 4:
            raise KeyboardInterrupt
        return really(recipe, crop_set, run, **settings)

    monkeypatch.setattr(runs, "train_within", stopped)
    with pytest.raises(KeyboardInterrupt):
        study(crops, tmp_path, seeds=2)
    assert [seed for _, seed in order] == ["seed-0", "seed-0", "seed-1", "seed-1"]
    assert [row["seeds_done"] for row in rows_of(tmp_path)] == ["2 of 2", "1 of 2"]
    assert rows_of(tmp_path)[1]["frechet_distance"]["deviation"] is None
    assert "1 of 2" in (tmp_path / "attention.txt").read_text()


def test_a_signal_in_training_ends_the_study_and_the_run_goes_on_later(crops, tmp_path, monkeypatch):
    really = loop.train_step

    def step(state, loss):
        if state.images_seen == 4 and state.steps == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return really(state, loss)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", step)
        with pytest.raises(KeyboardInterrupt):
            study(crops, tmp_path / "stopped", images=24)
    assert [row["seeds_done"] for row in rows_of(tmp_path / "stopped")] == ["0 of 1", "0 of 1"]
    study(crops, tmp_path / "stopped", images=24)
    study(crops, tmp_path / "straight", images=24)
    assert [run["figures"] for run in runs_of(tmp_path / "stopped")] == [
        run["figures"] for run in runs_of(tmp_path / "straight")
    ]


class Killed(BaseException):
    """Ends a study as `kill -9` does: nobody hears it, and nothing is saved."""


def test_a_kill_costs_no_finished_run_and_no_bit(crops, tmp_path, monkeypatch):
    killed, straight = tmp_path / "killed", tmp_path / "straight"
    really, second = loop.train_step, killed / "attention-16" / "seed-0"

    def step(state, loss):
        if (second / "checkpoints" / "000000016").is_dir() and state.images_seen == 20:
            raise Killed
        return really(state, loss)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "train_step", step)
        with pytest.raises(Killed):
            study(crops, killed, recipe=tiny.RECIPE, images=24)
    assert not (second / "result.json").exists()
    first = (killed / "attention-none" / "seed-0" / "result.json").stat().st_mtime_ns
    for out in (killed, straight):
        study(crops, out, recipe=tiny.RECIPE, images=24)
    assert (killed / "attention-none" / "seed-0" / "result.json").stat().st_mtime_ns == first
    assert [run["figures"] for run in runs_of(killed)] == [run["figures"] for run in runs_of(straight)]


def test_a_diverged_run_is_shown_as_one_and_not_trained_again(crops, tmp_path, monkeypatch):
    really = runs.train_within
    calls = []

    def diverging(recipe, crop_set, run, **settings):
        calls.append(run)
        report = really(recipe, crop_set, run, **{**settings, "images": 4})
        return TrainReport(run, report.images_seen, report.steps, "diverged", 1.0, 4)

    monkeypatch.setattr(runs, "train_within", diverging)
    study(crops, tmp_path, attention=(16,), seeds=2)
    row = rows_of(tmp_path)[0]
    assert (row["ended"], row["images_seen"]) == ("diverged", [4, 4])
    assert row["frechet_distance"]["count"] == 2
    study(crops, tmp_path, attention=(16,), seeds=2)
    assert len(calls) == 2


def test_a_run_out_of_memory_is_tried_again(crops, tmp_path, monkeypatch):
    really = runs.train_within

    def too_big(recipe, crop_set, run, **settings):
        report = really(recipe, crop_set, run, **{**settings, "images": 4})
        return TrainReport(run, report.images_seen, report.steps, "out-of-memory", 1.0, 0)

    with monkeypatch.context() as patch:
        patch.setattr(runs, "train_within", too_big)
        report = study(crops, tmp_path, attention=(16,))
    assert not report.complete
    assert rows_of(tmp_path)[0]["ended"] == "out-of-memory"
    assert study(crops, tmp_path, attention=(16,)).complete
    assert rows_of(tmp_path)[0]["images_seen"] == [8]


def test_a_generator_of_nan_is_a_hole_in_its_row_alone(crops, tmp_path, monkeypatch):
    really = Sampler.open

    def broken(run, **settings):
        sampler = really(run, **settings)
        if "attention-16" in str(run):
            next(sampler.generator.parameters()).data.fill_(float("nan"))
        return sampler

    monkeypatch.setattr(Sampler, "open", broken)
    report = study(crops, tmp_path)
    none, sixteen = rows_of(tmp_path)
    assert none["frechet_distance"] is not None
    assert sixteen["frechet_distance"] is None
    assert sixteen["ended"] == "images, 1× no pictures"
    assert "NaN" in runs_of(tmp_path)[1]["problem"]
    assert "–" in report.text


def test_another_network_or_count_judges_anew_without_training(crops, tmp_path, monkeypatch):
    study(crops, tmp_path)
    before = runs_of(tmp_path)
    monkeypatch.setattr(runs, "train_within", None)  # would fail if it were called
    study(crops, tmp_path, count=20)
    after = runs_of(tmp_path)
    assert all(a["generator"] == b["generator"] for a, b in zip(after, before, strict=True))
    assert all(a["figures"] != b["figures"] for a, b in zip(after, before, strict=True))


def test_a_generator_that_changed_is_judged_anew(crops, tmp_path):
    study(crops, tmp_path)
    path = tmp_path / "attention-16" / "seed-0" / "result.json"
    saved = json.loads(path.read_text())
    saved["trained"]["generator"] = "0" * 64
    saved["figures"]["frechet_distance"] = 1.0
    path.write_text(json.dumps(saved))
    study(crops, tmp_path)
    assert runs_of(tmp_path)[1]["figures"]["frechet_distance"] > 1.0


def test_seconds_are_of_training_and_not_of_pauses(tmp_path):
    lines = [(100, 50.0, 3.0), (300, 100.0, 9.0), (400, 25.0, 86400.0)]
    text = "".join(
        json.dumps({"images_seen": seen, "images_per_second": rate, "elapsed_s": elapsed}) + "\n"
        for seen, rate, elapsed in lines
    )
    (tmp_path / "log.jsonl").write_text(text)
    assert seconds_per_thousand_images(tmp_path) == pytest.approx(1000 * (2 + 2 + 4) / 400)
    assert seconds_per_thousand_images(tmp_path / "none") is None


def judge_of(crops, **settings):
    chosen = {"channels": 3, "count": 12, "real_count": 100, "cache_dir": crops.path.parent / "real"}
    return Judge(crops, open_network("stand-in", device="cpu"), **{**chosen, **settings})


def test_the_real_side_itself_is_at_no_distance(crops):
    figures = judge_of(crops, count=30).figures(np.asarray(crops.pictures))
    assert figures.frechet_distance == pytest.approx(0, abs=1e-6)
    assert (figures.precision, figures.recall) == (1.0, 1.0)


def test_precision_compares_with_as_many_real_pictures(crops):
    generated = np.asarray(crops.pictures)[:12, ::-1]
    judge = judge_of(crops)
    network = judge.network
    chosen = np.random.default_rng(0).permutation(30)[:12]
    expected = precision_recall(
        features_of(generated, network), features_of(np.asarray(crops.pictures[chosen]), network)
    )
    assert judge.figures(generated).precision == expected.precision
    assert judge.figures(generated).recall == expected.recall


def test_grey_recipes_are_compared_with_grey_crops(crops):
    grey = np.asarray(crops.pictures) @ np.array([0.299, 0.587, 0.114])
    figures = judge_of(crops, channels=1, count=30).figures(grey.round().astype(np.uint8)[..., None])
    assert figures.frechet_distance == pytest.approx(0, abs=0.1)
    assert judge_of(crops, channels=1).key != judge_of(crops).key


def test_too_few_pictures_or_a_network_of_another_size_are_refused_early(crops, tmp_path):
    with pytest.raises(DogsganError, match="need 6 of each"):
        study(crops, tmp_path, count=5)
    few = write_crop_set(tmp_path / "few", np.zeros((4, 32, 32, 3), np.uint8))
    with pytest.raises(DogsganError, match="4 real pictures"):
        judge_of(few)


def test_the_command_prints_the_table_and_json(crops, tmp_path, monkeypatch, capsys):
    from dogsgan import presets

    monkeypatch.setitem(presets.PRESETS, "tiny", presets.Preset(RECIPE, "a test"))
    arguments = ["study", "attention", str(crops.path), "--out", str(tmp_path / "out"), "--preset", "tiny"]
    arguments += ["--images", "4", "--seeds", "1", "--attention", "none,16", "--spectral-norm", "on"]
    arguments += ["--count", "8", "--device", "cpu"]
    assert main([*arguments, "--json"]) == 0
    printed = capsys.readouterr()
    assert [row["attention"] for row in json.loads(printed.out)["rows"]] == ["none", "16"]
    assert "Fréchet distance" in printed.err
    assert main([*arguments, "--set", "training.batch_size=8"]) == 2
    assert "begun with other settings" in capsys.readouterr().err


def test_a_refused_study_leaves_nothing_that_binds_the_next(crops, tmp_path):
    with pytest.raises(DogsganError, match=r"32 px and the recipe wants 64"):
        study(crops, tmp_path, recipe=RECIPE.with_overrides(["data.size_px=64"]))
    with pytest.raises(DogsganError, match=r"training\.seed = "):
        study(crops, tmp_path, recipe=RECIPE.with_overrides([f"training.seed={2**63 - 1}"]), seeds=2)
    with pytest.raises(DogsganError, match="no such network"):
        study(crops, tmp_path, network="none")
    with pytest.raises(DogsganError, match="has ReLU"):
        study(crops, tmp_path, recipe=RECIPE.with_overrides(["model.discriminator_dropout=0.5"]))
    assert list(tmp_path.iterdir()) == []


def refused(*args, **named):
    raise DogsganError("No space left on device")


def test_what_decorates_a_run_or_shows_a_table_costs_no_figure(crops, tmp_path, monkeypatch, capsys):
    really = table.write_text
    monkeypatch.setattr(
        table, "write_text", lambda path, text: (refused if path.suffix == ".csv" else really)(path, text)
    )
    for module, name in ((grid, "save_grid"), (attention, "save_lines"), (judge, "save_statistics")):
        monkeypatch.setattr(module, name, refused)
    (tmp_path / "attention.csv").write_text("of an earlier call")
    report = study(crops, tmp_path, attention=(None,))
    assert report.complete
    assert rows_of(tmp_path)[0]["frechet_distance"]["count"] == 1
    assert "Fréchet distance" in (tmp_path / "attention.txt").read_text()
    assert outcome(report).failed == (f"{tmp_path / 'attention.csv'} is left out (No space left on device)",)
    assert not (tmp_path / "attention.csv").exists()
    said = capsys.readouterr().err
    for name in ("samples/attention-none-seed-0.png", "attention.png", "real/"):
        assert f"{tmp_path / name}" in said
