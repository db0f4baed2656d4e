"""What a signal does while something runs: a wish to stop, said at once, and ended harder by a second one."""

import contextlib
import signal
import threading

import pytest

from dogsgan.training import interrupts
from dogsgan.training.interrupts import (
    ENDING,
    NOTICES,
    STOP_SIGNALS,
    StopWish,
    handle_signals,
    listen_for_stop,
    outlast_notices,
    unwind_on_signals,
)

HERE = [name for name in STOP_SIGNALS if hasattr(signal, name)]
SENT = {name: getattr(signal, name) for name in HERE}


@pytest.fixture(autouse=True)
def _as_before():
    before = {number: signal.getsignal(number) for number in SENT.values()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def never_the_same(monkeypatch):
    monkeypatch.setattr(interrupts, "SAME_S", -1.0)


@pytest.mark.parametrize("name", HERE)
def test_the_first_is_a_wish_that_is_said_at_once(name, capsys):
    with listen_for_stop("the zip comes") as wish:
        assert not wish
        signal.raise_signal(SENT[name])
        assert wish.signal_name == name
        said = capsys.readouterr().err.strip()
    assert said.startswith(f"{name}: the zip comes")
    ends = name in ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK")
    assert ("once more ends it at once" in said) == ends
    assert wish.is_ending == ends


@pytest.mark.parametrize("name", [name for name in HERE if name in ENDING])
def test_a_second_one_ends_it_wherever_it_was_listened_for(name, never_the_same):
    unwind_on_signals()
    with listen_for_stop("outer") as outer, listen_for_stop("inner") as wish:
        assert wish is outer
        signal.raise_signal(SENT[name])
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(SENT[name])


def test_one_that_is_sent_twice_within_a_moment_counts_once():
    unwind_on_signals()
    with listen_for_stop() as wish:
        for _ in range(3):  # as `timeout` does
            signal.raise_signal(signal.SIGTERM)
    assert wish.signal_name == "SIGTERM"


@pytest.mark.parametrize("name", [name for name in HERE if name in NOTICES])
def test_notices_come_as_often_as_they_like(name, never_the_same):
    unwind_on_signals()
    with listen_for_stop() as wish:
        for _ in range(3):
            signal.raise_signal(SENT[name])
        assert wish.signal_name == name
        signal.raise_signal(signal.SIGINT)  # the first that wants an end
        assert wish.signal_name == "SIGINT"
        signal.raise_signal(SENT[name])
        assert wish.signal_name == "SIGINT"


def test_torchrun_s_second_one_is_ignored(never_the_same):
    unwind_on_signals()
    with listen_for_stop(repeated_ends=False) as wish:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert wish.signal_name == "SIGTERM"


@pytest.mark.parametrize("name", HERE)
def test_otherwise_every_one_unwinds(name):
    unwind_on_signals()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(SENT[name])


def test_everything_is_afterwards_as_it_was():
    before = {name: signal.getsignal(number) for name, number in SENT.items()}
    with listen_for_stop(), listen_for_stop():
        pass
    with outlast_notices():
        pass
    assert {name: signal.getsignal(number) for name, number in SENT.items()} == before


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_nohup_and_other_owners_of_a_notice_are_left_alone():
    heard = []
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, lambda *_: heard.append("mine"))
    unwind_on_signals()
    with listen_for_stop() as wish:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGUSR1)
        assert not wish
    assert heard == ["mine"]


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="no SIGHUP here")
def test_what_is_soon_done_outlasts_a_hangup_and_no_ctrl_c(capsys):
    unwind_on_signals()
    with outlast_notices():
        signal.raise_signal(signal.SIGHUP)
        assert capsys.readouterr().err.startswith("SIGHUP: going on")
        with listen_for_stop() as wish:
            signal.raise_signal(signal.SIGHUP)
            assert wish.signal_name == "SIGHUP"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_another_thread_hears_nothing_and_works():
    found = []

    def work():
        with listen_for_stop() as wish, outlast_notices():
            found.append(wish)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert isinstance(found[0], StopWish)
    with listen_for_stop() as own:
        assert own is not found[0]


def test_a_platform_without_a_signal_does_without(monkeypatch):
    with contextlib.suppress(AttributeError):
        monkeypatch.delattr(signal, "SIGHUP")
    assert len(handle_signals(["SIGHUP", "SIGTERM"], lambda *_: None)) == 1
