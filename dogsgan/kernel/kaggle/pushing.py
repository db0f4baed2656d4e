"""A built folder pushed to Kaggle as a new version of its kernel, which Kaggle runs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError
from dogsgan.files import read_json
from dogsgan.kernel.kaggle.client import Kaggle, require_client
from dogsgan.kernel.kaggle.errors import Action, rules_error
from dogsgan.kernel.kaggle.following import KernelState, follow_run
from dogsgan.kernel.kaggle.metadata import METADATA_FILE, Metadata, read_metadata
from dogsgan.kernel.settings import LONGEST_BUDGET_S
from dogsgan.progress import say


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


def push(folder: Path) -> Pushed:
    """Push the kernel in `folder` (its metadata and one code file); Kaggle runs it at once.

    Looked at before anything is changed: the title against the slug, the account against the owner, the GPU
    time left this week.

    Raises:
        DogsganError: one of these does not fit, or Kaggle refuses, or took it without its competition's data.
    """
    metadata = checked_metadata(folder)
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


def checked_metadata(folder: Path) -> Metadata:
    """Return the metadata of a folder that can be pushed.

    Raises:
        DogsganError: title and slug differ, or the notebook is damaged.
    """
    require_client()
    from slugify import slugify  # the client's own

    metadata = read_metadata(Path(folder))
    made = slugify(metadata.title)
    if metadata.title and made != metadata.ref.slug.lower():
        raise DogsganError(
            f"Kaggle would make the slug {made!r} of the title {metadata.title!r}, but `id` in "
            f"{metadata.path} says {metadata.ref.slug!r}: change one of them so that they match"
        )
    if metadata.code_file.suffix == ".ipynb" and metadata.code_file.is_file():
        read_json(metadata.code_file)  # the client parses it as well, and fails as if an answer were damaged
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
