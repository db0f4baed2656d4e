"""The competition's score: features of both sides, their Fréchet distance, and the memorization distance.

What is listed here is imported when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dogsgan.scoring.features import features_of
    from dogsgan.scoring.formula import mifid
    from dogsgan.scoring.frechet import frechet_distance, frechet_distance_of_features
    from dogsgan.scoring.memorization import memorization_distance
    from dogsgan.scoring.networks import open_network
    from dogsgan.scoring.per_class_result import PerClassScore
    from dogsgan.scoring.per_class_scoring import per_class
    from dogsgan.scoring.scorer import Score, score

_HOMES = {
    "features_of": "features",
    "mifid": "formula",
    "frechet_distance": "frechet",
    "frechet_distance_of_features": "frechet",
    "memorization_distance": "memorization",
    "open_network": "networks",
    "PerClassScore": "per_class_result",
    "per_class": "per_class_scoring",
    "Score": "scorer",
    "score": "scorer",
}

__all__ = [
    "PerClassScore",
    "Score",
    "features_of",
    "frechet_distance",
    "frechet_distance_of_features",
    "memorization_distance",
    "mifid",
    "open_network",
    "per_class",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
