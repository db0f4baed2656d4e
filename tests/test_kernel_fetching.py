"""The output of a run in a folder here: whole, under safe names, checked and scored."""

import io
import json
import time
import zipfile

import kaggle_server
import numpy as np
import pytest
from kaggle_server import KERNEL, Reply, log_of
from PIL import Image

from dogsgan.data.drawn.competition import draw_competition
from dogsgan.errors import DogsganError
from dogsgan.kernel.kaggle.client import Kaggle
from dogsgan.kernel.kaggle.output import fetch_output
from dogsgan.presets import preset

kaggle = kaggle_server.kaggle_fixture
run = kaggle_server.run_fixture


def zip_of_pictures(count: int, *, shape: tuple[int, ...] = (64, 64, 3)) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for i in range(count):
            picture = io.BytesIO()
            pixels = np.random.default_rng(i).integers(0, 256, shape, np.uint8)
            Image.fromarray(pixels).save(picture, "PNG")
            archive.writestr(f"{i}.png", picture.getvalue())
    return packed.getvalue()


@pytest.fixture
def output(kaggle):
    kaggle.files = {
        "images.zip": zip_of_pictures(12),
        "samples.png": b"png",
        "run/log.jsonl": b"{}\n",
        "generator.safetensors": bytes(100_000),
        "log.txt": b"",
    }
    return kaggle


def test_the_output_is_fetched_and_checked(output, run, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("output", KERNEL, "--out", out, "--count", 12, "--json") == 0
    for name, content in output.files.items():
        assert (out / name).read_bytes() == content
    assert (out / "dogs-sagan.log").read_text() == "hello\na zip of 10,000 pictures\n"
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    assert names == {*output.files, "dogs-sagan.log"}
    captured = capsys.readouterr()
    assert "  | a zip of 10,000 pictures\n" in captured.err
    answer = json.loads(captured.out)
    assert answer["check"]["ok"] is True
    assert answer["version"] == 3
    assert answer["score"] is None


def test_the_checkpoint_stays_at_kaggle(output, tmp_path):
    output.files = {**output.files, "checkpoints/000000016/weights.safetensors": b"half a gigabyte"}
    fetched = fetch_output(KERNEL, tmp_path / "out", count=12)
    assert len(fetched.files) == 6
    assert not (tmp_path / "out" / "checkpoints").exists()


def test_the_credentials_do_not_travel_to_the_file_server(output, tmp_path):
    fetch_output(KERNEL, tmp_path / "out", count=12)
    fetched = [header for name, _, header in output.requests if name.startswith("file:")]
    assert fetched == [""] * 5


def test_a_zip_that_the_competition_would_refuse_is_a_no(output, run, tmp_path):
    assert run("output", KERNEL, "--out", tmp_path / "out") == 1


def test_a_zip_is_held_to_the_recipe_that_the_kernel_left(output, tmp_path):
    recipe = {**preset("mnist-gan").to_json(), "crop_set": "0" * 64}  # as a run has it
    grey = {"images.zip": zip_of_pictures(3, shape=(28, 28)), "recipe.json": json.dumps(recipe).encode()}
    output.files |= grey
    assert fetch_output(KERNEL, tmp_path / "grey", count=3).check.ok
    output.files["images.zip"] = zip_of_pictures(3)
    kinds = {problem.kind for problem in fetch_output(KERNEL, tmp_path / "colour", count=3).check.problems}
    assert kinds == {"size", "mode"}
    output.files["recipe.json"] = b"{"  # says nothing: the competition's form counts
    assert fetch_output(KERNEL, tmp_path / "broken", count=3).check.ok


def test_the_output_is_scored_against_real_pictures(output, tmp_path):
    real = draw_competition(tmp_path / "dogs.zip", images=24, seed=1)
    fetched = fetch_output(KERNEL, tmp_path / "out", real=real, network="stand-in", count=12)
    assert fetched.score is not None
    assert fetched.score.generated == 12
    assert fetched.to_json()["score"]["network"] == "stand-in"
    assert fetched.to_json()["audit"]["report"] == str(tmp_path / "out" / "audit" / "report.html")
    assert (tmp_path / "out" / "audit" / "report.html").is_file()


STATES = [
    ("RUNNING", "version 3 is running: wait .`dogsgan kernel status ann/dogs-sagan --follow`"),
    ("QUEUED", "is queued: wait"),
    ("ERROR", r"version 3 failed \(it broke\): fix that.*its last lines: a ⏎ OutOfMemoryError"),
    ("CANCEL_ACKNOWLEDGED", "is cancelled"),
]


@pytest.mark.parametrize(("answered", "message"), STATES)
def test_only_a_complete_run_has_an_output(output, tmp_path, answered, message):
    output.statuses = [answered]
    output.failure_message = "it broke" if answered == "ERROR" else ""
    output.log = log_of("a\n", "OutOfMemoryError\n")
    with pytest.raises(DogsganError, match=message) as raised:
        fetch_output(KERNEL, tmp_path / "out")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "out").exists()


