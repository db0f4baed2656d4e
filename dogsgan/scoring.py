"""The public functions of the score: `from dogsgan.scoring import …`."""

from dogsgan.features.networks import features_of, open_network
from dogsgan.metrics.frechet import frechet_distance, frechet_distance_of_features
from dogsgan.metrics.memorization import memorization_distance, mifid
from dogsgan.per_class import PerClassScore, per_class
from dogsgan.score import Score, score

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
