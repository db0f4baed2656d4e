"""A built folder pushed to Kaggle, which runs it; the state of the run, and its log until it ends."""

import contextlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError, printable
from dogsgan.files import read_json
from dogsgan.kernel.folder import (
    LONGEST_BUDGET_S,
    METADATA_FILE,
    KernelRef,
    Metadata,
    read_metadata,
    resolve,
)
from dogsgan.kernel.kaggle.client import Action, Kaggle, Plan, TemporaryError, require_client, rules_error
from dogsgan.progress import say

FINISHED = ("complete", "failed", "cancelled")
POLL_S = 20.0
PATIENCE_S = 3600.0  # how long Kaggle may be out of reach while a run is followed: the run goes on meanwhile
LAST_LINES = 5


@dataclass(frozen=True)
class KernelState:
    """How the newest run of a kernel stands."""

    kernel: str
    version: int | None  # the newest version's number; None where Kaggle does not tell
    status: str  # queued, running, cancelling, complete, failed or cancelled
    message: str  # Kaggle's reason for a failure, if it gives one
    log: tuple[str, ...]  # the log's last lines

    @property
    def ok(self) -> bool:
        """False for a run that ended without completing."""
        return self.status not in ("failed", "cancelled")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return a line for people, and the log's last lines."""
        head = f"{self._headline()}: {self.message}" if self.message else self._headline()
        return "\n".join([head, *(f"  | {line}" for line in self.log)])

    def _headline(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        return f"{self.kernel}{version} {'is ' * (self.status != 'failed')}{self.status}"

    def require_complete(self) -> None:
        """Refuse a run that still runs, or failed, or was cancelled; show the last lines of its log."""
        if self.status != "complete":
            wait = f"wait (`dogsgan kernel status {self.kernel} --follow`)"
            after = "fix that, then push it again" if self.status in FINISHED else wait
            reason = f" ({self.message})" if self.message else ""
            last = f"; its last lines: {' ⏎ '.join(self.log)}" if self.log else ""
            raise DogsganError(f"{self._headline()}{reason}: {after}{last}")


def status(kernel: str | Path, *, follow: bool = False) -> KernelState:
    """Return how a kernel's newest run stands, by `USER/SLUG` or the folder; `follow` waits for its end."""
    ref, _ = resolve(kernel)
    kaggle = Kaggle.connect()
    return follow_run(kaggle, ref) if follow else state_of(kaggle, ref)


def state_of(kaggle: Kaggle, ref: KernelRef) -> KernelState:
    """Ask how the newest run stands. Its log may be missing: the state is known all the same."""
    version = kaggle.newest_version(ref)
    state, message = kaggle.status(ref)
    lines: list[str] = []
    with contextlib.suppress(DogsganError):
        lines = log_lines(kaggle.log(ref))[-LAST_LINES:]
    return KernelState(str(ref), version, state, message, tuple(lines))


def plan_status(kernel: str | Path) -> Plan:
    """Return what `status` would send."""
    return Plan(state_calls(resolve(kernel)[0]), "with --follow, asked again until the run has ended")


def state_calls(ref: KernelRef, *more: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the calls of `state_of`, and `more` that send the kernel's name alone."""
    return [(name, {"kernel": str(ref)}) for name in ("get_kernel", "kernels_status", "kernels_logs", *more)]


def follow_run(kaggle: Kaggle, ref: KernelRef, *, fresh: bool = False) -> KernelState:
    """Show the log of the newest run until it has ended; return how it ended.

    `fresh` says that the run was started just now: an end is believed only when it is seen twice, because
    the first answer may still be about the run before. Temporary failures are waited out for `PATIENCE_S`.

    Raises:
        DogsganError: Kaggle refuses, or stays out of reach.
    """
    shown, seen, answered = 0, "", time.monotonic()
    while True:
        try:
            state, _ = kaggle.status(ref)
            answered = time.monotonic()
            if state != seen:
                say(f"{ref} is {state}")
            is_over = state in FINISHED and (state == seen or not fresh)
            if is_over or state == "running":
                shown = _show_log(kaggle, ref, after=shown)
            if is_over:
                return state_of(kaggle, ref)
            seen = state
        except TemporaryError as error:
            if time.monotonic() - answered > PATIENCE_S:
                raise DogsganError(f"{error}; the run on Kaggle goes on meanwhile") from error
            say(f"still following {ref}: {error}")
        time.sleep(POLL_S)


def _show_log(kaggle: Kaggle, ref: KernelRef, *, after: int) -> int:
    """Show the pieces of the log after the first ones, until the run or the connection ends; count all.

    It is sent from its beginning each time. A log that cannot be had is no failure.
    """
    with contextlib.suppress(DogsganError):
        for index, piece in enumerate(kaggle.log_stream(ref)):
            if index >= after:
                after = index + 1
                for line in _shown_lines(piece):
                    say(f"  | {line}")
    return after


def log_lines(stored: str) -> list[str]:
    """Return the lines of a stored log: JSON with the pieces that were printed, or plain text."""
    try:
        pieces = json.loads(stored)
        text = "".join(str(piece["data"]) for piece in pieces)
    except (ValueError, TypeError, KeyError, RecursionError):
        text = stored
    return _shown_lines(text)


def _shown_lines(text: str) -> list[str]:
    """Return the lines that are not blank, without what would steer a terminal; a bar's states are lines."""
    return [printable(line.expandtabs(4)) for line in text.splitlines() if line.strip()]


@dataclass(frozen=True)
class Pushed:
    """A version that Kaggle has taken."""

    kernel: str
    version: int | None
    url: str
    gpu_hours_left: float | None
    """Of this week, before the run; None where it needs no GPU or Kaggle does not tell."""
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)

    def summary(self) -> str:
        """Return a line for people, and the warnings."""
        version = "a new version" if self.version is None else f"version {self.version}"
        lines = [f"pushed {self.kernel}, {version}: {self.url}"]
        if self.gpu_hours_left is not None:
            lines.append(f"  {self.gpu_hours_left:.1f} GPU hours were left this week")
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


def plan_push(folder: Path) -> Plan:
    """Return what `push` would send; refuse as it does."""
    metadata = _checked_metadata(folder)
    sent = {**metadata.fields, "text": metadata.code_file.read_text(encoding="utf-8")}
    quota: list[tuple[str, dict[str, Any]]] = [("quota_view", {})] if metadata.gpu else []
    return Plan([*quota, ("kernels_push", sent)], f"Kaggle runs it; follow it at {metadata.ref.url}")


def push(folder: Path) -> Pushed:
    """Push the kernel in `folder` (its metadata and one code file); Kaggle runs it at once.

    Looked at before anything is changed: the title against the slug, the account against the owner, the GPU
    time left this week.

    Raises:
        DogsganError: one of these does not fit, or Kaggle refuses, or took it without its competition's data.
    """
    metadata = _checked_metadata(folder)
    kaggle = Kaggle.connect()
    ref, username = metadata.ref, kaggle.username
    if username and username.lower() != ref.owner.lower():
        raise DogsganError(
            f"`id` in {metadata.path} is {ref}, but the credentials are those of {username}: make it "
            f"{username}/{ref.slug}, or use the credentials of {ref.owner}"
        )
    warnings: list[str] = []
    left_h = _gpu_hours_left(kaggle, warnings) if metadata.gpu else None
    action = Action(
        f"push {ref}",
        f"check that `id` in {METADATA_FILE} begins with your own user name, and that no other kernel of "
        "yours has its title",
        changes=f"look at {ref.url}",
    )
    saved = kaggle.ask(lambda: kaggle.api.kernels_push(str(folder)), action)
    _refuse_failed(saved, kaggle.line(saved.error), metadata)
    warnings += [f"Kaggle knows no keyword {tag!r} and left it out" for tag in saved.invalid_tags or ()]
    url = kaggle.line(saved.url) or ref.url
    return Pushed(str(ref), saved.version_number or None, url, left_h, tuple(warnings))


def push_and_follow(folder: Path) -> tuple[Pushed, KernelState]:
    """Push as `push` does, then follow the run as `follow_run` does."""
    pushed = push(folder)
    say(pushed.summary())
    try:
        return pushed, follow_run(Kaggle.connect(), read_metadata(Path(folder)).ref, fresh=True)
    except KeyboardInterrupt as error:  # the same command would push once more
        raise DogsganError(
            "interrupted, but the run goes on: follow it with "
            f"`dogsgan kernel status {pushed.kernel} --follow`"
        ) from error


def _checked_metadata(folder: Path) -> Metadata:
    """Return the metadata; refuse another title than the slug's, no code file, or a damaged notebook."""
    require_client()
    from slugify import slugify  # the client's own

    metadata = read_metadata(Path(folder))
    made, code_file = slugify(metadata.title), metadata.code_file
    if metadata.title and made != metadata.ref.slug.lower():
        raise DogsganError(
            f"Kaggle would make the slug {made!r} of the title {metadata.title!r}, but `id` in "
            f"{metadata.path} says {metadata.ref.slug!r}: change one of them so that they match"
        )
    if not code_file.is_file():
        raise DogsganError(f"{folder} holds no code file {code_file.name!r}: build it anew")
    if code_file.suffix == ".ipynb":
        read_json(code_file)  # the client parses it as well, and fails as if an answer were damaged
    return metadata


def _gpu_hours_left(kaggle: Kaggle, warnings: list[str]) -> float | None:
    """Return the GPU time left this week; refuse where there is none, warn where a full run needs more.

    None where Kaggle does not tell: an answer that only informs must not keep anybody from pushing.
    """
    try:
        answer = kaggle.ask(kaggle.api.quota_view, Action("tell the GPU quota", "look at your settings page"))
    except DogsganError as error:
        say(f"the GPU quota is not known: {error}")
        return None
    if answer.gpu_quota is None or not answer.gpu_quota.total_time_allowed:
        return None
    allowed_h = answer.gpu_quota.total_time_allowed.total_seconds() / 3600
    used_h = answer.gpu_quota.time_used.total_seconds() / 3600 if answer.gpu_quota.time_used else 0.0
    if used_h >= allowed_h:
        renewed = answer.quota_refresh_time
        when = renewed.strftime("after %A %d %B, %H:%M UTC") if renewed else ""
        raise _quota_error(f"{used_h:.1f} of {allowed_h:.1f} hours are used", when)
    left_h = float(allowed_h - used_h)
    if left_h < LONGEST_BUDGET_S / 3600:
        warnings.append(
            f"only {left_h:.1f} GPU hours are left this week, and Kaggle ends the run when they are used up: "
            "build the kernel with --budget below that"
        )
    return left_h


def _quota_error(detail: str, when: str = "") -> DogsganError:
    when = when or "when the next week begins (see your Kaggle settings)"
    return DogsganError(f"this week's GPU time on Kaggle is used up ({detail}): push again {when}")


def _refuse_failed(saved: Any, error: str, metadata: Metadata) -> None:
    ref, page, lowered = metadata.ref, metadata.ref.url, error.lower()
    if "quota" in lowered and ("gpu" in lowered or "accelerator" in lowered):
        raise _quota_error(error)
    if "session count" in lowered:
        raise DogsganError(
            f"too many of your kernels run on a GPU ({error}): wait for one to end or stop one at "
            "https://www.kaggle.com/code, then push again"
        )
    if error:
        raise DogsganError(f"Kaggle did not take {ref} ({error}): fix that, then push again")
    made = (saved.ref or saved.url or "").rstrip("/").split("/")[-1]
    if not (made or saved.version_number):
        raise DogsganError(
            f"Kaggle's answer does not say that it took {ref}: look at {page} before pushing again"
        )
    without = f"Kaggle runs {ref} without the data it needs, so stop that run at {page}:"
    if missing := saved.invalid_competition_sources:
        raise DogsganError(f"{without} {rules_error(missing[0])}")
    for kind in ("dataset", "kernel", "model"):
        if names := getattr(saved, f"invalid_{kind}_sources"):
            raise DogsganError(
                f"{without} check the name of the {kind} {', '.join(names)} in {metadata.path} and that you "
                "may use it, then push again"
            )
    if made and made.lower() != ref.slug.lower():
        raise DogsganError(
            f"Kaggle named the kernel {made!r} instead of {ref.slug!r}: put that into `id` of "
            f"{metadata.path}, or give the kernel another title"
        )
