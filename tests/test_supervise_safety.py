"""A zip halfway through training: written beside it, gone with it, and only where there is time for one."""

import json
import os
import sys
import time

import pytest

from dogsgan.kernel.main import KernelLog, keep
from dogsgan.supervise import driver, worker
from dogsgan.supervise.children import Children
from dogsgan.supervise.driver import NICENESS, SafetyZip
from dogsgan.supervise.session import Clock, Session

PRELUDE = "import time\nfrom dogsgan.supervise.children import answer, ready\nready()\n"
WRITES = PRELUDE + "answer({'images_seen': 5, 'valid': True})"
HANGS = PRELUDE + "time.sleep(60)"
CRASHES = PRELUDE + "raise MemoryError('no room')"


@pytest.fixture
def session(tmp_path, monkeypatch):
    monkeypatch.setattr(driver, "SAFETY_SHARE", 0.0)
    began = time.monotonic()
    session = Session(Clock(began, 3600.0), KernelLog(tmp_path / "kernel.log", started=began))
    session.clock.note_startup(0.5)
    return session


@pytest.fixture
def asked(session, monkeypatch):
    """What samplers were asked for; each runs the code that `asked` is given."""

    class Asked(list):
        code = WRITES

    asked = Asked()

    run = Children.run

    def fake(self, command, *, environments, **limits):
        asked.append({"part": command[3], **json.loads(command[4])})
        return run(self, [sys.executable, "-c", asked.code], environments=environments, **limits)

    monkeypatch.setattr(Children, "run", fake)
    return asked


def wait_until(condition):
    ends_at = time.monotonic() + 20
    while not condition() and time.monotonic() < ends_at:
        time.sleep(0.05)
    assert condition()


def test_it_is_written_while_training_goes_on(session, asked):
    with SafetyZip(session, lambda: {"generators": ["newest"]}) as zip_:
        wait_until(lambda: zip_.report)
    assert asked == [{"part": "sample", "generators": ["newest"], "device": "cpu", "niceness": NICENESS}]
    assert zip_.report["images_seen"] == 5
    assert "by the generator of 5 images" in session.log.path.read_text()
    assert session.events == []


def test_the_end_of_training_ends_its_sampler_at_once(session, asked):
    asked.code = HANGS
    with SafetyZip(session, lambda: {"generators": []}) as zip_:
        wait_until(lambda: asked)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert zip_.report == {}
    assert "safety" not in (session.log.path.read_text() if session.log.path.exists() else "")


def test_a_sampler_that_fails_is_said_and_harms_nothing(session, asked):
    asked.code = CRASHES
    with SafetyZip(session, lambda: {"generators": []}) as zip_:
        wait_until(lambda: session.log.path.exists())
    assert zip_.report == {}
    assert "MemoryError: no room" in session.log.path.read_text()
    assert session.events == []


def test_it_waits_until_something_is_trained(session, asked, monkeypatch):
    monkeypatch.setattr(driver, "SAFETY_POLL_S", 0.01)
    answers = [{"generators": ["trained"]}, *[{}] * 3]
    with SafetyZip(session, lambda: answers.pop()) as zip_:
        wait_until(lambda: zip_.report)
    assert [request["generators"] for request in asked] == [["trained"]]


@pytest.mark.parametrize("reason", ["it costs too much", "its time has not come"])
def test_it_is_not_begun(reason, session, asked, monkeypatch):
    if reason == "it costs too much":
        session.clock.finishing_s = 200.0
    else:
        monkeypatch.setattr(driver, "SAFETY_SHARE", 0.5)
    with SafetyZip(session, lambda: {"generators": []}):
        time.sleep(0.3)
    assert asked == []


def test_the_slow_start_of_a_process_that_steps_back_keeps_no_more_time_back(session, asked):
    asked.code = "import time\ntime.sleep(0.8)\n" + WRITES
    with SafetyZip(session, lambda: {"generators": []}) as zip_:
        wait_until(lambda: zip_.report)
    assert session.clock.startup_s == 0.5
    session.run("sample", {}, stop_at=time.monotonic() + 60)
    assert session.clock.startup_s > 0.8


def test_what_a_killed_sampler_left_half_written_is_no_output(tmp_path):
    for name in (".images.zip.01234567.partial", "images.zip"):
        (tmp_path / name).touch()
    assert keep(None, tmp_path / "crops", tmp_path) == []
    assert [path.name for path in tmp_path.iterdir()] == ["images.zip"]


def test_where_no_process_can_be_nice_the_zip_is_written_all_the_same(monkeypatch, tmp_path):
    """Windows has no `os.nice`."""
    monkeypatch.delattr(os, "nice", raising=False)
    monkeypatch.setattr(worker, "_sample_newest", lambda request, out: ({"images_seen": 5}, None))
    request = {"niceness": NICENESS, "out": str(tmp_path / "images.zip"), "grid": None}
    assert worker.sample(request) == {"images_seen": 5}
