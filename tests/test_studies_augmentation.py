"""The augmentation study: nested subsets, a test split that stays unseen, honest rows, and going on."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats
import tiny
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsgan.cli import main
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.errors import DogsganError
from dogsgan.studies import runs
from dogsgan.studies.augmentation import study as augmentation
from dogsgan.studies.augmentation.classifier import Labelled
from dogsgan.studies.augmentation.parts import REGIMES, Splits, nested_order, open_splits, subset, variety
from dogsgan.studies.augmentation.study import Accuracy, parse_sizes, study_augmentation
from dogsgan.studies.table import spread_of

RECIPE = dataclasses.replace(
    tiny.RECIPE, training=dataclasses.replace(tiny.RECIPE.training, flip=False, diffaugment="")
)
COUNT = 24
CLASSES = [f"class {i}" for i in range(3)]


@pytest.fixture(autouse=True)
def _without_plots(monkeypatch, request):
    if "with_plots" not in request.fixturenames:
        monkeypatch.setattr("dogsgan.studies.augmentation.study.save_lines", lambda *args, **named: None)


@pytest.fixture
def with_plots():
    """The plot is drawn, after every step: most tests have no use for it."""


def pictures(folder, *, count, seed, classes=3):
    """Write noise with a bright square that tells the class."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 80, (count, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(count) % classes
    for image, label in zip(images, labels, strict=True):
        image[8:16, 8 * label : 8 * label + 8] = 250
    return write_crop_set(folder, images, labels, class_names=[f"class {i}" for i in range(classes)])


@pytest.fixture
def splits(tmp_path):
    return Splits(
        train=pictures(tmp_path / "set", count=COUNT, seed=0),
        test=pictures(tmp_path / "held-out", count=30, seed=1),
    )


def study(splits, out, **changes):
    arguments = {
        "recipe": RECIPE,
        "test": splits.test.path,
        "sizes": [6, None],
        "seeds": 1,
        "gan_images": 8,
        "classifier_images": 128,
        "generated": 12,
        "device": "cpu",
    }
    return study_augmentation(splits.train.path, out, **{**arguments, **changes})


def labels_strategy():
    return st.lists(st.integers(0, 4), min_size=1, max_size=60).map(np.array)


@settings(deadline=None)
@given(labels=labels_strategy(), seed=st.integers(0, 99))
def test_every_beginning_of_the_order_has_the_classes_in_their_shares(labels, seed):
    order = nested_order(labels, seed=seed)
    assert sorted(order.tolist()) == list(range(len(labels)))
    classes = np.unique(labels)
    for size in range(1, len(labels) + 1):
        for label in classes:
            share = size * (labels == label).mean()
            found = (labels[order[:size]] == label).sum()
            assert abs(found - share) < 1 + len(classes) / 2


def test_smaller_subsets_are_part_of_larger_ones_and_seeds_differ(splits):
    small, large, other = (subset(splits.train, n, seed=s) for n, s in ((6, 0), (12, 0), (6, 1)))
    assert set(small) < set(large)
    assert set(small) != set(other)
    assert np.bincount(splits.train.labels[small]).tolist() == [2, 2, 2]


def test_subsets_that_cannot_be_drawn_are_refused(splits):
    with pytest.raises(DogsganError, match="there are 24"):
        subset(splits.train, 25, seed=0)
    with pytest.raises(DogsganError, match="do not hold all 3 classes"):
        subset(splits.train, 2, seed=0)


