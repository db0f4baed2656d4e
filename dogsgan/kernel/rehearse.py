"""A built kernel run here as Kaggle would run it, and what came of it: known before hours are spent."""

import ast
import contextlib
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from dogsgan.competition import COUNT, SLUG
from dogsgan.config import Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.data.layouts import detect_layout
from dogsgan.data.layouts.annotated import MAX_ANNOTATION_BYTES
from dogsgan.data.pictures import MAX_PICTURE_BYTES
from dogsgan.data.storage import open_storage
from dogsgan.errors import DogsganError
from dogsgan.files import holds, read_json, refuse_overwriting, write_bytes
from dogsgan.kernel.isolation import MISSING, Watched, can_isolate, start, watch
from dogsgan.kernel.kaggle.metadata import METADATA_FILE, read_metadata
from dogsgan.kernel.main import REPORT_FILE
from dogsgan.kernel.prediction import Prediction, predict
from dogsgan.kernel.settings import Settings
from dogsgan.kernel.writing import code_of_notebook
from dogsgan.progress import say
from dogsgan.submission import CheckReport, check_submission

MOST_FILES = 500  # that Kaggle keeps of an output
MOUNTS = ("competition", "dataset", "none")
DRAWN_IMAGES = 120


@dataclass(frozen=True)
class RehearsalReport:
    """What a rehearsal left, took, and lets expect. `problems` is empty if all is well."""

    kernel: Path
    isolated: bool
    mount: str
    ended: str  # `exited` by itself, or killed at the limit of `time` or `memory`
    status: int
    seconds: float
    budget_s: float
    peak_memory_gb: float
    files: tuple[str, ...]
    check: CheckReport | None
    images_seen: int
    events: tuple[str, ...]  # what the kernel itself says was not as it should be
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
            **vars(self),
            "kernel": str(self.kernel),
            "seconds": round(self.seconds, 1),
            "left_s": round(self.left_s, 1),
            "peak_memory_gb": round(self.peak_memory_gb, 2),
            "check": self.check.to_json() if self.check else None,
            "prediction": self.prediction.to_json() if self.prediction else None,
        }

    def summary(self) -> str:
        """Return a few lines for people."""
        lines = [
            f"rehearsed {self.kernel} with the data mounted as {self.mount}, "
            + ("isolated by bubblewrap" if self.isolated else f"NOT isolated: {MISSING}"),
            f"{self.ended} with status {self.status} after {self.seconds:.0f} s of {self.budget_s:.0f}, "
            f"{self.left_s:.0f} s left; at most {self.peak_memory_gb:.1f} GB of memory; "
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
    mount: str | None = None,  # as `lay_out` takes it
    previous: Path | None = None,  # the output of the kernel that this one goes on from
    out: Path | None = None,  # keeps the kernel's output
    memory_gb: float = 13.0,
    prelude: str = "",  # code that every Python process of the kernel runs first
    isolated: bool | None = None,  # None: if this machine can
    quiet: bool = False,
) -> RehearsalReport:
    """Run a built kernel in a fresh folder with a hard limit of `budget_s`, and look at what it leaves.

    Raises:
        DogsganError: the folder holds no kernel, the data, `previous` or a name cannot be used, or isolation
            was asked for and cannot be had here.
    """
    if isolated and not can_isolate():
        raise DogsganError(f"{MISSING}: install it, or leave out --isolated")
    isolated = can_isolate() if isolated is None else isolated
    if out is not None and data is not None:
        refuse_overwriting(out / "images.zip", data)
    code_file, code, values = _open(kernel)
    values |= {"COUNT": count} if count else {}
    if previous is not None and not values.get("CONTINUE_FROM"):
        raise DogsganError(f"{kernel} does not go on from another kernel: build it with --continue-from")
    if previous is not None and not previous.is_dir():
        raise DogsganError(f"no folder {previous}: rehearse the earlier kernel with --out {previous}")
    is_grey = Recipe.from_json(values["RECIPE"]).data.channels == 1
    with tempfile.TemporaryDirectory(prefix="dogsgan-rehearsal-", ignore_cleanup_errors=True) as folder:
        kaggle = Path(folder) / "kaggle"
        if data is None:
            draw = draw_digits if is_grey else draw_competition
            data = draw(Path(folder) / ("digits" if is_grey else "dogs.zip"), images=DRAWN_IMAGES, seed=1)
        mount = lay_out(data, kaggle / "input", mount=mount)
        say(f"laid out {data} as {mount}")
        if previous is not None:
            slug = values["CONTINUE_FROM"].split("/")[1]  # names the folder on Kaggle
            shutil.copytree(previous, kaggle / "input" / slug, dirs_exist_ok=True)
        write_bytes(kaggle / "src" / code_file, code.encode())
        if prelude:
            write_bytes(kaggle / "src" / "sitecustomize.py", prelude.encode())
        (kaggle / "working").mkdir()
        process = start(kaggle, code_file, budget_s=budget_s, count=values["COUNT"], isolated=isolated)
        watched = watch(process, limit_s=budget_s, memory_bytes=int(memory_gb * 1e9), quiet=quiet)
        if out is not None:
            shutil.copytree(kaggle / "working", out, dirs_exist_ok=True)
        found = _look_at(kaggle / "working", watched, values)
    found |= vars(watched)
    return RehearsalReport(Path(kernel), isolated=isolated, mount=mount, budget_s=budget_s, **found)


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


