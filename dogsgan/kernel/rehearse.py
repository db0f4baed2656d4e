"""A built kernel run here as Kaggle would run it, and what came of it: known before hours are spent."""

import ast
import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.errors import DogsganError
from dogsgan.files import holds, read_json, write_bytes
from dogsgan.kernel.image import guard_code
from dogsgan.kernel.isolation import MISSING, Surroundings, namespaces, start
from dogsgan.kernel.kaggle.metadata import METADATA_FILE, read_metadata
from dogsgan.kernel.main import REPORT_FILE
from dogsgan.kernel.prediction import Prediction, predict
from dogsgan.kernel.settings import Settings
from dogsgan.kernel.staging import has_boxes, lay_out
from dogsgan.kernel.watching import Watched, watch
from dogsgan.kernel.writing import code_of_notebook
from dogsgan.progress import say
from dogsgan.submission import CheckReport, check_submission
from dogsgan.training.log import read_log

MOST_FILES = 500  # that Kaggle keeps of an output
MEMORY_GB = 13.0
DRAWN_IMAGES = 120
LAST_LINES = 12


@dataclass(frozen=True)
class RehearsalReport:
    """What a rehearsal left, took, and lets expect. `problems` is empty if all is well."""

    kernel: Path
    isolated: bool
    mount: str
    ended: str
    """`exited` by itself, or killed at the limit of `time` or `memory`."""
    status: int
    seconds: float
    budget_s: float
    peak_memory_bytes: int
    files: tuple[str, ...]
    check: CheckReport | None
    images_seen: int
    events: tuple[str, ...]
    """What the kernel itself says was not as it should be."""
    problems: tuple[str, ...]
    prediction: Prediction | None
    last_lines: tuple[str, ...] = field(repr=False)

    @property
    def ok(self) -> bool:
        """Whether the kernel left a valid zip in time, few enough files, and enough memory."""
        return not self.problems

    @property
    def left_s(self) -> float:
        """Seconds of the budget that were left."""
        return self.budget_s - self.seconds

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain values."""
        return {
            "ok": self.ok,
            "kernel": str(self.kernel),
            "isolated": self.isolated,
            "mount": self.mount,
            "ended": self.ended,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            "budget_s": self.budget_s,
            "left_s": round(self.left_s, 1),
            "peak_memory_gb": round(self.peak_memory_bytes / 1e9, 2),
            "files": list(self.files),
            "check": self.check.to_json() if self.check else None,
            "images_seen": self.images_seen,
            "events": list(self.events),
            "problems": list(self.problems),
            "prediction": self.prediction.to_json() if self.prediction else None,
            "last_lines": list(self.last_lines),
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        lines = [
            f"rehearsed {self.kernel} with the data mounted as {self.mount}, "
            + ("isolated in namespaces" if self.isolated else f"NOT isolated: {MISSING}"),
            f"{self.ended} with status {self.status} after {self.seconds:.0f} s of {self.budget_s:.0f}, "
            f"{self.left_s:.0f} s left; at most {self.peak_memory_bytes / 1e9:.1f} GB of memory; "
            f"{len(self.files)} files; {self.images_seen:,} images seen",
        ]
        lines += [self.check.summary()] if self.check else []
        lines += [f"the kernel says: {event}" for event in self.events]
        lines += [f"problem: {problem}" for problem in self.problems]
        lines += [self.prediction.summary()] if self.prediction else []
        return "\n".join([*lines, "ready to push" if self.ok else "not ready"])


@holds("out")
def rehearse(
    kernel: Path,
    *,
    budget_s: float = 300.0,
    count: int | None = None,  # pictures to generate; as many as the kernel says if None
    data: Path | None = None,  # a few drawn dogs if None, or digits for a grey recipe
    mount: str | None = None,  # competition if None, or dataset for data that are no dogs with boxes
    out: Path | None = None,  # keeps the kernel's output
    memory_gb: float = MEMORY_GB,
    disk_mb: int | None = None,
    without: tuple[str, ...] = (),  # optional modules of the image to do without
    prelude: str = "",  # code that every Python process runs first
    isolated: bool | None = None,  # None: if this machine can
    quiet: bool = False,
) -> RehearsalReport:
    """Run a built kernel in a fresh folder with a hard limit of `budget_s`, and look at what it leaves.

    Raises:
        DogsganError: the folder holds no kernel, the data or a name cannot be used, or isolation was asked
            for and is not allowed here.
    """
    if isolated is None:
        isolated = namespaces() is not None
    elif isolated and namespaces() is None:
        raise DogsganError("this machine allows no namespaces: leave out --isolated, and nothing is cut off")
    if disk_mb and not isolated:
        raise DogsganError("a small disk can only be had in namespaces, and this machine allows none")
    code_file, code = _code(kernel)
    settings = {**read_head(code, where=str(kernel / code_file)), **({"COUNT": count} if count else {})}
    guard = guard_code(without=without) + prelude
    with _surroundings() as surroundings:
        data = data or _drawn(surroundings, grey=Recipe.from_json(settings["RECIPE"]).data.channels == 1)
        mount = mount or ("competition" if has_boxes(data) else "dataset")
        say(f"laying out {data} as {mount}")
        lay_out(data, surroundings.input, mount=mount)
        write_bytes(surroundings.source / code_file, code.encode())
        write_bytes(surroundings.source / "sitecustomize.py", guard.encode())
        surroundings.working.mkdir(parents=True)
        process = start(
            surroundings,
            code_file,
            budget_s=budget_s,
            count=settings["COUNT"],
            isolated=isolated,
            disk_mb=disk_mb,
        )
        watched = watch(process, limit_s=budget_s, memory_bytes=int(memory_gb * 1e9), quiet=quiet)
        report = _look_at(
            kernel,
            surroundings.working,
            watched,
            settings=settings,
            budget_s=budget_s,
            mount=mount,
            isolated=isolated,
        )
        if out is not None:
            shutil.copytree(surroundings.working, out, dirs_exist_ok=True)
    return report


def only_kernel(folder: Path = Path("kernels")) -> Path:
    """Return the one kernel that was built in `folder`.

    Raises:
        DogsganError: there is none, or more than one.
    """
    built = sorted(path.parent for path in folder.glob(f"*/{METADATA_FILE}"))
    if not built:
        raise DogsganError(f"{folder}/ holds no kernel: build one there, or name the folder of another")
    if len(built) > 1:
        raise DogsganError(f"which kernel? Name one of {', '.join(map(str, built))}")
    return built[0]


@contextlib.contextmanager
def _surroundings() -> Iterator[Surroundings]:
    folder = Path(tempfile.mkdtemp(prefix="dogsgan-rehearsal-"))
    try:
        yield Surroundings(folder)
    finally:
        for path in [folder / "kaggle" / "input", *(folder / "kaggle" / "input").rglob("*")]:
            if path.is_dir():
                path.chmod(0o755)  # was write-protected
        shutil.rmtree(folder, ignore_errors=True)


def _code(kernel: Path) -> tuple[str, str]:
    """Return the name and the text of a kernel's code file; a notebook's cells as one script."""
    read_metadata(kernel)  # says what is wrong with it
    name = str(read_json(Path(kernel) / METADATA_FILE).get("code_file", ""))
    path = Path(kernel) / Path(name).name
    if not name or not path.is_file():
        raise DogsganError(f"{kernel} holds no code file {name!r}: make it anew with `dogsgan kernel build`")
    try:
        text = path.read_bytes().decode()
        if path.suffix == ".ipynb":
            return f"{path.stem}.py", code_of_notebook(text)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DogsganError(
            f"{path} cannot be read as a kernel's code ({error}): make it anew with `dogsgan kernel build`"
        ) from error
    return path.name, text


def _drawn(surroundings: Surroundings, *, grey: bool) -> Path:
    if grey:
        return draw_digits(surroundings.folder / "drawn-digits", images=DRAWN_IMAGES, seed=1)
    return draw_competition(surroundings.folder / "drawn.zip", images=DRAWN_IMAGES, seed=1)


def _look_at(
    kernel: Path,
    working: Path,
    watched: Watched,
    *,
    settings: dict[str, Any],
    budget_s: float,
    mount: str,
    isolated: bool,
) -> RehearsalReport:
    files = tuple(sorted(p.relative_to(working).as_posix() for p in working.rglob("*") if p.is_file()))
    told: dict[str, Any] = read_json(working / REPORT_FILE) if REPORT_FILE in files else {}
    images_seen = told.get("sample", {}).get("images_seen", 0)
    check = None
    if "images.zip" in files:
        data = Recipe.from_json(settings["RECIPE"]).data
        check = check_submission(
            working / "images.zip", count=settings["COUNT"], size_px=data.size_px, channels=data.channels
        )
    return RehearsalReport(
        kernel=Path(kernel),
        isolated=isolated,
        mount=mount,
        ended=watched.ended,
        status=watched.status,
        seconds=watched.seconds,
        budget_s=budget_s,
        peak_memory_bytes=watched.peak_memory_bytes,
        files=files,
        check=check,
        images_seen=images_seen,
        events=tuple(told.get("events", ())),
        problems=tuple(_problems(watched, files, check, images_seen)),
        prediction=_predicted(working, told, settings),
        last_lines=watched.last_lines[-LAST_LINES:],
    )


def _problems(
    watched: Watched, files: tuple[str, ...], check: CheckReport | None, images_seen: int
) -> Iterator[str]:
    if watched.ended != "exited":
        yield f"Kaggle would have killed it: the limit of {watched.ended}"
    elif watched.status:
        said = next((line for line in reversed(watched.last_lines) if "rror" in line), "it does not say why")
        yield f"exit status {watched.status}: {said}"
    if len(files) >= MOST_FILES:
        yield f"{len(files)} files, and Kaggle keeps {MOST_FILES}"
    if check is None:
        yield "no images.zip"
    elif not check.ok:
        yield "images.zip would not do"
    elif not images_seen:
        yield (
            "images.zip comes from a generator that was never trained: sampling takes most of this time "
            "here, give more --minutes or a smaller --count; or see what the kernel says"
        )


def read_head(code: str, *, where: str = "the kernel's code") -> dict[str, Any]:
    """Return the values at the head of a kernel's code, without running it.

    Raises:
        DogsganError: it is not Python, or a value cannot be used.
    """
    found: dict[str, Any] = {"COUNT": COUNT, "RECIPE": {}}
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):
            body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # ValueError: a NUL
        line = f"line {error.lineno} of " if isinstance(error, SyntaxError) else ""
        raise DogsganError(f"{line}{where} is no Python ({error}): mend it, or build it anew") from error
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    Settings.from_values(found)
    return found


def _predicted(working: Path, told: dict[str, Any], settings: dict[str, Any]) -> Prediction | None:
    """Scale the speed in the kernel's log; None where it trained too little to say."""
    lines = read_log(working)
    trained = told.get("train", {})
    if not lines or not trained.get("images_seen") or not told.get("recipe"):
        return None
    speed = max(line.get("images_per_second", 0.0) for line in lines)
    return predict(
        Recipe.from_json(settings["RECIPE"]),
        measured=Recipe.from_json(told["recipe"]),
        images_per_second=speed,
        reserve_s=told["seconds"] - trained["seconds"],
    )
