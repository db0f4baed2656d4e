"""From a source to a scored zip, and on again from wherever it stopped."""

import json
import shutil
import signal
import zipfile
from collections import Counter

import children
import numpy as np
import pytest
from PIL import Image
from tiny import RECIPE

from dogsgan import choosing, pipeline, stages
from dogsgan.config import DataRecipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.models import build_networks, sampling
from dogsgan.pipeline import run_pipeline
from dogsgan.presets import preset
from dogsgan.scoring import score
from dogsgan.stages import finishing_seconds, generate, refuse_other_crops, train_within
from dogsgan.submission import CheckReport, SubmissionReport, check_submission, write_submission
from dogsgan.submission.labels import read_labels
from dogsgan.supervise.driver import Driver, Job
from dogsgan.supervise.session import Clock, Session, Terminal
from dogsgan.training import interrupts, loop
from dogsgan.training.deadline import Deadline
from dogsgan.training.run_folder import TrainReport

in_process = children.in_process_fixture
pytestmark = pytest.mark.usefixtures("in_process")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=24, seed=1)


def run(source, out, **settings):
    defaults = {"recipe": RECIPE, "images": 16, "count": 20, "network": "stand-in", "device": "cpu"}
    return run_pipeline(source, out, **{**defaults, "audited": False, **settings})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "out"


@pytest.fixture
def finished(source, kept, tmp_path):
    """A folder of its own that holds a finished run of the source."""
    if not kept.exists():
        run(source, kept)
    return shutil.copytree(kept, tmp_path / "out")


def test_a_source_becomes_a_scored_zip(source, tmp_path):
    report = run(source, tmp_path)
    assert report.check.ok, report.check.summary()
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved == json.loads(json.dumps(report.to_json()))
    assert saved["train"]["images_seen"] == 16
    assert saved["score"]["network"] == "stand-in"
    assert saved["score"]["generated"] == 20
    assert saved["score"]["competition"] is False
    assert "NOT" in report.summary() or "not the competition" in report.summary().lower()
    with Image.open(tmp_path / "samples.png") as grid:
        assert grid.width > 16 * 32
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        names = archive.namelist()
    labels = read_labels(tmp_path / "labels.csv")
    assert list(labels) == sorted(names)
    assert len(names) == 20
    assert not (tmp_path / "best.png").exists()  # the stand-in recognises nothing
    class_names = json.loads((tmp_path / "crops" / "set.json").read_text())["class_names"]
    assert list(labels.values()) == [class_names[index % len(class_names)] for index in range(20)]


def test_a_second_call_reads_each_real_picture_once(source, finished, monkeypatch):
    """For the crops' key; the score, whose features are kept, knows the contents by the same reading."""
    reads, read = Counter(), Source.read

    def counted(opened, image):
        reads[opened.path.name, image.name] += 1
        return read(opened, image)

    monkeypatch.setattr(Source, "read", counted)
    assert run(source, finished).score is not None
    assert [count for (name, _), count in reads.items() if name == source.name] == [1] * 24


def test_the_same_again_does_no_stage_twice(source, finished, monkeypatch):
    first = json.loads((finished / "report.json").read_text())
    content = (finished / "images.zip").read_bytes()
    monkeypatch.setattr(stages, "write_samples", None)  # would fail if it were called
    again = run(source, finished)
    assert again.prepare.reused
    assert again.train.steps == first["train"]["steps"]
    assert again.generate["reused"]
    assert (finished / "images.zip").read_bytes() == content
    assert json.loads(json.dumps(again.to_json()))["score"] == first["score"]


def test_more_images_go_on_and_make_a_new_zip(source, finished):
    before = (finished / "images.zip").read_bytes()
    report = run(source, finished, images=32)
    assert report.train.images_seen == 32
    assert not report.generate["reused"]
    assert (finished / "images.zip").read_bytes() != before


def test_a_zip_that_was_tampered_with_is_made_anew(source, finished):
    (finished / "images.zip").write_bytes(b"PK")
    assert run(source, finished).check.ok


def test_a_spent_budget_still_gives_a_zip_that_is_never_called_ok(source, tmp_path, monkeypatch):
    """Refused before it starts, unless what came before training took longer than was foreseen."""
    with pytest.raises(DogsganError, match=r"tiny needs about .* give --budget"):
        run(source, tmp_path / "refused", images=None, deadline=Deadline(1.0))
    assert not (tmp_path / "refused").exists()

    monkeypatch.setattr(choosing, "refuse_too_slow", lambda *arguments, **settings: None)
    told = []
    report = run(source, tmp_path, images=None, deadline=Deadline(1.0), tell=told.append)
    assert report.train.stopped_by == "budget"
    assert check_submission(tmp_path / "images.zip", count=20, size_px=32).ok
    assert not report.ok
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["untrained"] is True
    assert saved["train"]["untrained"] is True
    assert saved["generate"]["untrained"] is True
    assert saved["check"]["ok"] is saved["ok"] is False
    assert [problem["kind"] for problem in saved["check"]["problems"]] == ["untrained"]
    _prepared, *after = [line for line in told if "reader" not in line]
    assert len(after) == 4
    assert all("untrained" in line for line in [*after, report.closing()]), after
    assert not any(": ok" in line for line in after)