def test_an_output_without_the_zip_says_what_there_is(output, tmp_path):
    del output.files["images.zip"]
    with pytest.raises(DogsganError, match=r"holds no images\.zip \(it holds samples\.png, run/log\.jsonl"):
        fetch_output(KERNEL, tmp_path / "out")
    output.files.clear()
    with pytest.raises(DogsganError, match="it holds nothing"):
        fetch_output(KERNEL, tmp_path / "out")


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", "a/../../evil.txt", "..\\evil.txt", "a\x1b[2J"]
)
def test_no_file_is_written_outside_the_folder(output, tmp_path, name):
    output.files[name] = b"evil"
    with pytest.raises(DogsganError, match="unsafe name"):
        fetch_output(KERNEL, tmp_path / "out")
    assert not list(tmp_path.rglob("*evil*"))


def test_an_error_page_never_becomes_the_zip(output, tmp_path):
    output.replies["file:images.zip"] = [Reply("<Error>Expired</Error>", 403, content_type="application/xml")]
    with pytest.raises(
        DogsganError, match=r"will not hand out images\.zip \(403\): run the command again"
    ) as raised:
        fetch_output(KERNEL, tmp_path / "out")
    assert "s3cr3t" not in str(raised.value)
    assert raised.value.__cause__ is None  # its text would show the signed address
    assert list((tmp_path / "out").iterdir()) == []


def test_a_cut_file_is_fetched_on(output, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    whole = output.files["generator.safetensors"]
    output.replies["file:generator.safetensors"] = [Reply(whole, content_type="a/b", cut_after=40_000)]
    fetch_output(KERNEL, tmp_path / "out", count=12)
    assert (tmp_path / "out/generator.safetensors").read_bytes() == whole


def test_a_file_that_never_arrives_whole_is_not_kept(output, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    short = Reply(bytes(1000), content_type="a/b", cut_after=400)
    output.replies["file:images.zip"] = [short] * 20
    with pytest.raises(DogsganError, match="cannot reach Kaggle to hand out"):
        fetch_output(KERNEL, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_files_that_are_there_already_are_replaced_and_others_stay(output, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "images.zip").write_bytes(b"old")
    (out / "mine.txt").write_text("mine")
    fetch_output(KERNEL, out, count=12)
    assert (out / "images.zip").read_bytes() == output.files["images.zip"]
    assert (out / "mine.txt").read_text() == "mine"


def test_a_full_disk_is_one_line_and_leaves_nothing(output, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    session = Kaggle.connect()
    monkeypatch.setattr(session.api, "download_file", full)
    monkeypatch.setattr(Kaggle, "connect", lambda: session)
    with pytest.raises(DogsganError, match=r"hand out images\.zip .*No space left on device"):
        fetch_output(KERNEL, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_file_in_the_way_is_one_line(output, tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(DogsganError, match="cannot make the folder"):
        fetch_output(KERNEL, tmp_path / "out")
