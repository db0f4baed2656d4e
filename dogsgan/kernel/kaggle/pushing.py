"""A built folder pushed to Kaggle as a new version of its kernel, which Kaggle runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError
from dogsgan.files import read_json
from dogsgan.kernel.kaggle.client import Kaggle, Quota, require_client
from dogsgan.kernel.kaggle.errors import PassingTroubleError, rules_error
from dogsgan.kernel.kaggle.following import KernelState, follow_run
from dogsgan.kernel.kaggle.metadata import METADATA_FILE, Metadata, read_metadata
from dogsgan.kernel.kaggle.planning import Plan
from dogsgan.progress import say

RUN_H = 9.0
"""How long a GPU kernel may run."""


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
        return {
            "kernel": self.kernel,
            "version": self.version,
            "url": self.url,
            "gpu_hours_left": self.gpu_hours_left,
            "warnings": list(self.warnings),
        }

    def summary(self) -> str:
        """Return a line for people, and the warnings."""
        version = "a new version" if self.version is None else f"version {self.version}"
        lines = [f"pushed {self.kernel}, {version}: {self.url}"]
        if self.gpu_hours_left is not None:
            lines.append(f"  {self.gpu_hours_left:.1f} GPU hours were left this week")
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


def push(folder: Path) -> Pushed:
    """Push the kernel in `folder` (its metadata and one code file); Kaggle runs it at once.

    Looked at before anything is changed: the title against the slug, the account against the owner, the GPU
    time left this week.

    Raises:
        DogsganError: one of these does not fit, or Kaggle refuses, or took it without its competition's data.
    """
    metadata = _checked_metadata(folder)
    kaggle = Kaggle.connect()
    _refuse_another_owner(metadata, kaggle.username)
    warnings: list[str] = []
    quota = _quota(kaggle, warnings) if metadata.gpu else None
    saved = kaggle.save_kernel(Path(folder), metadata.ref)
    url = kaggle.line(saved.url)
    _refuse_failed(saved, kaggle.line(saved.error), metadata)
    for tag in saved.invalid_tags or ():
        warnings.append(f"Kaggle knows no keyword {tag!r} and left it out")
    return Pushed(
        str(metadata.ref),
        saved.version_number or None,
        url or metadata.ref.url,
        None if quota is None else quota.left_h,
        tuple(warnings),
    )


def push_and_follow(folder: Path) -> tuple[Pushed, KernelState]:
    """Push as `push` does, then show the run's log until it ends.

    Raises:
        DogsganError: as `push` and `follow_run`.
    """
    pushed = push(folder)
    say(pushed.summary())
    try:
        return pushed, follow_run(Kaggle.connect(), read_metadata(Path(folder)).ref, fresh=True)
    except KeyboardInterrupt as error:  # the same command would push once more
        raise DogsganError(
            "interrupted, but the run goes on: follow it with "
            f"`dogsgan kernel status {pushed.kernel} --follow`"
        ) from error


def plan_push(folder: Path) -> Plan:
    """Return what `push` would send.

    Raises:
        DogsganError: the folder cannot be pushed.
    """
    metadata = _checked_metadata(folder)
    calls: list[tuple[str, dict[str, Any]]] = [("quota_view", {})] if metadata.gpu else []
    if not metadata.code_file.is_file():
        raise DogsganError(f"{folder} holds no code file {metadata.code_file.name!r}: build it anew")
    text = metadata.code_file.read_text(encoding="utf-8")
    calls.append(("kernels_push", {**read_json(Path(folder) / METADATA_FILE), "text": text}))
    return Plan(tuple(calls), f"Kaggle runs it; follow it at {metadata.ref.url}")


def _checked_metadata(folder: Path) -> Metadata:
    require_client()
    metadata = read_metadata(Path(folder))
    if metadata.title:
        _refuse_another_slug(metadata)
    _refuse_damaged_notebook(metadata.code_file)
    return metadata


def _refuse_another_slug(metadata: Metadata) -> None:
    """Refuse a title from which Kaggle would make another slug than `id` has."""
    from slugify import slugify  # the client's own

    made = slugify(metadata.title)
    if made != metadata.ref.slug.lower():
        raise DogsganError(
            f"Kaggle would make the slug {made!r} of the title {metadata.title!r}, but `id` in "
            f"{metadata.path} says {metadata.ref.slug!r}: change one of them so that they match"
        )


def _refuse_damaged_notebook(code_file: Path) -> None:
    if code_file.suffix == ".ipynb" and code_file.is_file():
        read_json(code_file)  # the client parses it as well, and fails as if an answer were damaged


def _refuse_another_owner(metadata: Metadata, username: str) -> None:
    if username and username.lower() != metadata.ref.owner.lower():
        raise DogsganError(
            f"`id` in {metadata.path} is {metadata.ref}, but the credentials are those of {username}: make "
            f"it {username}/{metadata.ref.slug}, or use the credentials of {metadata.ref.owner}"
        )


def _quota(kaggle: Kaggle, warnings: list[str]) -> Quota | None:
    """Return the GPU time left; refuse where there is none, warn where a full run needs more."""
    try:
        quota = kaggle.quota()
    except PassingTroubleError:
        raise
    except DogsganError as error:  # an answer that only informs must not keep anybody from pushing
        say(f"the GPU quota is not known: {error}")
        return None
    if quota is None or quota.allowed_h <= 0:
        return None
    if quota.left_h <= 0:
        raise _quota_error(f"{quota.used_h:.1f} of {quota.allowed_h:.1f} hours are used", quota.renewed)
    if quota.left_h < RUN_H:
        warnings.append(
            f"only {quota.left_h:.1f} GPU hours are left this week, and Kaggle ends the run when they are "
            f"used up: build the kernel with --budget below that"
        )
    return quota


def _quota_error(detail: str, renewed: str) -> DogsganError:
    when = f"after {renewed}" if renewed else "when the next week begins (see your Kaggle settings)"
    return DogsganError(f"this week's GPU time on Kaggle is used up ({detail}): push again {when}")


def _refuse_failed(saved: Any, error: str, metadata: Metadata) -> None:
    ref, page = metadata.ref, metadata.ref.url
    lowered = error.lower()
    if "quota" in lowered and ("gpu" in lowered or "accelerator" in lowered):
        raise _quota_error(error, "")
    if "session count" in lowered:
        raise DogsganError(
            f"too many of your kernels run on a GPU ({error}): wait for one to end or stop one at "
            "https://www.kaggle.com/code, then push again"
        )
    if not (error or saved.version_number or saved.ref or saved.url):
        raise DogsganError(
            f"Kaggle's answer does not say that it took {ref}: look at {page} before pushing again"
        )
    if error:
        raise DogsganError(f"Kaggle did not take {ref} ({error}): mend that, then push again")
    if missing := saved.invalid_competition_sources:
        raise DogsganError(
            f"Kaggle runs {ref} without the data it needs, so stop that run at {page}: "
            f"{rules_error(missing[0])}"
        )
    for kind in ("dataset", "kernel", "model"):
        if names := getattr(saved, f"invalid_{kind}_sources"):
            raise DogsganError(
                f"Kaggle runs {ref} without the {kind} {', '.join(names)}, so stop that run at {page}: check "
                f"that name in {metadata.path} and that you may use it, then push again"
            )
    made = (saved.ref or saved.url or "").rstrip("/").split("/")[-1]
    if made and made.lower() != ref.slug.lower():
        raise DogsganError(
            f"Kaggle named the kernel {made!r} instead of {ref.slug!r}: put that into `id` of "
            f"{metadata.path}, or give the kernel another title"
        )