@pytest.mark.parametrize(("sampled", "is_noise"), [(0, True), (16, False), (48, False)])
def test_a_zip_by_an_older_generator_is_said_and_noise_is_never_ok(sampled, is_noise, tmp_path):
    """A full disk keeps what was trained from being saved: the first generator is all that is left."""
    trained = TrainReport(tmp_path, 48, 6, "images", 1.0, 0)
    written = SubmissionReport(tmp_path / "images.zip", 20, 1.0, 1, images_seen=sampled).to_json()
    record = pipeline._Record(tmp_path, began=0.0, tell=lambda text: None)
    record.add("", train=trained, generate=written, check=CheckReport(tmp_path, True, 20, (), 32, 3))
    pipeline._note_older_generator(record, trained, written)
    assert (record.report.untrained, record.report.ok) == (is_noise, not is_noise)
    said = f"images.zip is by the generator of {sampled} images, and training reached 48"
    assert [note.startswith(said) for note in record.report.notes] == [True] * (sampled < 48)


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_still_gives_a_valid_zip_and_a_report(source, tmp_path, monkeypatch, name):
    """Somebody who wants an end is not kept waiting for a score; a terminal that is gone may have one."""
    step = loop.train_step

    def interrupted(state, loss):
        if state.steps == 2:
            signal.raise_signal(getattr(signal, name))
        return step(state, loss)

    monkeypatch.setattr(loop, "train_step", interrupted)
    report = run(source, tmp_path, images=10**6)
    assert (report.train.stopped_by, report.train.images_seen) == (name, 12)
    assert report.ok
    saved = json.loads((tmp_path / "report.json").read_text())
    assert saved["train"]["stopped_by"] == name
    scored = name == "SIGHUP"
    assert (saved["score"] is not None) == scored
    assert ("not scored" in report.summary()) == (not scored)


