"""A file of a run's output submitted to the competition, and its score."""

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from dogsgan.competition import SLUG
from dogsgan.errors import DogsganError
from dogsgan.kernel.kaggle.client import Kaggle, Submission
from dogsgan.kernel.kaggle.errors import PassingTroubleError
from dogsgan.kernel.kaggle.fetching import ZIP, require_file
from dogsgan.kernel.kaggle.following import state_calls, state_of
from dogsgan.kernel.kaggle.metadata import KernelRef, resolve
from dogsgan.kernel.kaggle.planning import Plan
from dogsgan.metrics.leaderboard import SUBMISSIONS, percentile_2019
from dogsgan.progress import say

POLL_S = 15.0
WAIT_S = 900.0
CLOCKS_DIFFER = timedelta(seconds=30)  # Kaggle's and this machine's


@dataclass(frozen=True)
class Submitted:
    """A submission and what the competition says to it."""

    kernel: str
    version: int
    file: str
    competition: str
    status: str
    """pending, complete or error."""
    public_score: float | None
    private_score: float | None
    """None while the competition shows none."""
    error: str
    url: str

    @property
    def ok(self) -> bool:
        """False where the competition refused the file."""
        return self.status != "error"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            "kernel": self.kernel,
            "version": self.version,
            "file": self.file,
            "competition": self.competition,
            "status": self.status,
            "public_score": self.public_score,
            "private_score": self.private_score,
            "error": self.error,
            "url": self.url,
        }

    def summary(self) -> str:
        """Return some lines for people."""
        head = f"submitted {self.file} of {self.kernel} version {self.version} to {self.competition}"
        if not self.ok:
            return f"{head}, which could not score it: {self.error or 'it gives no reason'}; see {self.url}"
        if self.status != "complete":
            return f"{head}: not scored yet, see {self.url}"
        return "\n".join(
            [
                f"{head}: scored",
                self._side("public", self.public_score),
                self._side("private", self.private_score),
            ]
        )

    def _side(self, name: str, score: float | None) -> str:
        if score is None:
            return f"  {name} score: not shown"
        better = percentile_2019(name, score) if self.competition == SLUG else None
        compared = (
            f", better than {better:g}% of the {SUBMISSIONS} submissions of 2019 that did not memorise"
            if better is not None
            else ""
        )
        return f"  {name} score: {score:g}{compared}"


def submit(
    kernel: str | Path,
    *,
    message: str,
    version: int | None = None,
    file: str = ZIP,
    competition: str | None = None,
    wait_s: float = WAIT_S,
) -> Submitted:
    """Submit a file of a kernel's output and wait, `wait_s` seconds at most, for its score.

    `version` is the newest one by default, `competition` the one in the folder's metadata. Looked at first:
    that there is such a version, and of the newest that it is complete and left the file.

    Raises:
        DogsganError: one of these does not fit, or the competition takes no submission (its rules, the day's
            allowance).
    """
    ref, of_folder = resolve(kernel)
    competition = competition or of_folder
    kaggle = Kaggle.connect()
    chosen = _checked_version(kaggle, ref, version, file)
    began = datetime.now(UTC)
    number = kaggle.submit(ref, chosen, file=file, competition=competition, message=message)
    found = _wait_for_score(kaggle, competition, _Own(number, message, began), wait_s=wait_s)
    if found is None and not number:
        say("Kaggle gave this submission no number, and the list does not tell it from others")
    return Submitted(
        str(ref),
        chosen,
        file,
        competition,
        found.status if found else "pending",
        _number(found.public_score) if found else None,
        _number(found.private_score) if found else None,
        found.error if found else "",
        f"https://www.kaggle.com/competitions/{competition}/submissions",
    )


def plan_submit(
    kernel: str | Path,
    *,
    message: str,
    version: int | None = None,
    file: str = ZIP,
    competition: str | None = None,
) -> Plan:
    """Return what `submit` would send. A version that is not named is asked for first, so none is shown."""
    ref, of_folder = resolve(kernel)
    target = competition or of_folder
    then = "the list of submissions is asked for until it shows a score"
    if version is None:
        then = f"kernelVersion, the newest, is taken from the answer to the first call; {then}"
    sent = {"file_name": file, "message": message, "competition": target, "kernel": str(ref)}
    calls = (
        *state_calls(ref),
        ("list_kernel_session_output", {"kernel": str(ref)}),
        ("competition_submit_code", {**sent, "kernel_version": version}),
        ("competition_submissions", {"competition": target}),
    )
    return Plan(calls, then)


def _checked_version(kaggle: Kaggle, ref: KernelRef, version: int | None, file: str) -> int:
    state = state_of(kaggle, ref)
    newest = state.version
    if version is None and newest is None:
        raise DogsganError(f"Kaggle does not tell the newest version of {ref}: name one with --version")
    if version is not None and newest is not None and version > newest:
        raise DogsganError(
            f"{ref} has no version {version}, the newest is {newest}: name one of 1 to {newest} with "
            "--version"
        )
    chosen = newest if version is None else version
    assert chosen is not None
    if chosen == newest:  # of older ones Kaggle's client tells neither the state nor the output
        state.require_complete()
        require_file([each.name for each in kaggle.output_files(ref)], file, ref)
    return chosen


@dataclass(frozen=True)
class _Own:
    """What the submission of this call is known by."""

    number: int
    """0 where Kaggle gave none."""
    message: str
    began: datetime

    def among(self, listed: Iterable[Submission]) -> Submission | None:
        """Return the submission, or None where it is not listed or cannot be told from others."""
        if self.number:
            return next((item for item in listed if item.ref == self.number), None)
        fitting = [item for item in listed if item.message == self.message and self._is_new(item)]
        return fitting[0] if len(fitting) == 1 else None

    def _is_new(self, item: Submission) -> bool:
        if item.date is None:
            return False
        date = item.date if item.date.tzinfo else item.date.replace(tzinfo=UTC)
        return date >= self.began - CLOCKS_DIFFER


def _wait_for_score(kaggle: Kaggle, competition: str, own: _Own, *, wait_s: float) -> Submission | None:
    """Return the submission as it stands when it is scored or the time is up; None if it is not listed."""
    end = time.monotonic() + wait_s
    found = None
    try:
        while True:
            try:
                found = own.among(kaggle.submissions(competition)) or found
            except PassingTroubleError as error:
                say(f"still waiting for the score: {error}")
            if (found and found.status != "pending") or time.monotonic() + POLL_S > end:
                return found
            time.sleep(POLL_S)
    except (DogsganError, KeyboardInterrupt) as error:  # it is submitted: a second time would be one too many
        say(f"no longer waiting for the score: {str(error) or 'interrupted'}")
        return found


def _number(score: str) -> float | None:
    try:
        value = float(score)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
