"""A child may crash, hang, overrun or babble: its parent hears, waits no longer than it said, and goes on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import dogsgan
from dogsgan.supervise import children
from dogsgan.supervise.children import Children
from dogsgan.training.interrupts import StopWish

PRELUDE = "import sys, time, os, signal\nfrom dogsgan.supervise.children import answer, ready\n"


@pytest.fixture
def heard():
    return Heard()


class Heard(list):
    """A log that keeps what children print."""

    def __init__(self, *, raw=False):
        self.raw = raw

    def say(self, text):
        self.append((text, False))

    def relay(self, text, moving):
        self.append((text, moving))


def run(code, heard, *, limit_s=30.0, grace_s=0.5, stall_s=30.0, ranks=1, wish=None):
    return Children(heard).run(
        [sys.executable, "-c", PRELUDE + code],
        environments=[{**os.environ, "RANK": str(rank)} for rank in range(ranks)],
        wish=wish,
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


def test_a_terminal_gets_what_a_child_prints_as_it_comes():
    heard = Heard(raw=True)
    ended = run("sys.stderr.write('\\r 10%\\r      \\rsaid\\n'); sys.stderr.flush(); answer({'a': 1})", heard)
    assert "".join(text for text, _ in heard) == "\r 10%\r      \rsaid\n"
    assert (ended.answer, ended.last_lines) == ({"a": 1}, ("said",))


@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_that_the_parent_got_is_passed_on_once(heard, name):
    wish = StopWish()
    code = (
        "heard = []\nfor each in ('SIGINT', 'SIGHUP', 'SIGUSR1'):\n"
        "    signal.signal(getattr(signal, each), lambda n, _: heard.append(signal.Signals(n).name))\n"
        "ready()\nprint('listening', file=sys.stderr, flush=True)\n"
        "while not heard: time.sleep(0.05)\ntime.sleep(0.5)\nanswer({'heard': heard})"
    )

    def relay(text, moving):
        wish.signal_name = name

    heard.relay = relay
    assert run(code, heard, wish=wish).answer == {"heard": [name]}


RANK = "rank = os.environ['RANK']\n"


@pytest.mark.parametrize(
    ("code", "status", "how"),
    [
        ("sys.exit(0)", 0, "done"),
        ("sys.exit(2 if rank == '1' else 1)", 2, "failed"),
        ("os.kill(os.getpid(), signal.SIGKILL) if rank == '1' else sys.exit(1)", -9, "failed"),
    ],
)
def test_of_several_the_status_that_tells_most_arrives(heard, code, status, how):
    ended = run(RANK + code, heard, ranks=2)
    assert (ended.status, ended.how) == (status, how)


@pytest.mark.parametrize("end", ["stall", "time", "one that dies", "an interrupted parent"])
def test_none_of_several_survives(end, heard, tmp_path, monkeypatch):
    """In whatever process groups they are, and whatever they started: memory and folders are free again."""
    monkeypatch.setattr(children, "OTHERS_S", 1.0)
    code = RANK + (
        "import pathlib, subprocess\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "below = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"pathlib.Path({str(tmp_path)!r}, rank).write_text(f'{{os.getpid()}} {{below.pid}}')\n"
        "print('begun', file=sys.stderr, flush=True)\n"
        + ("time.sleep(1)\nif rank == '1': sys.exit(1)\n" if end == "one that dies" else "")
        + "time.sleep(60)"
    )
    limits = {"stall_s": 1.5} if end == "stall" else {"limit_s": 2.0} if end == "time" else {}
    if end == "an interrupted parent":

        def interrupt(*args, **settings):
            while len(list(tmp_path.iterdir())) < 2:
                time.sleep(0.05)
            time.sleep(0.2)
            raise KeyboardInterrupt

        monkeypatch.setattr(children, "_watch", interrupt)
        monkeypatch.setattr(children, "LAST_S", 0.2)
        with pytest.raises(KeyboardInterrupt):
            run(code, heard, ranks=2)
    else:
        run(code, heard, ranks=2, **limits)
    pids = [int(pid) for path in tmp_path.iterdir() for pid in path.read_text().split()]
    assert len(pids) == 4
    time.sleep(0.2)
    assert [pid for pid in pids if is_running(pid)] == []


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_worker_ends_with_the_process_that_started_it(tmp_path):
    code = "import time\ndef forever(request):\n    print('on', flush=True)\n    time.sleep(60)\n"
    (tmp_path / "endless.py").write_text(code)
    worker = subprocess.Popen(
        [sys.executable, "-m", "dogsgan.supervise.worker", "endless:forever", "{}"],
        env={**os.environ, "PYTHONPATH": f"{Path(dogsgan.__file__).parents[1]}{os.pathsep}{tmp_path}"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert worker.stdout.readline() == b"on\n"
    worker.stdin.close()
    assert worker.wait(timeout=10) == 1
    worker.stdout.close()
