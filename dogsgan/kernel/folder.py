"""A built kernel's folder: its metadata, its code, and the values at the code's head, checked.

A person may have changed those values on Kaggle, so the kernel checks them itself, too.
"""

import ast
import contextlib
import dataclasses
import json
import os
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from dogsgan.competition import COUNT, SLUG
from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.files import read_json
from dogsgan.training.deadline import parse_duration

METADATA_FILE = "kernel-metadata.json"
BUDGET_VARIABLE, COUNT_VARIABLE = "DOGSGAN_KERNEL_BUDGET", "DOGSGAN_KERNEL_COUNT"  # smaller: a rehearsal
ROOT_VARIABLE = "DOGSGAN_KERNEL_ROOT"  # a folder that stands for /kaggle where there can be none
SMALLEST_BUDGET_S, LONGEST_BUDGET_S = 20.0, 9 * 3600.0  # the longest is that of a GPU session on Kaggle
_AGAIN = "make it anew with `dogsgan kernel build`"


class KernelRef(NamedTuple):
    """The name of a kernel on Kaggle."""

    owner: str
    slug: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug}"

    @property
    def url(self) -> str:
        """The page of the kernel."""
        return f"https://www.kaggle.com/code/{self}"


class Metadata(NamedTuple):
    """The metadata of a kernel's folder, as far as they are needed here; `fields` are all of them."""

    path: Path
    ref: KernelRef
    title: str
    code_file: Path
    gpu: bool
    competition: str
    fields: dict[str, Any]


def parse_ref(text: str) -> KernelRef:
    """Parse `USER/SLUG` or the address of a kernel's page.

    Raises:
        DogsganError: it is neither.
    """
    name = re.sub(r"^https?://(www\.)?kaggle\.com/(code/)?", "", text.strip()).rstrip("/")
    if not re.fullmatch(r"[\w-]+/[\w-]{5,}", name, re.ASCII):
        raise DogsganError(
            f"{text!r} names no kernel: write USER/SLUG as in the address of its page (a slug has five "
            f"characters at least), or give the folder that holds its {METADATA_FILE}"
        )
    return KernelRef(*name.split("/"))


def resolve(kernel: str | Path) -> tuple[KernelRef, str]:
    """Return which kernel is meant, by a name or by its folder, and the competition that it is for."""
    if not Path(kernel).is_dir():
        return parse_ref(str(kernel)), SLUG
    metadata = read_metadata(Path(kernel))
    return metadata.ref, metadata.competition


def read_metadata(folder: Path) -> Metadata:
    """Read the metadata of a kernel's folder.

    Raises:
        DogsganError: there are none, or their `id` is unusable.
    """
    path = Path(folder) / METADATA_FILE
    if not path.is_file():
        raise DogsganError(f"{folder} holds no {METADATA_FILE}: make the folder with `dogsgan kernel build`")
    fields = read_json(path)
    if not isinstance(fields, dict):
        raise DogsganError(f"{path} holds no JSON object: {_AGAIN}")
    try:
        ref = parse_ref(str(fields.get("id", "")))
    except DogsganError as error:
        raise DogsganError(f"`id` in {path}: {error}") from error
    return Metadata(
        path,
        ref,
        title=str(fields.get("title") or ""),
        code_file=Path(folder) / Path(str(fields.get("code_file") or "")).name,
        gpu=str(fields.get("enable_gpu")).lower() == "true",
        competition=str((fields.get("competition_sources") or [SLUG])[0]),
        fields=fields,
    )


def read_kernel(folder: Path) -> tuple[str, dict[str, Any]]:
    """Return a kernel's code (a notebook's cells as one script), and the values at its head.

    Raises:
        DogsganError: the folder holds no kernel, or its head cannot be used.
    """
    path = read_metadata(folder).code_file
    if not path.is_file():
        raise DogsganError(f"{folder} holds no code file {path.name!r}: {_AGAIN}")
    try:
        text = path.read_bytes().decode()
        code = code_of_notebook(text) if path.suffix == ".ipynb" else text
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DogsganError(f"{path} cannot be read as a kernel's code ({error}): {_AGAIN}") from error
    return code, read_head(code, where=str(path))


def code_of_notebook(text: str) -> str:
    """Return the code cells of a notebook as one script."""
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


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


@dataclass(frozen=True)
class Settings:
    """What a kernel is asked to do."""

    recipe: Recipe  # trained where a GPU works
    cpu_recipe: Recipe  # trained where none does: slower, so smaller
    budget_s: float = LONGEST_BUDGET_S  # from the kernel's first line to its last
    count: int = COUNT  # pictures in images.zip
    seed: int = 0  # of the noise that is sampled
    truncation: float = 1.0
    images: int | None = None  # training ends after so many real images; None to use the whole budget
    continue_from: str | None = None  # OWNER/SLUG of an attached kernel whose run goes on
    root: Path = Path("/kaggle")  # holds `input/` and `working/`

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Self:
        """Check the values of a kernel's head. A rehearsal replaces two of them after they are checked.

        Raises:
            DogsganError: naming the value that cannot be used.
        """
        budget_s, count = _budget_s(values.get("BUDGET", "9h")), _whole(values, "COUNT", COUNT)
        if shorter := os.environ.get(BUDGET_VARIABLE):
            budget_s = _budget_s(shorter)
        if fewer := os.environ.get(COUNT_VARIABLE):
            count = int(fewer)
        truncation = values.get("TRUNCATION", 1.0)
        if type(truncation) not in (int, float) or not 0 < truncation < 1e9:
            raise DogsganError(f"TRUNCATION = {truncation!r} cannot be used: write a number above 0")
        recipe = Recipe.from_json(values.get("RECIPE"))
        cpu_recipe = Recipe.from_json(values.get("CPU_RECIPE", values.get("RECIPE")))
        settings = cls(
            recipe=recipe,
            cpu_recipe=dataclasses.replace(cpu_recipe, data=recipe.data),  # one set of crops for both
            budget_s=budget_s,
            count=count,
            seed=_whole(values, "SEED", 0, least=0),
            truncation=truncation,
            images=None if values.get("IMAGES") is None else _whole(values, "IMAGES", 1),
            continue_from=_kernel(values.get("CONTINUE_FROM")),
            root=Path(os.environ.get(ROOT_VARIABLE, "/kaggle")),
        )
        for used in (settings.recipe, settings.cpu_recipe):
            used.model.check_truncation(settings.truncation)
        return settings


def _budget_s(value: Any) -> float:
    try:
        seconds = parse_duration(str(value))
    except DogsganError as error:
        raise DogsganError(f"BUDGET = {value!r} cannot be used: {error}") from error
    if not SMALLEST_BUDGET_S <= seconds <= LONGEST_BUDGET_S:
        raise DogsganError(
            f"BUDGET = {value!r} cannot be used: write {SMALLEST_BUDGET_S:.0f}s or more, and 9h or less, "
            "which is what Kaggle grants"
        )
    return seconds


def _kernel(value: Any) -> str | None:
    if value is not None and not re.fullmatch(r"[\w-]+/[\w-]+", str(value), re.ASCII):
        raise DogsganError(f"CONTINUE_FROM = {value!r} cannot be used: write OWNER/SLUG of a kernel, or None")
    return value if value is None else str(value)


def _whole(values: dict[str, Any], name: str, default: int, *, least: int = 1) -> int:
    value = values.get(name, default)
    if type(value) is not int or not least <= value < 2**63:
        raise DogsganError(f"{name} = {value!r} cannot be used: write a whole number from {least}")
    return value
