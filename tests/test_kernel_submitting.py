"""Submit: the version that is meant, what the competition may refuse, and its score."""

import json
import time
from datetime import UTC, datetime, timedelta

import kaggle_server
import pytest
from kaggle_server import KERNEL, Reply, built_kernel, log_of, refusal

from dogsgan.errors import DogsganError
from dogsgan.kernel.kaggle.output import submit

kaggle = kaggle_server.kaggle_fixture
folder = kaggle_server.folder_fixture
run = kaggle_server.run_fixture


@pytest.fixture
def ready(kaggle):
    kaggle.files = {"images.zip": b"zip", "samples.png": b"png"}
    return kaggle


def test_a_run_is_submitted_and_its_score_shown(ready, run, folder, capsys):
    assert run("submit", folder, "--message", "SAGAN", "--json") == 0
    (sent,) = ready.called("CreateCodeSubmission")
    assert sent == {
        "competitionName": "generative-dog-images",
        "kernelOwner": "ann",
        "kernelSlug": "dogs-sagan",
        "kernelVersion": 3,
        "fileName": "images.zip",
        "submissionDescription": "SAGAN",
    }
    captured = capsys.readouterr()
    answer = json.loads(captured.out)
    assert (answer["status"], answer["public_score"], answer["private_score"]) == ("complete", 61.5, 120.25)
    assert "public score: 61.5, better than 77.2% of the 584 submissions of 2019" in captured.err


def test_an_older_version_can_be_submitted(ready):
    assert submit(KERNEL, message="m", version=2).version == 2
    assert ready.called("CreateCodeSubmission")[0]["kernelVersion"] == 2


def test_a_version_that_is_not_there_is_seen_before_the_submission(ready):
    with pytest.raises(DogsganError, match="has no version 9, the newest is 3: name one of 1 to 3"):
        submit(KERNEL, message="m", version=9)
    assert ready.called("CreateCodeSubmission") == []


@pytest.mark.parametrize(
    ("status", "message"), [("RUNNING", "is running: wait"), ("ERROR", "failed.*last lines: a ⏎ b")]
)
def test_an_incomplete_run_is_not_submitted(ready, status, message):
    ready.statuses, ready.log = [status], log_of("a\nb\n")
    with pytest.raises(DogsganError, match=message):
        submit(KERNEL, message="m")
    assert ready.called("CreateCodeSubmission") == []


def test_a_file_that_the_run_did_not_leave_is_not_submitted(ready):
    with pytest.raises(DogsganError, match=r"holds no pictures\.zip"):
        submit(KERNEL, message="m", file="pictures.zip")
    assert ready.called("CreateCodeSubmission") == []


REFUSALS = [
    (
        refusal(403, "You cannot submit until you accept the competition rules"),
        "competitions/generative-dog-images/rules",
    ),
    (refusal(403, "Permission 'competitions.participate' was denied"), "there is no such competition"),
    (
        refusal(404, "Could not find provided notebook"),
        "Could not find provided notebook.: check the competition",
    ),
    (
        refusal(400, "Your team has used its daily Submission allowance (5) today"),
        "used its daily Submission allowance",
    ),
    (refusal(500, "oops"), "may have arrived all the same, look at .*submissions before running"),
]


@pytest.mark.parametrize(("reply", "message"), REFUSALS)
def test_what_the_competition_may_refuse(ready, reply, message):
    ready.replies["CreateCodeSubmission"] = [reply]
    with pytest.raises(DogsganError, match=message):
        submit(KERNEL, message="m")
    assert len(ready.called("CreateCodeSubmission")) == 1


def test_rules_are_those_of_the_competition_that_is_named(ready, folder):
    ready.replies["CreateCodeSubmission"] = [refusal(403, "accept the competition rules")]
    with pytest.raises(DogsganError, match="competitions/other-dogs/rules"):
        submit(folder, message="m", competition="other-dogs")


def test_the_competition_of_the_folder_is_the_default(ready, tmp_path):
    submit(built_kernel(tmp_path / "k", competition_sources=["other-dogs"]), message="m")
    assert ready.called("CreateCodeSubmission")[0]["competitionName"] == "other-dogs"


def test_a_file_that_cannot_be_scored_is_a_no_with_the_reason(ready, run, capsys):
    failed = {"ref": 70, "status": "ERROR", "errorDescription": "wrong number of images"}
    ready.replies["ListSubmissions"] = [Reply({"submissions": [failed]})]
    assert run("submit", KERNEL, "--message", "m") == 1
    assert "could not score it: wrong number of images" in capsys.readouterr().out


def test_a_score_that_does_not_come_in_time_is_no_failure(ready):
    ready.pending = 10**9
    submitted = submit(KERNEL, message="m", wait_s=0.05)
    assert (submitted.status, submitted.public_score) == ("pending", None)
    assert "not scored yet" in submitted.summary()


@pytest.mark.parametrize("reply", [refusal(403, "no"), Reply("<html>"), Reply({"submissions": []})])
def test_once_submitted_nothing_asks_for_a_second_time(ready, reply):
    ready.replies["ListSubmissions"] = [reply] * 1000
    assert submit(KERNEL, message="m", wait_s=0.1).status == "pending"


def test_an_interrupted_wait_tells_of_the_submission_all_the_same(ready, run, monkeypatch, capsys):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    assert run("submit", KERNEL, "--message", "m", "--json") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == "pending"
    assert captured.err.startswith("no longer waiting for the score: interrupted\nsubmitted images.zip")


def test_another_submission_is_not_taken_for_this_one(ready):
    others = {"ref": 99, "status": "COMPLETE", "publicScore": "12.0"}
    mine = {"ref": 70, "status": "COMPLETE", "publicScore": "61.5"}
    ready.replies["ListSubmissions"] = [Reply({"submissions": [others, mine]})]
    assert submit(KERNEL, message="m").public_score == 61.5


@pytest.fixture
def without_number(ready):
    """Kaggle takes the submission and does not say its number. The account has others."""
    answer = Reply({"message": "Successfully submitted to Generative Dog Images"})
    ready.replies["CreateCodeSubmission"] = [answer]
    return ready


def listed(
    message: str, score: str, *, minutes_ago: float | None = 0.0, **fields: object
) -> dict[str, object]:
    date = {}
    if minutes_ago is not None:
        then = datetime.now(UTC) - timedelta(minutes=minutes_ago)
        date = {"date": then.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}
    return {"ref": 99, "status": "COMPLETE", "publicScore": score, "description": message, **date, **fields}


@pytest.mark.parametrize(
    "others",
    [
        [],
        [listed("m", "12.0", minutes_ago=5)],
        [listed("m", "12.0", minutes_ago=None)],
        [listed("other", "12.0")],
        [listed("m", "12.0"), listed("m", "13.0", ref=98)],
    ],
    ids=["none", "an earlier one", "one without date", "a colleague's", "two at once"],
)
def test_without_a_number_no_others_score_is_taken_for_this_one(others, without_number, capsys):
    without_number.replies["ListSubmissions"] = [Reply({"submissions": others})] * 1000
    submitted = submit(KERNEL, message="m", wait_s=0.05)
    assert (submitted.status, submitted.public_score) == ("pending", None)
    assert "Kaggle gave this submission no number" in capsys.readouterr().err


def test_without_a_number_the_submission_is_known_by_message_and_time(without_number):
    others = [listed("other", "12.0"), listed("m", "61.5"), listed("m", "13.0", minutes_ago=60)]
    without_number.replies["ListSubmissions"] = [Reply({"submissions": others})]
    assert submit(KERNEL, message="m", wait_s=0.05).public_score == 61.5
