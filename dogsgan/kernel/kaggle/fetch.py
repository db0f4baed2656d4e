"""The output of a run on Kaggle, fetched: its zip checked and, with real pictures, scored and audited."""

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from dogsgan.competition import COUNT
from dogsgan.config import DataRecipe
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, working_folder, write_text
from dogsgan.kernel.folder import KernelRef, resolve
from dogsgan.kernel.kaggle.client import Kaggle, Plan
from dogsgan.kernel.kaggle.push import log_lines, state_calls, state_of
from dogsgan.progress import progress_bar, say
from dogsgan.training.run_folder import CHECKPOINTS, RECIPE_FILE, read_recipe

if TYPE_CHECKING:
    from dogsgan.audit import Audit
    from dogsgan.scoring import Score
    from dogsgan.submission import CheckReport

ZIP = "images.zip"
AUDIT_PAGE = "audit/report.html"

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
    require_file(files, ZIP, ref)
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


def require_file(files: dict[str, str], name: str, ref: KernelRef) -> None:
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
