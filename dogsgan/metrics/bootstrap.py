"""Bootstrap intervals: 95% percentile intervals of a statistic over resampled pictures."""

import numpy as np

RESAMPLES = 2000

_VALUES_AT_ONCE = 4_000_000


def interval_of_mean(values: np.ndarray, *, seed: int) -> tuple[float, float]:
    """Return the 95% percentile bootstrap interval of the mean of `values`, N, one of each picture.

    Only these pictures are drawn anew, with replacement; whatever their values were measured against (the
    balls, the training set) is held fixed. Equal values are drawn together, by a multinomial of their counts,
    which is the same distribution as drawing one by one.
    """
    random = np.random.default_rng(seed)
    distinct, counts = np.unique(np.asarray(values, dtype=np.float64), return_counts=True)
    total = int(counts.sum())
    step = max(1, _VALUES_AT_ONCE // len(distinct))
    means = np.concatenate(
        [
            random.multinomial(total, counts / total, size=min(step, RESAMPLES - start)) @ distinct / total
            for start in range(0, RESAMPLES, step)
        ]
    )
    return percentile_interval(means)


def percentile_interval(resampled: np.ndarray) -> tuple[float, float]:
    """Return the 2.5th and the 97.5th percentile of a statistic's values over the resamples."""
    low, high = np.percentile(resampled, [2.5, 97.5])
    return float(low), float(high)
