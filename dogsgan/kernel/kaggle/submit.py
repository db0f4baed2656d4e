"""A file of a run's output submitted to the competition, and its score."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from dogsgan.competition import SLUG
from dogsgan.errors import DogsganError
from dogsgan.kernel.folder import KernelRef, resolve
from dogsgan.kernel.kaggle.client import Action, Kaggle, Plan, TemporaryError
from dogsgan.kernel.kaggle.fetch import ZIP, require_file
from dogsgan.kernel.kaggle.push import state_calls, state_of
from dogsgan.metrics.leaderboard import SUBMISSIONS, percentile_2019
from dogsgan.progress import say

POLL_S = 15.0
CLOCKS_DIFFER = timedelta(seconds=30)  # Kaggle's and this machine's


@dataclass(frozen=True)
class Submitted:
    """A submission and what the competition says to it."""

    kernel: str
    version: int
    file: str
    competition: str
    status: str  # pending, complete or error
    public_score: float | None
    private_score: float | None  # None while the competition shows none
    error: str
    url: str

    @property
    def ok(self) -> bool:
        """False where the competition refused the file."""
        return self.status != "error"

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return some lines for people."""
        head = f"submitted {self.file} of {self.kernel} version {self.version} to {self.competition}"
        if not self.ok:
            return f"{head}, which could not score it: {self.error or 'it gives no reason'}; see {self.url}"
        if self.status != "complete":
            return f"{head}: not scored yet, see {self.url}"
        lines = [f"{head}: scored"]
        for name, score in (("public", self.public_score), ("private", self.private_score)):
            lines.append(f"  {name} score: {'not shown' if score is None else f'{score:g}'}")
            if score is not None and self.competition == SLUG:
                better = percentile_2019(name, score)
                others = f"{better:g}% of the {SUBMISSIONS} submissions of 2019 that did not memorise"
                lines[-1] += f", better than {others}"
        return "\n".join(lines)


def submit(
    kernel: str | Path,
    *,
    message: str,
    version: int | None = None,
    file: str = ZIP,
    competition: str | None = None,
    wait_s: float = 900.0,
) -> Submitted:
    """Submit a file of a kernel's output and wait, `wait_s` seconds at most, for its score.

    `version` is the newest one by default, `competition` the one in the folder's metadata. Looked at first:
    that there is such a version, and of the newest that it is complete and left the file.

    Raises:
        DogsganError: one of these does not fit, or the competition takes no submission (its rules, the day's
            allowance).
    """
    ref, of_folder = resolve(kernel)
    target = competition or of_folder
    kaggle = Kaggle.connect()
    chosen = _checked_version(kaggle, ref, version, file)
    listed_at = f"https://www.kaggle.com/competitions/{target}/submissions"
    action = Action(
        f"submit {file} of {ref} version {chosen} to {target}",
        "check the competition's name, and that this version ran to its end and shows the file among its "
        f"output at {ref.url}",
        competition=target,
        changes=f"look at {listed_at}",
    )
    began = datetime.now(UTC)
    answer = kaggle.ask(
        lambda: kaggle.api.competition_submit_code(file, message, target, str(ref), chosen, quiet=True),
        action,
    )
    own = partial(_is_own, number=int(answer.ref or 0), message=message, began=began)
    found = _wait_for_score(kaggle, target, own, wait_s=wait_s)
    if found is None and not answer.ref:
        say("Kaggle gave this submission no number, and the list does not tell it from others")
    return Submitted(
        str(ref),
        chosen,
        file,
        target,
        found.status.name.lower() if found else "pending",
        _number(found.public_score) if found else None,
        _number(found.private_score) if found else None,
        kaggle.line(found.error_description) if found else "",
        listed_at,
    )


def plan_submit(
    kernel: str | Path, *, message: str, version: int | None, file: str, competition: str | None
) -> Plan:
    """Return what `submit` would send. A version that is not named is asked for first, so none is shown."""
    ref, of_folder = resolve(kernel)
    target = competition or of_folder
    then = "the list of submissions is asked for until it shows a score"
    if version is None:
        then = f"kernelVersion, the newest, is taken from the answer to the first call; {then}"
    sent = {"file_name": file, "message": message, "competition": target, "kernel": str(ref)}
    calls = [
        *state_calls(ref, "list_kernel_session_output"),
        ("competition_submit_code", {**sent, "kernel_version": version}),
        ("competition_submissions", {"competition": target}),
    ]
    return Plan(calls, then)


def _checked_version(kaggle: Kaggle, ref: KernelRef, version: int | None, file: str) -> int:
    state = state_of(kaggle, ref)
    newest, chosen = state.version, version or state.version
    if chosen is None:
        raise DogsganError(f"Kaggle does not tell the newest version of {ref}: name one with --version")
    if newest is not None and chosen > newest:
        known = f"the newest is {newest}: name one of 1 to {newest} with --version"
        raise DogsganError(f"{ref} has no version {version}, {known}")
    if chosen == newest:  # of older ones Kaggle's client tells neither the state nor the output
        state.require_complete()
        require_file(kaggle.output_files(ref), file, ref)
    return chosen


def _is_own(item: Any, *, number: int, message: str, began: datetime) -> bool:
    """Return whether a listed submission may be this call's, where Kaggle gave no number (0) by its date."""
    if number:
        return bool(item.ref == number)
    if item.date is None or item.description != message:
        return False
    date = item.date if item.date.tzinfo else item.date.replace(tzinfo=UTC)
    return bool(date >= began - CLOCKS_DIFFER)


def _wait_for_score(
    kaggle: Kaggle, competition: str, is_own: Callable[[Any], bool], *, wait_s: float
) -> Any | None:
    """Return the submission as it stands when it is scored or the time is up; None if it is not listed.

    It is the client's object. None, too, where several may be it.
    """
    hint = "check the competition's name"
    action = Action(f"list your submissions to {competition}", hint, competition=competition)
    end = time.monotonic() + wait_s
    found = None
    try:
        while True:
            try:
                listed = kaggle.ask(lambda: kaggle.api.competition_submissions(competition), action)
                own = [item for item in listed or () if is_own(item)]
                found = own[0] if len(own) == 1 else found
            except TemporaryError as error:
                say(f"still waiting for the score: {error}")
            if (found and found.status.name != "PENDING") or time.monotonic() + POLL_S > end:
                return found
            time.sleep(POLL_S)
    except (DogsganError, KeyboardInterrupt) as error:  # it is submitted: a second time would be one too many
        say(f"no longer waiting for the score: {str(error) or 'interrupted'}")
        return found


def _number(score: str | None) -> float | None:
    try:
        value = float(score or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
