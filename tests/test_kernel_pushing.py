"""Push: what is looked at first, what Kaggle may answer, and following the run to its end."""

import json

import kaggle_server
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kaggle_server import KERNEL, Reply, built_kernel, refusal

from dogsgan.errors import DogsganError
from dogsgan.kernel.build import build_kernel
from dogsgan.kernel.folder import parse_ref, read_metadata, resolve
from dogsgan.kernel.kaggle.push import push
from dogsgan.presets import preset

kaggle = kaggle_server.kaggle_fixture
folder = kaggle_server.folder_fixture
run = kaggle_server.run_fixture


def test_a_push_sends_the_code_and_the_settings(kaggle, run, folder, capsys):
    assert run("push", folder, "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out) == {
        "kernel": KERNEL,
        "version": 4,
        "url": "https://www.kaggle.com/code/ann/dogs-sagan",
        "gpu_hours_left": 29.0,
        "warnings": [],
    }
    assert captured.err.startswith(
        "pushed ann/dogs-sagan, version 4: https://www.kaggle.com/code/ann/dogs-sagan"
    )
    (sent,) = kaggle.called("SaveKernel")
    assert sent["text"] == (folder / "main.py").read_text()
    assert sent["enableInternet"] is False
    assert sent["machineShape"] == "NvidiaTeslaT4"
    assert sent["competitionDataSources"] == ["generative-dog-images"]


def test_a_notebook_can_be_pushed_and_a_damaged_one_cannot(kaggle, tmp_path):
    folder = built_kernel(tmp_path / "kernel", code_file="main.ipynb", kernel_type="notebook")
    cell = {"cell_type": "code", "source": ["a = 1\n", "a"], "outputs": ["x"]}
    (folder / "main.ipynb").write_text(json.dumps({"cells": [cell]}))
    push(folder)
    (cell,) = json.loads(kaggle.called("SaveKernel")[0]["text"])["cells"]
    assert cell["source"] == "a = 1\na"
    (folder / "main.ipynb").write_text("{")
    with pytest.raises(DogsganError, match=r"main\.ipynb is not a readable JSON file"):
        push(folder)


UNFIT = [
    ({"title": "Other dogs"}, "make the slug 'other-dogs' of the title 'Other dogs'"),
    ({"id": "bob/dogs-sagan"}, "the credentials are those of ann: make it ann/dogs-sagan"),
    ({"id": "dogs-sagan"}, "names no kernel: write USER/SLUG"),
    ({"id": "ann/dogs", "title": "dogs"}, "five characters"),
    ({"id": 3}, "names no kernel"),
    ({"code_file": "missing.py"}, "holds no code file 'missing.py': build it anew"),
    ({"language": "cobol"}, "A valid language must be specified"),
    ({"title": "Dogs"}, "make the slug 'dogs'"),
]


@pytest.mark.parametrize(("changed", "message"), UNFIT)
def test_a_folder_that_does_not_fit_is_refused_before_anything_is_sent(kaggle, tmp_path, changed, message):
    with pytest.raises(DogsganError, match=message):
        push(built_kernel(tmp_path / "kernel", **changed))
    assert kaggle.called("SaveKernel") == []


def test_a_folder_without_usable_metadata_is_one_line(kaggle, tmp_path):
    with pytest.raises(DogsganError, match="make the folder with `dogsgan kernel build`"):
        push(tmp_path)
    for content in ("[1]", "{", ""):
        (tmp_path / "kernel-metadata.json").write_text(content)
        with pytest.raises(DogsganError, match=r"kernel-metadata\.json"):
            push(tmp_path)


def test_an_exhausted_gpu_quota_is_seen_before_the_push(kaggle, folder, run, capsys):
    kaggle.gpu_used_s = 30 * 3600
    assert run("push", folder) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "error: this week's GPU time on Kaggle is used up (30.0 of 30.0 hours are used): push again after "
        "Saturday 28 November, 00:00 UTC"
    )
    assert kaggle.called("SaveKernel") == []


def test_too_little_gpu_time_for_a_whole_run_is_a_warning(kaggle, folder):
    kaggle.gpu_used_s = 26 * 3600
    (warning,) = push(folder).warnings
    assert "only 4.0 GPU hours are left" in warning


def test_a_kernel_without_gpu_needs_no_quota(kaggle, tmp_path):
    kaggle.gpu_used_s = 30 * 3600
    assert push(built_kernel(tmp_path / "kernel", enable_gpu=False)).gpu_hours_left is None
    assert kaggle.called("GetAcceleratorQuotaStatistics") == []


@pytest.mark.parametrize("reply", [refusal(404, "no such thing"), Reply({}), Reply({"gpuQuota": {}})])
def test_a_quota_that_kaggle_does_not_tell_keeps_nobody_from_pushing(kaggle, folder, reply):
    kaggle.replies["GetAcceleratorQuotaStatistics"] = [reply]
    assert push(folder).version == 4


