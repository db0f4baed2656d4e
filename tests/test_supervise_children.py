"""A child may crash, hang, overrun or babble: its parent hears, waits no longer than it said, and goes on."""

import os
import signal
import sys
import time

import pytest
from tiny import RECIPE

from dogsgan.kernel.settings import Settings
from dogsgan.supervise import session as session_module
from dogsgan.supervise.children import Children
from dogsgan.supervise.session import Session

PRELUDE = "import sys, time, os, signal\nfrom dogsgan.supervise.children import answer, ready\n"


@pytest.fixture
def heard():
    return []


def run(code, heard, *, limit_s=30.0, grace_s=0.5, stall_s=30.0):
    return Children(lambda text, moving: heard.append((text, moving))).run(
        [sys.executable, "-c", PRELUDE + code],
        environment=dict(os.environ),
        stop_at=time.monotonic() + limit_s,
        grace_s=grace_s,
        stall_s=stall_s,
    )


def test_what_a_child_reports_and_what_it_prints_are_kept_apart(heard):
    ended = run("ready(); print('hello'); sys.stdout.flush(); answer({'a': 1}); answer({'a': 2})", heard)
    assert (ended.how, ended.status, ended.answer) == ("done", 0, {"a": 2})
    assert heard == [("hello", False)]
    assert 0 < ended.ready_after_s < ended.seconds


def test_a_report_arrives_whole_in_the_middle_of_a_bar(heard):
    ended = run("sys.stderr.write('\\r 10%\\r 20%'); sys.stderr.flush(); answer({'a': 1})", heard)
    assert ended.answer == {"a": 1}
    assert (" 10%", True) in heard


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise ValueError('no such dog')", "ValueError: no such dog"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL (out of memory?)"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "SIGSEGV"),
        ("sys.exit(3)", "exit status 3: it said nothing"),
    ],
)
def test_a_crash_says_why_in_a_few_words(heard, code, reason):
    ended = run(code, heard)
    assert ended.how == "failed"
    assert ended.answer is None
    assert reason in ended.reason()


def test_one_that_overruns_is_asked_first_and_then_killed(heard):
    polite = (
        "signal.signal(signal.SIGTERM, lambda *_: (answer({'saved': True}), sys.exit(0)))\ntime.sleep(60)"
    )
    ended = run(polite, heard, limit_s=1.0, grace_s=10.0)
    assert (ended.how, ended.answer) == ("done", {"saved": True})
    ended = run("time.sleep(60)", heard, limit_s=1.0, grace_s=10.0)  # the signal itself ends it
    assert (ended.how, ended.reason()) == ("overran", "it overran its time and was killed")
    deaf = (
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: print('on', flush=True); time.sleep(0.1)"
    )
    began = time.monotonic()
    ended = run(deaf, heard, limit_s=1.0, grace_s=0.5)
    assert ended.how == "overran"
    assert time.monotonic() - began < 10


def test_silence_is_a_stall_and_a_moving_bar_is_not(heard):
    silent = run("time.sleep(60)", heard, stall_s=1.0)
    assert silent.how == "stalled"
    assert "no sign of life" in silent.reason()
    lively = "for i in range(20): sys.stderr.write(f'\\r{i}%'); sys.stderr.flush(); time.sleep(0.1)"
    assert run(lively, heard, stall_s=1.0).how == "done"


def test_nothing_that_a_child_started_outlives_it(heard, tmp_path):
    marker = tmp_path / "alive"
    grandchild = f"import time, pathlib\\ntime.sleep(2)\\npathlib.Path({str(marker)!r}).touch()"
    run(f'import subprocess\nsubprocess.Popen([sys.executable, \'-c\', """{grandchild}"""])', heard)
    time.sleep(2.5)
    assert not marker.exists()


def test_output_without_an_end_of_line_or_in_no_encoding_is_heard(heard):
    assert run("os.write(1, b'\\xff half a line')", heard).how == "done"
    assert heard == [("� half a line", False)]


def test_a_session_s_child_is_asked_to_stop_once_by_any_signal(tmp_path, monkeypatch, capsys):
    installed = {}
    monkeypatch.setattr(
        session_module, "handle_signals", lambda names, handler: installed.update({handler: names})
    )
    session = Session(
        Settings(recipe=RECIPE, cpu_recipe=RECIPE, root=tmp_path), package=tmp_path, started=0.0
    )
    asked = []
    monkeypatch.setattr(session._children, "ask_to_stop", lambda: asked.append(session.stop_signal))
    session.may_stop = True
    session.listen()
    ((stop, names),) = installed.items()
    assert set(names) >= {"SIGHUP", "SIGTERM", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGXCPU"}
    for number in (signal.SIGHUP, signal.SIGTERM):
        stop(number, None)
    assert asked == ["SIGHUP"]
    assert capsys.readouterr().out.count("SIGHUP: training ends") == 1
