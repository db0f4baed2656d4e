"""The public functions of the score: `from dogsgan.scoring import …`.

Each is imported when it is first used, so that importing the package costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dogsgan.features.extraction import features_of
    from dogsgan.features.networks import open_network
    from dogsgan.metrics.frechet import frechet_distance, frechet_distance_of_features
    from dogsgan.metrics.memorization import memorization_distance
    from dogsgan.metrics.mifid import mifid
    from dogsgan.per_class.result import PerClassScore
    from dogsgan.per_class.scoring import per_class
    from dogsgan.score import Score, score

_HOMES = {
    "features_of": "features.extraction",
    "frechet_distance": "metrics.frechet",
    "frechet_distance_of_features": "metrics.frechet",
    "memorization_distance": "metrics.memorization",
    "mifid": "metrics.mifid",
    "open_network": "features.networks",
    "per_class": "per_class.scoring",
    "PerClassScore": "per_class.result",
    "score": "score",
    "Score": "score",
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
    return getattr(importlib.import_module(f"dogsgan.{_HOMES[name]}"), name)
