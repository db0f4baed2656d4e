"""Metrics of generated pictures: functions of two sets of features, which know no network and no file.

A module of this package that sets `METRICS` registers them: the score computes and reports those that are
quick, under their names in the JSON's `metrics`.
"""

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dogsgan.number_text import significant


@dataclass(frozen=True)
class Measured:
    """The value of a metric."""

    value: float
    std: float | None = None
    """The standard deviation over the subsets that the value is the mean of; None for a metric without."""

    def summary(self) -> str:
        """Return the value for people, with its deviation."""
        std = "" if self.std is None else f" ± {significant(self.std, 2)}"
        return f"{significant(self.value, 4)}{std}"


@dataclass(frozen=True)
class Metric:
    """A number that compares generated with real pictures."""

    name: str
    """Its key in JSON."""
    title: str
    measure: Callable[[Any, Any], Measured]
    """Takes the features of both sides, generated N×D and real M×D, arrays or tensors."""
    lower_is_better: bool
    meaning: str
    """What its value says, in a sentence."""
    quick: bool = True
    """Whether a score computes it unasked: seconds for 10,000 generated and 20,000 real pictures."""

    def to_json(self, measured: Measured) -> dict[str, Any]:
        """Return a value with what it means, as plain values."""
        return {
            "title": self.title,
            "value": measured.value,
            "std": measured.std,
            "lower_is_better": self.lower_is_better,
            "meaning": self.meaning,
        }


@functools.cache
def registered() -> Mapping[str, Metric]:
    """Return every metric by its name: those that the modules of this package list in `METRICS`."""
    modules = (
        importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__)
    )
    metrics = [metric for module in modules for metric in getattr(module, "METRICS", ())]
    return {metric.name: metric for metric in sorted(metrics, key=lambda metric: metric.name)}
