"""Generative Dog Images (Kaggle, 2019): what the competition takes, its thresholds and its scores."""

SLUG = "generative-dog-images"
COUNT = 10_000
"""Pictures in a submission."""
SIZE_PX = 64
"""Side of each."""
CHANNELS = 3

EPSILON_PUBLIC = 0.1
"""The public side's threshold on the memorization distance (Bai, Lin, Raffel & Kan, KDD 2021)."""
EPSILON_PRIVATE = 0.25
"""The private side's threshold."""

SUBMISSIONS = 584
"""How many submissions the quantiles are of."""

# Quantiles of the scores that the organisers published with their paper ("On Training Sample Memorization:
# Lessons from Benchmarking Generative Modeling with a Large-scale Competition", Bai et al., KDD 2021), over a
# half of the 1,666 scored submissions, less those that memorised. Counted as not memorising: not disqualified
# on the private side, and labelled `non-mem` by the organisers or not labelled at all.
# fmt: off
_PERCENT = (
    0, 1, 2.5, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 97.5, 99, 100,
)
_QUANTILES: dict[str, tuple[float, ...]] = {
    "public": (
        14.83, 33.7, 39.69, 46.6, 55.89, 58.75, 60.57, 62.22, 64.67, 66.53, 69.28, 74.13, 78.32, 84.38, 95.61,
        103.77, 109.28, 116.85, 126.09, 148.57, 217.38, 265.41, 381.23, 588.13, 608.77,
    ),
    "private": (
        56.47, 90.77, 102.48, 113.43, 116.58, 118.04, 118.88, 120.01, 120.82, 122.32, 125.11, 130.95, 139.9,
        147.28, 156.64, 165.94, 178.96, 188.54, 197.88, 214.52, 235.41, 270.92, 342.96, 425.98, 796.22,
    ),
}
# fmt: on


def percentile_2019(network: str, score: float) -> float | None:
    """Return the percentage of the submissions of 2019 that `score` beats, 0..100; lower scores are better.

    Between the table's quantiles it is interpolated. None for a network that is not the competition's.
    """
    import numpy as np  # only here: the command line reads the numbers above without it

    if network not in _QUANTILES:
        return None
    worse = 100.0 - np.interp(score, _QUANTILES[network], _PERCENT)
    return round(float(worse), 1)
