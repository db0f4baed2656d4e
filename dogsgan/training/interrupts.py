"""Signals as a wish to stop, read between two steps: what a shell, a terminal or a scheduler sends first."""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

from dogsgan.progress import say

ENDING = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGBREAK")
"""Somebody wants it to end: nothing that can be done later is begun, and a second one ends it at once."""
NOTICES = ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGXCPU")
"""A terminal closed, a scheduler's time runs out: some come several times, and none ends anything at once."""
STOP_SIGNALS = (*ENDING, *NOTICES)
SAME_S = 0.5
"""A signal that is repeated within this is the same one: `timeout`, for one, sends each twice."""

_listening: "StopWish | None" = None


class StopWish:
    """Whether somebody asked the run to stop, and what it says to that."""

    def __init__(self, answer: str = "", tell: Callable[[str], None] | None = None) -> None:
        self.tell = tell or say
        self.signal_name: str | None = None
        self.answer = answer
        """What happens now, said as soon as a signal comes; empty says nothing."""
        self.heard_at = float("-inf")

    def __bool__(self) -> bool:
        return self.signal_name is not None

    @property
    def is_ending(self) -> bool:
        """Whether nothing is to be begun any more that can be done later."""
        return self.signal_name in ENDING


@contextlib.contextmanager
def listen_for_stop(
    answer: str = "", *, repeated_ends: bool = True, tell: Callable[[str], None] | None = None
) -> Iterator[StopWish]:
    """Yield a wish that a signal turns true; a second Ctrl-C, SIGTERM or SIGQUIT acts as it did before.

    Within another `listen_for_stop` the wish is that one's.

    Args:
        answer: what happens now, for people, said as soon as a signal comes.
        repeated_ends: False has further signals ignored: `torchrun` passes on the one that its whole process
            group got already.
        tell: says the answer; None for a line on stderr.
    """
    global _listening
    if _listening is not None:
        yield _listening
        return
    wish = StopWish(answer, tell)

    def note(number: int, frame: FrameType | None) -> None:
        name, now = signal.Signals(number).name, time.monotonic()
        is_new, wish.heard_at = now - wish.heard_at > SAME_S, now
        if wish.is_ending and name in ENDING:
            if repeated_ends and is_new:
                signal.signal(number, before[number])
                signal.raise_signal(number)
            return
        if wish.signal_name is None or name in ENDING:
            wish.signal_name = name
            _say(wish, more=repeated_ends and name in ENDING)

    before = handle_signals(STOP_SIGNALS, note)
    _listening = wish if before else None
    try:
        yield wish
    finally:
        _listening = None
        _restore(before)


@contextlib.contextmanager
def outlast_notices() -> Iterator[None]:
    """Go on at a hangup or a scheduler's notice: what is enclosed is worth finishing, and soon finished."""

    def note(number: int, frame: FrameType | None) -> None:
        say(f"{signal.Signals(number).name}: going on, this is soon done")

    before = {} if _listening is not None else handle_signals(NOTICES, note)
    try:
        yield
    finally:
        _restore(before)


def unwind_on_signals() -> None:
    """Have every signal that asks to stop unwind as Ctrl-C does, so that half-written files are removed."""

    handle_signals([name for name in STOP_SIGNALS if name != "SIGINT"], _unwind)


def _unwind(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def handle_signals(names: Sequence[str], handler: Callable[[int, FrameType | None], None]) -> dict[int, Any]:
    """Install a handler for those of the named signals that exist here; return what there was before.

    A notice that is ignored, as SIGHUP is under `nohup`, or that the program handles already, is left alone.
    Only a process's main thread can install handlers: in another there is nothing to return.
    """
    before: dict[int, Any] = {}
    for name in names:
        number = getattr(signal, name, None)
        if number is None:  # Windows lacks most of them
            continue
        found = signal.getsignal(number)
        is_free = found is signal.SIG_DFL or getattr(found, "__module__", None) == __name__
        if name in NOTICES and not is_free:
            continue
        with contextlib.suppress(ValueError):  # not in the main thread
            signal.signal(number, handler)
            before[int(number)] = signal.SIG_DFL if found is None else found
    return before


def _restore(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def _say(wish: StopWish, *, more: bool) -> None:
    if wish.answer and os.environ.get("LOCAL_RANK", "0") == "0":  # of several processes one on each machine
        wish.tell(f"{wish.signal_name}: {wish.answer}" + ("; once more ends it at once" if more else ""))
