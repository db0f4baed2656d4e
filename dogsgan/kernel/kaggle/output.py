"""Output of a run on Kaggle: fetched, checked, scored and audited here, or submitted to the competition."""

import contextlib
import math
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dogsgan.competition import COUNT, SLUG, SUBMISSIONS, percentile_2019
from dogsgan.config import DataRecipe
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, working_folder, write_text
from dogsgan.kernel.folder import KernelRef, resolve
from dogsgan.kernel.kaggle.client import Action, Kaggle, Plan, TemporaryError
from dogsgan.kernel.kaggle.push import log_lines, state_calls, state_of
from dogsgan.progress import progress_bar, say
from dogsgan.training.run_folder import CHECKPOINTS, RECIPE_FILE, read_recipe

if TYPE_CHECKING:
    from dogsgan.audit import Audit
    from dogsgan.scoring import Score
    from dogsgan.submission import CheckReport

ZIP = "images.zip"
AUDIT_PAGE = "audit/report.html"
POLL_S = 15.0
CLOCKS_DIFFER = timedelta(seconds=30)  # Kaggle's and this machine's
_ARRIVING = ".fetching-"  # begins the name of a folder for a file that is not complete


@dataclass(frozen=True)
class Fetched:
    """What came out of a run."""

    kernel: str
    version: int | None
    out: Path
    files: tuple[str, ...]
    log: tuple[str, ...]
    """The log's last lines, where a kernel says what happened: it leaves a zip whatever that was."""
    check: "CheckReport"
    score: "Score | None"  # None where no real pictures were given
    audit: "Audit | None" = None  # None where no real pictures were given, or only their statistics

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {
            **vars(self),
            "out": str(self.out),
            "check": self.check.to_json(),
            "score": None if self.score is None else self.score.to_json(),
            "audit": None if self.audit is None else self.audit.to_json(report=self.out / AUDIT_PAGE),
        }

    def summary(self) -> str:
        """Return some lines for people."""
        lines = [
            f"{self.kernel}: {len(self.files)} files in {self.out}; the end of its log:",
            *(f"  | {line}" for line in self.log),
            self.check.summary(),
            self.score.summary() if self.score else "not scored: give the real pictures with --real",
        ]
        if self.audit:
            lines += [self.audit.summary(), f"look at {self.out / AUDIT_PAGE}"]
        return "\n".join(lines)


def fetch_output(
    kernel: str | Path,
    out: Path,
    *,
    real: Path | None = None,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    count: int = COUNT,
) -> Fetched:
    """Fetch what the newest run of a kernel left to `out`; check its zip, score and audit it against `real`.

    Size and kind of pixels have to be those of the recipe that it left, or the competition's without one.
    Files of the same names are replaced, others stay. The log is written as `SLUG.log`. The checkpoint, half
    a gigabyte, stays at Kaggle, where the next kernel goes on from it.

    Raises:
        DogsganError: the run is not complete, left no zip, or something cannot be fetched or scored.
    """
    ref, _ = resolve(kernel)
    kaggle, out = Kaggle.connect(), Path(out)
    state = state_of(kaggle, ref)
    state.require_complete()
    found = kaggle.output_files(ref)
    files = {name: found[name] for name in found if not name.startswith(f"{CHECKPOINTS}/")}
    _require_file(files, ZIP, ref)
    _fetch(kaggle, files, out)
    log_name = f"{ref.slug}.log"
    write_text(out / log_name, "\n".join(log_lines(kaggle.log(ref))) + "\n")
    check = _checked(out, count=count, has_recipe=RECIPE_FILE in files)
    options: dict[str, Any] = {"network": network, "weights": weights, "device": device}
    scored, audited = (None, None) if real is None else _judged(out, real, options)
    return Fetched(str(ref), state.version, out, (*files, log_name), state.log, check, scored, audited)


def plan_output(kernel: str | Path) -> Plan:
    """Return what `fetch_output` would send."""
    ref, _ = resolve(kernel)
    return Plan(state_calls(ref, "list_kernel_session_output", "download_file"), "the zip is checked")


def _judged(out: Path, real: Path, options: dict[str, Any]) -> "tuple[Score, Audit | None]":
    """Audit the zip, which scores it, or only score it where there are but statistics or the audit fails."""
    from dogsgan.audit import audit
    from dogsgan.scoring import score

    scores: list[Score] = []
    if real.suffix != ".npz":
        try:
            found = audit(out / ZIP, real, out=(out / AUDIT_PAGE).parent, on_score=scores.append, **options)
            return found.scores[0], found
        except DogsganError as error:
            say(f"not audited: {error}")
    return (scores[0] if scores else score(out / ZIP, real, **options)), None


def _require_file(files: dict[str, str], name: str, ref: KernelRef) -> None:
    """Refuse an output without the file, and say what is there."""
    if name not in files:
        there = ", ".join(list(files)[:10]) or "nothing"
        raise DogsganError(
            f"the output of {ref} holds no {name} (it holds {there}): read its log with `dogsgan kernel "
            f"status {ref}`, fix the kernel and push it again"
        )


def _fetch(kaggle: Kaggle, files: dict[str, str], out: Path) -> None:
    """Fetch every file into a folder beside the others, then put each in its place."""
    for name in files:
        path = PurePosixPath(name)
        if not name or path.is_absolute() or ".." in path.parts or "\\" in name or not name.isprintable():
            by_hand = "fetch the others by hand from its page"
            raise DogsganError(f"the output holds a file with the unsafe name {name!r}: {by_hand}")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DogsganError(f"cannot make the folder {out} ({error.strerror}): choose another") from error
    with working_folder(out):
        for left in out.glob(f"{_ARRIVING}*"):  # by a call that was killed
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=out, prefix=_ARRIVING) as folder:
            for name in progress_bar(files, description="fetching", unit="files"):
                kaggle.download(name, files[name], arrived := Path(folder) / "file")
                with atomic_path(out / name) as partial:
                    arrived.replace(partial)


def _checked(out: Path, *, count: int, has_recipe: bool) -> "CheckReport":
    """Check the zip; a recipe that cannot be read says nothing, and the competition's form counts."""
    from dogsgan.submission import check_submission

    data = DataRecipe()
    with contextlib.suppress(DogsganError):
        if has_recipe and (saved := read_recipe(out)):
            data = saved[0].data
    return check_submission(out / ZIP, count=count, size_px=data.size_px, channels=data.channels)


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
        _require_file(kaggle.output_files(ref), file, ref)
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