def _open(kernel: Path) -> tuple[str, str, dict[str, Any]]:
    """Return a kernel's code file, its text (a notebook's cells as one script), and its head's values."""
    path = read_metadata(kernel).code_file
    again = "make it anew with `dogsgan kernel build`"
    if not path.is_file():
        raise DogsganError(f"{kernel} holds no code file {path.name!r}: {again}")
    try:
        text = path.read_bytes().decode()
        code = code_of_notebook(text) if path.suffix == ".ipynb" else text
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DogsganError(f"{path} cannot be read as a kernel's code ({error}): {again}") from error
    code_file = f"{path.stem}.py"
    return code_file, code, read_head(code, where=str(kernel / code_file))


def lay_out(source: Path, target: Path, *, mount: str | None = None) -> str:
    """Write the files of `source` below `target`; return the mount.

    `competition` has dogs with boxes in the competition's folders, `dataset` any source as it is, and in
    `none` the data are missing. None: the first, or the second for data that are no dogs with boxes.

    Raises:
        DogsganError: there is no such mount or source, or the source has no annotations.
    """
    if mount not in (None, *MOUNTS):
        raise DogsganError(f"no mount {mount!r}; there are {', '.join(MOUNTS)}")
    target.mkdir(parents=True, exist_ok=True)
    if mount == "none":
        (target / "another-dataset").mkdir()
        (target / "another-dataset" / "table.csv").write_text("id,breed\n1,husky\n")
        return mount
    storage = open_storage(source)
    layout = detect_layout(storage.names)
    has_boxes = layout is not None and bool(layout.annotations)
    mount = mount or ("competition" if has_boxes else "dataset")
    if mount == "dataset":
        if source.is_dir():
            shutil.copytree(source, target / source.stem)
        else:
            (target / source.stem).mkdir()
            shutil.copyfile(source, target / source.stem / source.name)
        return mount
    if layout is None or not has_boxes:
        raise DogsganError(
            f"{source} has no dogs with boxes: give the competition's data or Stanford Dogs, or mount it as "
            "a dataset"
        )
    pictures, annotations = target / SLUG / "all-dogs/all-dogs", target / SLUG / "annotation/Annotation"
    pictures.mkdir(parents=True)
    for name in layout.pictures:  # a name in the source is never a path here
        (pictures / PurePosixPath(name).name).write_bytes(storage.read(name, limit=MAX_PICTURE_BYTES))
    for name in layout.annotations:
        path = annotations.joinpath(*PurePosixPath(name).parts[-2:])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(storage.read(name, limit=MAX_ANNOTATION_BYTES))
    return mount


def recipe_of(kernel: Path) -> Recipe | None:
    """Return the recipe of a built kernel; None where it goes on by that of an earlier one.

    Raises:
        DogsganError: the folder holds no kernel, or its head cannot be used.
    """
    _, _, values = _open(kernel)
    return None if values.get("CONTINUE_FROM") else Recipe.from_json(values["RECIPE"])


def _look_at(working: Path, watched: Watched, values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a report that come from what the kernel left."""
    files = tuple(sorted(p.relative_to(working).as_posix() for p in working.rglob("*") if p.is_file()))
    told: dict[str, Any] = read_json(working / REPORT_FILE) if REPORT_FILE in files else {}
    images_seen = told.get("sample", {}).get("images_seen", 0)
    check = None
    if "images.zip" in files:
        data = Recipe.from_json(told.get("recipe") or values["RECIPE"]).data
        check = check_submission(
            working / "images.zip", count=values["COUNT"], size_px=data.size_px, channels=data.channels
        )
    return {
        "files": files,
        "check": check,
        "images_seen": images_seen,
        "events": tuple(told.get("events", ())),
        "problems": tuple(_problems(watched, files, check, images_seen)),
        "prediction": _predicted(told, values),
    }


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
        raise DogsganError(
            f"{line}{where} is not valid Python ({error}): fix it, or build it anew"
        ) from error
    for node in body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                found[node.targets[0].id] = ast.literal_eval(node.value)
    Settings.from_values(found)
    return found


def _predicted(told: dict[str, Any], values: dict[str, Any]) -> Prediction | None:
    """Predict for the recipe of a GPU, or that of a continued run; None where nothing was trained."""
    begun_at, trained = told.get("continued_at"), told.get("train", {})
    if (trained.get("images_seen") or 0) <= (begun_at or 0):
        return None
    recipe = Recipe.from_json(values["RECIPE"] if begun_at is None else told["recipe"])
    return predict(recipe, reserve_s=told["seconds"] - trained["seconds"])
