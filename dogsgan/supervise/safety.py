"""A zip halfway through training already, should the last sampling not come to its end."""

import math
import threading
import time
from collections.abc import Callable
from typing import Any, Self

from dogsgan.supervise.children import Children
from dogsgan.supervise.session import Session

SHARE = 0.5  # of the budget has passed when it is written
MOST_COST = 0.1  # of the budget: where sampling takes more, training is not disturbed
NICENESS = 19  # training goes first
POLL_S = 5.0  # while nothing is trained yet


class SafetyZip:
    """Samples the newest generator once, on the CPU, beside the training that this context encloses.

    `report` is what the sampler said; it is empty as long as there is no such zip. Its place is the final
    one's, which replaces it. Leaving the context ends a sampler that still runs. Without a budget there is
    no such zip.
    """

    def __init__(self, session: Session, request: Callable[[], dict[str, Any]]) -> None:
        """Ask `request` for what to sample when the time has come; empty while nothing is trained yet."""
        self._session, self._request = session, request
        self._children = Children(None)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write_when_due, daemon=True)
        self.report: dict[str, Any] = {}

    def __enter__(self) -> Self:
        clock = self._session.clock
        if not math.isinf(clock.budget_s) and clock.rescue_s <= MOST_COST * clock.budget_s:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        while self._thread.is_alive():
            self._children.kill()
            self._thread.join(timeout=0.1)

    def _write_when_due(self) -> None:
        session = self._session
        clock = session.clock
        wait_s = max(0.0, clock.started + SHARE * clock.budget_s - time.monotonic())
        while True:
            if self._over.wait(timeout=wait_s):
                return
            if request := self._request():
                break
            wait_s = POLL_S
        request = {**request, "device": "cpu", "niceness": NICENESS}
        ended = session.run("sample", request, stop_at=clock.ends_at, gpus=[], beside=self._children)
        self.report = ended.answer or {}
        if session.log.raw:  # a bar is being drawn there
            return
        if self.report:
            images_seen = self.report["images_seen"]
            session.log.say(f"for safety, images.zip is there by the generator of {images_seen:,} images")
        elif not self._over.is_set():
            session.log.say(f"there is no images.zip for safety yet: {ended.reason()}")