ANSWERS = [
    (
        {"error": "Maximum weekly GPU quota of 30.00 hours reached."},
        "this week's GPU time on Kaggle is used up",
    ),
    ({"error": "Maximum batch GPU session count of 2 reached."}, "wait for one to end or stop one"),
    ({"error": "Maximum disk quota"}, "did not take ann/dogs-sagan .Maximum disk quota"),
    ({"error": "Notebook source is too large"}, "did not take ann/dogs-sagan .Notebook source is too large"),
    ({"invalidCompetitionSources": ["generative-dog-images"]}, "competitions/generative-dog-images/rules"),
    ({"invalidDatasetSources": ["ann/weights"]}, "so stop that run .* the dataset ann/weights"),
    ({"ref": "/code/ann/dogs-sagan-2"}, "named the kernel 'dogs-sagan-2' instead of 'dogs-sagan'"),
]


@pytest.mark.parametrize(("answer", "message"), ANSWERS)
def test_what_kaggle_may_answer_to_a_push(kaggle, folder, answer, message):
    usual = {"ref": f"/code/{KERNEL}", "url": f"https://www.kaggle.com/code/{KERNEL}", "versionNumber": 4}
    kaggle.replies["SaveKernel"] = [Reply({**usual, **answer})]
    with pytest.raises(DogsganError, match=message):
        push(folder)


def test_an_empty_answer_is_no_success(kaggle, folder):
    kaggle.replies["SaveKernel"] = [Reply({})]
    with pytest.raises(DogsganError, match="does not say that it took"):
        push(folder)


def test_an_unknown_keyword_is_a_warning(kaggle, folder):
    kaggle.invalid = {"invalidTags": ["gan"]}
    assert push(folder).warnings == ("Kaggle knows no keyword 'gan' and left it out",)


def test_push_and_follow_ends_with_the_run(kaggle, folder, run, capsys):
    kaggle.statuses = ["COMPLETE", "QUEUED", "RUNNING", "RUNNING", "COMPLETE", "COMPLETE"]
    kaggle.stream = ["epoch 1\n", "epoch 2\n"]
    assert run("push", folder, "--follow", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["run"]["status"] == "complete"
    assert captured.err.count("| epoch 1") == 1
    assert captured.err.index("is queued") < captured.err.index("| epoch 2")


def test_an_interrupted_follow_says_how_to_go_on_without_a_second_push(
    kaggle, folder, run, capsys, monkeypatch
):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("dogsgan.kernel.kaggle.push.follow_run", interrupt)
    assert run("push", folder, "--follow") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.endswith("follow it with `dogsgan kernel status ann/dogs-sagan --follow`")


NAMES = ["ann/dogs-sagan", "https://www.kaggle.com/code/ann/dogs-sagan/", " ann/dogs-sagan\n"]


@pytest.mark.parametrize("name", NAMES)
def test_a_kernel_goes_by_its_name_or_its_page(name):
    assert str(parse_ref(name)) == KERNEL


@given(st.text(max_size=30))
def test_any_other_text_is_refused_in_one_line(text):
    message = None
    try:
        ref = parse_ref(text)
    except DogsganError as error:
        message = str(error)
    if message is None:
        assert str(ref).isascii()
        assert str(ref).count("/") == 1
    else:
        assert "\n" not in message


def test_a_folder_stands_for_its_kernel_and_competition(folder):
    ref, competition = resolve(folder)
    assert (str(ref), competition) == (KERNEL, "generative-dog-images")
    assert read_metadata(folder).gpu is True


@pytest.mark.parametrize("as_notebook", [False, True])
def test_what_build_writes_can_be_pushed(kaggle, tmp_path, as_notebook):
    folder = tmp_path / "dogs-sagan"
    build_kernel(preset("dogs-sagan"), folder, user="ann", as_notebook=as_notebook)
    assert push(folder).warnings == ()
    (sent,) = kaggle.called("SaveKernel")
    assert sent["slug"] == KERNEL
    assert sent["kernelType"] == ("notebook" if as_notebook else "script")
    assert (sent["enableGpu"], sent["enableInternet"], sent["isPrivate"]) == (True, False, True)
    assert sent["competitionDataSources"] == ["generative-dog-images"]


def test_the_placeholder_for_a_name_is_refused_with_the_name_to_put_there(kaggle, tmp_path, monkeypatch):
    folder = tmp_path / "dogs-sagan"
    build_kernel(preset("dogs-sagan"), folder)
    with pytest.raises(DogsganError, match="credentials are those of ann: make it ann/dogs-sagan"):
        push(folder)