def test_a_second_ctrl_c_ends_a_run_at_once(source, tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise_twice()

    def raise_twice():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(interrupts, "SAME_S", -1.0)
    monkeypatch.setattr(loop, "train_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path)


def test_the_report_grows_with_the_stages_and_tells_each_as_it_ends(source, tmp_path, monkeypatch):
    grown = []

    def tell(text):
        path = tmp_path / "report.json"
        saved = json.loads(path.read_text()) if path.exists() else {}
        grown.append((text, [name for name in stages if saved.get(name) is not None]))

    stages = ("prepare", "train", "generate", "check", "score", "audit")
    report = run(source, tmp_path, tell=tell)
    assert [known for _, known in grown] == [list(stages[:index]) for index in range(len(stages) - 1)]
    assert [text for text, _ in grown] == [
        report.prepare.summary(),
        report.train.summary(),
        grown[2][0],
        report.check.summary(),
        report.score.summary(),
    ]
    assert report.closing() not in [text for text, _ in grown]


def test_an_audit_that_is_interrupted_leaves_score_and_report(source, finished, monkeypatch):

    def interrupted(zip_path, real, *, on_score, **settings):
        on_score(score(zip_path, real, network="stand-in", device="cpu"))
        raise KeyboardInterrupt

    monkeypatch.setattr("dogsgan.audit.audit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(source, finished, images=32, audited=True)
    saved = json.loads((finished / "report.json").read_text())
    assert saved["train"]["images_seen"] == 32
    assert saved["score"]["generated"] == 20
    assert saved["audit"] is None


def test_a_report_that_cannot_be_written_costs_no_stage(source, tmp_path, monkeypatch, capsys):
    def onto_a_full_disk(path, value):
        if path.name == "report.json":
            raise DogsganError("the disk is full")
        write_json(path, value)

    write_json = pipeline.write_json
    monkeypatch.setattr(pipeline, "write_json", onto_a_full_disk)
    assert run(source, tmp_path).score is not None
    assert "report.json is not written: the disk is full" in capsys.readouterr().err


@pytest.mark.parametrize("other", ["recipe", "source", "policy"])
def test_another_run_in_the_same_folder_is_refused_before_its_crops_are_touched(
    source, finished, tmp_path, other
):
    out = finished
    crops = {path: path.read_bytes() for path in (out / "crops").iterdir()}
    recipe = RECIPE
    if other == "recipe":
        recipe = RECIPE.with_overrides(["model.z_dim=8", "data.size_px=16", "model.generator_attention_px="])
        recipe = recipe.with_overrides(["model.discriminator_attention_px="])
    elif other == "policy":
        recipe = RECIPE.with_overrides(["data.policy=whole"])
    else:
        source = draw_competition(tmp_path / "others.zip", images=20, seed=2)
    with pytest.raises(DogsganError, match="another --out"):
        run(source, out, recipe=recipe, images=32)
    assert {path: path.read_bytes() for path in (out / "crops").iterdir()} == crops
    assert not [path for path in out.iterdir() if "partial" in path.name or path.name.startswith(".crops")]


def test_without_the_competition_s_weights_another_network_says_so(source, tmp_path, monkeypatch):
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "empty"))
    report = run(source, tmp_path / "out", network="auto")
    assert report.score.network == "efficientnet-lite0"
    assert report.score.recognition.generated.pictures == 20
    ordered = report.score.recognition.ordered()
    probability = report.score.recognition.probability
    assert sorted(probability.values(), reverse=True) == [probability[name] for name in ordered]
    grids = [np.asarray(Image.open(tmp_path / "out" / f"{name}.png")) for name in ("best", "worst")]
    with zipfile.ZipFile(tmp_path / "out" / "images.zip") as archive:
        for grid, name in zip(grids, (ordered[0], ordered[-1]), strict=True):
            assert np.array_equal(grid[2:34, 2:34], np.asarray(Image.open(archive.open(name))))
    assert "NOT the competition's score" in report.summary()
    assert any("not Kaggle's" in note for note in report.notes)


def test_pictures_without_labels_make_an_unconditional_run(tmp_path, capsys):
    folder = tmp_path / "pictures"
    folder.mkdir()
    random = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    report = run(folder, tmp_path / "out")
    assert report.check.ok
    said = capsys.readouterr().err
    assert said.index("have no labels: tiny is trained unconditionally") < said.index("crop:")
    saved = json.loads((tmp_path / "out" / "run" / "recipe.json").read_text())
    assert saved["model"]["conditional"] is False
    assert not (tmp_path / "out" / "labels.csv").exists()


@pytest.mark.parametrize(
    "settings",
    [
        {"truncation": 5.0},
        {"images": None},
        {"truncation": 0.5, "recipe": RECIPE.with_overrides(["model.noise=uniform"])},
        {"network": "private", "weights": None},
        {"network": "inception"},
        {"network": "auto", "weights": "missing.pth"},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_before_hours_are_spent(source, tmp_path, monkeypatch, settings):
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "empty"))
    if settings.get("weights"):
        settings = {**settings, "weights": tmp_path / settings["weights"]}
    with pytest.raises(DogsganError):
        run(source, tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["images.zip", "link.zip"])
def test_a_source_that_the_zip_would_replace_is_refused(source, tmp_path, name):
    (tmp_path / "images.zip").write_bytes(source.read_bytes())
    (tmp_path / "link.zip").symlink_to("images.zip")
    with pytest.raises(DogsganError, match=r"would be written over by .*images\.zip: choose another --out"):
        run(tmp_path / name, tmp_path)
    assert (tmp_path / "images.zip").read_bytes() == source.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images.zip", "link.zip"]


def test_a_score_that_fails_costs_no_report(source, tmp_path, monkeypatch):
    def fail(*args, **settings):
        raise DogsganError("no score today")

    monkeypatch.setattr("dogsgan.score.score", fail)
    report = run(source, tmp_path)
    assert report.check.ok
    assert json.loads((tmp_path / "report.json").read_text())["notes"] == ["not scored: no score today"]


def test_a_run_ends_with_an_audit(source, tmp_path, monkeypatch):
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    report = run(source, tmp_path / "out", audited=True, audit_sample=10)
    assert len(report.audit.findings) == 10
    assert report.score == report.audit.scores[0]
    saved = json.loads((tmp_path / "out" / "report.json").read_text())
    assert saved["audit"]["flagged"] == len(report.audit.flagged)
    assert (tmp_path / "out" / "audit" / "report.html").is_file()
    assert report.audit.summary() in report.summary()


def test_an_audit_that_fails_costs_neither_score_nor_report(source, tmp_path, monkeypatch):
    def fail(*args, **settings):
        raise DogsganError("no audit today")

    monkeypatch.setattr("dogsgan.audit.audit", fail)
    report = run(source, tmp_path, audited=True)
    assert report.score is not None
    assert json.loads((tmp_path / "report.json").read_text())["notes"] == ["not audited: no audit today"]


def test_the_reserve_is_what_sampling_and_zipping_take():
    generator = build_networks(RECIPE, class_count=3).generator
    few, many = (finishing_seconds(generator, RECIPE, class_count=3, count=n) for n in (64, 64_000))
    assert many > 20 * few > 0


def test_a_run_s_recipe_says_how_its_crops_were_made(source, tmp_path):
    prepare(source, tmp_path / "set", DataRecipe(size_px=32, policy="context", min_box_px=3))
    crop_set = CropSet.open(tmp_path / "set")
    train_within(RECIPE, crop_set, tmp_path / "run", images=4, deadline=Deadline(None), device="cpu")
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["data"]["policy"] == "context"
    asked = RECIPE.with_overrides(["data.policy=whole"])
    with pytest.raises(DogsganError, match=r"data\.policy: whole -> context"):
        refuse_other_crops(["data.policy=whole"], asked, crop_set)
    refuse_other_crops(["data.size_px=32"], asked, crop_set)


def test_a_failing_generator_leaves_no_zip(finished, tmp_path, monkeypatch):
    def break_off(self, count, **settings):
        yield sampling.Batch(np.zeros((4, 32, 32, 3), dtype=np.uint8), np.zeros(4, dtype=np.int64))
        raise KeyboardInterrupt

    monkeypatch.setattr(sampling.Sampler, "batches", break_off)
    with pytest.raises(KeyboardInterrupt):
        generate(finished / "run", tmp_path / "new.zip", count=20, device="cpu")
    assert not [path for path in tmp_path.iterdir() if "new.zip" in path.name]


@pytest.mark.parametrize(
    "recipe",
    [preset("mnist-gan"), RECIPE.with_overrides(["data.size_px=64", "data.channels=1"])],
    ids=["28", "64"],
)
def test_a_grey_run_of_any_size_leaves_grey_pictures(tmp_path, recipe):
    """Of 28 and of 64 px; 32 are the demo's, in its own tests."""
    source, size_px = draw_digits(tmp_path / "digits", images=30), recipe.data.size_px
    report = run(source, tmp_path / "out", recipe=recipe, images=8, count=21)
    assert report.check.ok, report.check.summary()
    assert (report.check.size_px, report.check.channels) == (size_px, 1)
    assert report.score is not None
    with zipfile.ZipFile(tmp_path / "out" / "images.zip") as archive:
        pictures = [Image.open(archive.open(name)) for name in archive.namelist()]
    assert {(picture.mode, picture.size) for picture in pictures} == {("L", (size_px, size_px))}
    grid = np.asarray(Image.open(tmp_path / "out" / "samples.png").convert("RGB"))
    assert (grid[..., 0] == grid[..., 1]).all()
    assert (grid[..., 0] == grid[..., 2]).all()
    assert grid.std() > 1


@pytest.mark.parametrize("size_px", [28, 32])
def test_both_sides_of_a_score_see_a_digit_alike(tmp_path, size_px, monkeypatch):
    """In three channels, and in the border that a recipe for 32 px gives MNIST's 28."""
    monkeypatch.setenv("DOGSGAN_CACHE", str(tmp_path / "cache"))
    source = draw_digits(tmp_path / "digits", images=120)
    crops = prepare(source, tmp_path / "set", DataRecipe(size_px=size_px, policy="whole")).crop_set
    submission = write_submission([crops.pictures[..., :1]], tmp_path / "all.zip", count=120)
    result = score(submission.path, source, network="stand-in", device="cpu")
    assert abs(result.fid) < 1e-3
    assert result.distance < 1e-6


def test_a_grid_that_cannot_be_drawn_costs_itself_only(source, tmp_path, monkeypatch, capsys):
    def failing(*_, **__):
        raise RuntimeError("no font")

    (tmp_path / "samples.png").write_bytes(b"of an earlier call")
    monkeypatch.setattr(pipeline, "save_sample_grid", failing)
    report = run(source, tmp_path)
    assert report.ok
    assert report.score is not None
    assert not (tmp_path / "samples.png").exists()
    assert "samples.png is left out (RuntimeError: no font)" in capsys.readouterr().err


def test_a_trainer_that_reports_nothing_is_reported_by_what_it_left(tmp_path):
    (tmp_path / "run" / "checkpoints" / "000000048").mkdir(parents=True)
    recipe = RECIPE.with_overrides(["training.batch_size=4", "training.discriminator_steps=2"])
    job = Job(recipe, tmp_path, run=tmp_path / "run", zip_path=tmp_path / "images.zip")
    driver = Driver(Session(Clock.of(Deadline(None)), Terminal()), job)
    report = pipeline._train_report(driver, seconds=7.5)
    assert (report.images_seen, report.steps, report.seconds, report.stopped_by) == (48, 6, 7.5, "crash")
