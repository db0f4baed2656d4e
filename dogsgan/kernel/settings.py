"""The values at the head of a built kernel, checked: a person may have changed them on Kaggle."""

import dataclasses
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.training.deadline import parse_duration

BUDGET_VARIABLE, COUNT_VARIABLE = "DOGSGAN_KERNEL_BUDGET", "DOGSGAN_KERNEL_COUNT"  # smaller: a rehearsal
ROOT_VARIABLE = "DOGSGAN_KERNEL_ROOT"  # a folder that stands for /kaggle where there can be none
SMALLEST_BUDGET_S, LONGEST_BUDGET_S = 20.0, 9 * 3600.0  # the longest is that of a GPU session on Kaggle


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