def test_the_whole_study_from_the_command_line(splits, tmp_path, capsys, with_plots):
    out = tmp_path / "study"
    arguments = [f"--test={splits.test.path}", f"--out={out}", "--sizes=6,all", "--seeds=1", "--preset=demo"]
    arguments += ["--gan-images=32", "--classifier-images=640", "--count=12", "--device=cpu", "--json"]
    recipe = ["data.size_px=32", "model.generator_attention_px=", "model.discriminator_attention_px="]
    recipe += ["data.channels=1"]
    arguments += [f"--set={setting}" for setting in recipe]
    assert main(["study", "augmentation", str(splits.train.path), *arguments]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["complete"]
    assert [row["real_pictures"] for row in content["rows"]] == [6, COUNT]
    assert [(run["real_pictures"], run["seed"]) for run in content["runs"]] == [(6, 0), (24, 0)]
    for run in content["runs"]:
        assert set(run["classifiers"]) == set(REGIMES)
        assert {outcome["images_seen"] for outcome in run["classifiers"].values()} == {640}
        assert run["gan"]["images_seen"] == 32
        assert 0 <= run["signs"]["agreement"] <= 1
        assert run["classifiers"]["real"]["accuracy"] == 1  # the square is easily found
    saved = json.loads((out / "augmentation.json").read_text())
    assert saved["rows"] == content["rows"]
    for name in ("augmentation.txt", "augmentation.csv", "augmentation.png", "samples/n-6-seed-0.png"):
        assert (out / name).stat().st_size > 100
    table = (out / "augmentation.txt").read_text()
    assert all(heading in table for heading in REGIMES.values())
    assert "1 of 1" in table


def test_the_figures_of_a_row_are_the_mean_and_students_interval():
    values = [0.981, 0.972, 0.9845]
    spread = spread_of(values)
    shown = Accuracy(**vars(spread))
    low, high = scipy.stats.t.interval(0.95, 2, loc=np.mean(values), scale=scipy.stats.sem(values))
    assert spread.mean - spread.half_width == pytest.approx(low)
    assert spread.mean + spread.half_width == pytest.approx(high)
    assert shown.text() == f"97.92 ± {100 * (high - low) / 2:.2f}"
    assert Accuracy(**vars(spread_of([0.5]))).text() == "50.00 (1 seed)"


def test_no_test_picture_is_ever_trained_on(splits, tmp_path, monkeypatch):
    trained = []
    genuine_classifier = augmentation.train_classifier
    genuine_gan = runs.train_within

    def classifier(feeds, **named):
        trained.extend(picture.numpy().tobytes() for feed in feeds for picture in feed.data.pictures)
        return genuine_classifier(feeds, **named)

    def gan(recipe, crop_set, *args, **named):
        trained.extend(picture.tobytes() for picture in crop_set.pictures)
        assert len(crop_set) in (6, COUNT)
        return genuine_gan(recipe, crop_set, *args, **named)

    monkeypatch.setattr(augmentation, "train_classifier", classifier)
    monkeypatch.setattr(runs, "train_within", gan)
    study(splits, tmp_path / "study")
    assert {picture.tobytes() for picture in splits.train.pictures} <= set(trained)
    assert not {picture.tobytes() for picture in splits.test.pictures} & set(trained)


def test_a_gan_sees_the_same_pictures_as_the_classifier_beside_it(splits, tmp_path):
    out = tmp_path / "study"
    study(splits, out, sizes=[6])
    chosen = subset(splits.train, 6, seed=0)
    crops = CropSet.open(out / "n-6" / "seed-0" / "real")
    assert np.array_equal(crops.pictures, splits.train.pictures[chosen])
    assert np.array_equal(crops.labels, splits.train.labels[chosen])
    assert crops.class_names == splits.train.class_names


def refuse_to_train(*args, **named):
    raise AssertionError("trained again")


def test_what_is_finished_is_reused_and_more_seeds_extend_it(splits, tmp_path, monkeypatch):
    out = tmp_path / "study"
    first = study(splits, out, sizes=[6])
    with monkeypatch.context() as patched:
        patched.setattr(augmentation, "train_classifier", refuse_to_train)
        patched.setattr(runs, "train_within", refuse_to_train)
        again = study(splits, out, sizes=[6])
    assert again.content == first.content
    (
        out / "n-6" / "seed-0" / "gan" / "result.json"
    ).unlink()  # as an earlier version, which kept it elsewhere
    with monkeypatch.context() as patched:
        patched.setattr(augmentation, "train_classifier", refuse_to_train)
        again = study(splits, out, sizes=[6])
    assert again.content == first.content
    record = out / "n-6" / "seed-0" / "classifiers" / "both.json"
    stale = {**json.loads(record.read_text()), "generator": "another one", "accuracy": 0.123}
    record.write_text(json.dumps(stale))
    (record.parent / "gan.json").write_text('{"of": "another version"}')
    more = study(splits, out, sizes=[6], seeds=2)
    for regime, outcome in more.content["runs"][0]["classifiers"].items():
        assert outcome["accuracy"] == first.content["runs"][0]["classifiers"][regime]["accuracy"]
    assert [run["seed"] for run in more.content["runs"]] == [0, 1]


def test_a_stopped_study_shows_what_there_is_and_goes_on(splits, tmp_path, monkeypatch):
    out = tmp_path / "study"
    genuine, calls = augmentation.feeds_of, []

    def stopping(regime, *data):
        calls.append(regime)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return genuine(regime, *data)

    with monkeypatch.context() as patched:
        patched.setattr(augmentation, "feeds_of", stopping)
        with pytest.raises(KeyboardInterrupt):
            study(splits, out, sizes=[6])
    half = json.loads((out / "augmentation.json").read_text())
    assert set(half["runs"][0]["classifiers"]) == {"real", "classic", "gan"}
    assert half["rows"][0]["seeds_done"] == "0 of 1"
    whole = study(splits, out, sizes=[6])
    assert whole.content["rows"][0]["seeds_done"] == "1 of 1"
    for regime, outcome in half["runs"][0]["classifiers"].items():
        assert whole.content["runs"][0]["classifiers"][regime] == outcome


def test_a_signal_while_the_gan_trains_stops_the_study(splits, tmp_path, monkeypatch):
    genuine = runs.train_within

    def signalled(*args, **named):
        return dataclasses.replace(genuine(*args, **named), stopped_by="SIGTERM")

    monkeypatch.setattr(runs, "train_within", signalled)
    with pytest.raises(KeyboardInterrupt):
        study(splits, tmp_path / "study", sizes=[6])
    assert not (tmp_path / "study" / "n-6" / "seed-0" / "gan" / "result.json").exists()


def test_changed_settings_are_refused_by_name_in_one_line(splits, tmp_path):
    out = tmp_path / "study"
    study(splits, out, sizes=[6])
    for changes, named in (
        ({"gan_images": 16}, "gan_images: 8 -> 16"),
        ({"classifier_images": 256}, "classifier_images: 128 -> 256"),
        ({"recipe": RECIPE.with_overrides(["training.batch_size=8"])}, "training.batch_size: 4 -> 8"),
        ({"test": pictures(tmp_path / "third", count=30, seed=2).path}, "test_source"),
    ):
        with pytest.raises(DogsganError) as caught:
            study(splits, out, sizes=[6], **changes)
        assert named in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_gan_that_makes_nan_is_named_in_its_row_and_costs_no_other(splits, tmp_path, monkeypatch):
    def diverged(folder, **named):
        if "n-6" in str(folder):
            raise DogsganError("the generator makes NaN pictures")
        return genuine(folder, **named)

    genuine = augmentation.sample
    monkeypatch.setattr(augmentation, "sample", diverged)
    report = study(splits, tmp_path / "study")
    assert not report.complete
    small, large = report.content["rows"]
    assert small["gan"] is small["both"] is small["gan-only"] is None
    assert small["real"]["count"] == small["classic"]["count"] == large["gan"]["count"] == 1
    assert "1× no pictures" in small["gan_ended"]
    assert "not in the means: 6 real pictures, seed 0, real + GAN: the generator makes NaN" in report.text


def test_a_grid_that_cannot_be_written_costs_itself_only(splits, tmp_path, monkeypatch, capsys):
    def full(*args, **named):
        raise DogsganError("No space left on device")

    monkeypatch.setattr(augmentation, "save_grid", full)
    report = study(splits, tmp_path / "study", sizes=[6])
    assert report.complete
    assert report.content["rows"][0]["gan-only"]["count"] == 1
    assert "n-6-seed-0.png is left out (No space left on device)" in capsys.readouterr().err


def test_a_diverged_run_is_reported_as_such(splits, tmp_path, monkeypatch):
    genuine = runs.train_within

    def diverged(*args, **named):
        return dataclasses.replace(genuine(*args, **named), stopped_by="diverged", rollbacks=3)

    monkeypatch.setattr(runs, "train_within", diverged)
    report = study(splits, tmp_path / "study", sizes=[6])
    assert report.content["rows"][0]["gan_ended"] == "diverged"
    assert report.content["runs"][0]["gan"]["rollbacks"] == 3
    assert "diverged" in report.text


def test_a_gan_out_of_memory_is_tried_again(splits, tmp_path, monkeypatch):
    genuine = runs.train_within

    def too_big(*args, **named):
        return dataclasses.replace(genuine(*args, **{**named, "images": 4}), stopped_by="out-of-memory")

    with monkeypatch.context() as patched:
        patched.setattr(runs, "train_within", too_big)
        report = study(splits, tmp_path / "study", sizes=[6])
    assert not report.complete
    row = report.content["rows"][0]
    assert (row["gan_ended"], row["gan_images_seen"], row["seeds_done"]) == ("out-of-memory", [4], "0 of 1")
    report = study(splits, tmp_path / "study", sizes=[6])
    assert report.complete
    row = report.content["rows"][0]
    assert (row["gan_ended"], row["gan_images_seen"], row["seeds_done"]) == ("images", [8], "1 of 1")


@pytest.mark.parametrize("note", ['{"images_seen": 8}', "[]", '{"trained": null}', '{"trained": {"of": 1}}'])
def test_a_note_of_another_version_is_none(tmp_path, note):
    (tmp_path / "result.json").write_text(note)
    assert runs.kept_training(tmp_path, images=8) is None


def test_collapse_shows_as_little_variety():
    labels = torch.arange(40) % 2
    real = Labelled(torch.randint(0, 255, (40, 8, 8, 1), dtype=torch.uint8), labels)
    same = Labelled(real.pictures[:2].repeat(20, 1, 1, 1), labels)
    assert variety(real, real) == pytest.approx(1)
    assert variety(same, real) == 0
    assert variety(real, same) is None


def test_sources_that_cannot_be_studied_are_refused(splits, tmp_path):
    unlabelled = write_crop_set(tmp_path / "plain", splits.train.pictures)
    other = pictures(tmp_path / "other", count=8, seed=3, classes=2)
    for changed, message in (
        (Splits, None),
        ({"train": unlabelled}, "has no classes"),
        ({"test": other}, "not the same ones"),
        ({"test": splits.train}, "are the same pictures"),
    ):
        if message:
            with pytest.raises(DogsganError, match=message):
                dataclasses.replace(splits, **changed)
    with pytest.raises(DogsganError, match="name them with --test"):
        open_splits(splits.train.path, None)
    with pytest.raises(DogsganError, match="knows no classes"):
        study(splits, tmp_path / "study", recipe=RECIPE.with_overrides(["model.conditional=false"]))


def test_a_refused_study_leaves_nothing_that_binds_the_next(splits, tmp_path):
    out = tmp_path / "study"
    for changes, message in (
        ({"recipe": RECIPE.with_overrides(["model.generator_attention_px=9"])}, "9"),
        ({"recipe": RECIPE.with_overrides(["data.size_px=30"])}, "32 px and the recipe wants 30"),
        ({"recipe": RECIPE.with_overrides(["model.discriminator_dropout=0.5"])}, "has ReLU"),
        ({"sizes": [2]}, "do not hold all 3 classes"),
        ({"test": splits.train.path}, "are the same pictures"),
        ({"generated": 2}, "--count that is a multiple of 3"),
        ({"generated": 13}, "--count that is a multiple of 3"),
        ({"recipe": RECIPE.with_overrides([f"training.seed={2**63 - 1}"]), "seeds": 2}, r"training\.seed = "),
    ):
        with pytest.raises(DogsganError, match=message) as caught:
            study(splits, out, **changes)
        assert "\n" not in str(caught.value)
        assert not out.exists()


def test_pictures_that_no_network_makes_are_refused_before_the_folder_is_bound(tmp_path):
    for split, offset in (("train", 0), ("test", 99)):
        for index in range(6):
            path = tmp_path / split / f"class {index % 3}" / f"{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((40, 40, 3), 9 * index + offset, dtype=np.uint8)).save(path)
    for _ in range(2):
        with pytest.raises(DogsganError, match="30"):
            study_augmentation(
                tmp_path / "train",
                tmp_path / "study",
                recipe=RECIPE.with_overrides(["data.size_px=30"]),
                test=tmp_path / "test",
                generated=12,
                sizes=[None],
            )
    assert not (tmp_path / "study" / "settings.json").exists()


def test_each_seed_has_a_gan_of_its_own(splits, tmp_path):
    report = study(splits, tmp_path / "study", sizes=[None], seeds=2)  # all pictures: nothing else differs
    first, second = (run["gan"]["generator"] for run in report.content["runs"])
    assert first != second


def test_sizes_are_read_from_text():
    assert parse_sizes("100, 5000,all") == (100, 5000, None)
    for text in ("", "0", "ten", "-5", "1.5"):
        with pytest.raises(DogsganError, match="--sizes"):
            parse_sizes(text)


def test_mnist_has_both_splits(shared_data):
    train, test = open_splits(shared_data / "mnist", None)
    assert (len(train.images), len(test.images)) == (60_000, 10_000)
    assert {image.class_name for image in test.images} == {str(digit) for digit in range(10)}
