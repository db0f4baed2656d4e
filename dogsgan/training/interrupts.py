"""SIGTERM and SIGINT as a wish to stop, read between two steps."""

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class StopWish:
    """Whether somebody asked the run to stop."""

    def __init__(self) -> None:
        self.signal_name: str | None = None

    def __bool__(self) -> bool:
        return self.signal_name is not None


@contextlib.contextmanager
def listen_for_stop(*, repeated_ends: bool = True) -> Iterator[StopWish]:
    """Yield a wish that SIGTERM or SIGINT turns true; the second signal acts as it would have before.

    Args:
        repeated_ends: False has further signals ignored: `torchrun` passes on the one that its whole process
            group got already.
    """
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def note(number: int, frame: FrameType | None) -> None:
        wish.signal_name = signal.Signals(number).name
        if repeated_ends:
            signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, note)
    try:
        yield wish
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
