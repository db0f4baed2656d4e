"""Judgement: p-values of the evidence by the null distribution, and which pictures are flagged.

A nearness is any number that grows as a picture comes closer to the training set. That of real pictures to
the rest of the real set is the null distribution; its upper tail is taken to fall off exponentially beyond
the sample, so that a copy among ten thousand pictures can have a p-value small enough to be told. (Such
semi-parametric tails: Knijnenburg et al. 2009, "Fewer permutations, more accurate P-values".)
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import false_discovery_control

from dogsgan.audit.evidence import Evidence
from dogsgan.errors import DogsganError

FEWEST = 20
"""Real pictures that a calibration takes at least."""
_FEW_REAL = 200
_TESTS = 3  # of each picture: features, one view in pixels, two views in pixels
_BODY, _SHOULDER = 0.80, 0.95  # quantiles between which the fall is measured
_TAIL, _FAR_TAIL = 0.90, 0.97  # quantiles where the tail begins
_SHORTEST_SCALE = 0.01  # of nearness: less is no evidence, however alike the real pictures are
_UNHEARD_OF = 1e-3  # a largest value of the sample that is less probable is that of a duplicate


class Judgement(NamedTuple):
    """The verdict on N pictures."""

    p_value: np.ndarray
    """N: of all three tests together."""
    by_pixels: np.ndarray
    """N: of the pixels alone, one training view laid on the picture."""
    by_blends: np.ndarray
    """N: of the pixels alone, two training views."""
    flagged: np.ndarray
    """N bool."""
    twins: int
    """Real pictures of the null that were left out because they stand twice in the real set."""
    distance_threshold: float
    """A feature distance below this is flagged for it alone."""
    similarity_threshold: float
    """A pixel similarity above this is flagged for it alone."""
    null_distances: np.ndarray
    null_similarities: np.ndarray
    """Those of the real pictures that were kept."""

    def warnings(self, sampled: int) -> list[str]:
        """Return what makes the verdicts less sure; `sampled` is the size of the null sample."""
        lines = []
        if self.twins:
            lines.append(
                f"{self.twins:,} of the {sampled:,} training pictures of the null distribution have a twin "
                "in the training set (another copy, or another shot of a burst) and were left out of it"
            )
        if sampled < _FEW_REAL:
            lines.append(
                f"only {sampled} training pictures for the null distribution: p-values are rough, and a "
                "single copy among many pictures may not be flagged"
            )
        return lines


def judge(evidence: Evidence, null: Evidence, *, rate: float) -> Judgement:
    """Weigh the evidence on generated pictures against that on real ones, each compared with the rest.

    `rate` is the false discovery rate.

    Raises:
        DogsganError: there are too few real pictures.
    """
    null_distances = null.neighbours.distance[:, 0]
    null_similarities = null.verified.similarity
    features = calibrate(nearness_of_distance(null_distances))
    pixels = calibrate(nearness_of_similarity(null_similarities))
    blends = calibrate(nearness_of_similarity(null.verified.blend_similarity))
    by_features = features.p_values(nearness_of_distance(evidence.neighbours.distance[:, 0]))
    by_pixels = pixels.p_values(nearness_of_similarity(evidence.verified.similarity))
    by_blends = blends.p_values(nearness_of_similarity(evidence.verified.blend_similarity))
    p_value = combined(by_features, by_pixels, by_blends)
    flagged = discoveries(p_value, rate=rate)
    limit = rate * max(int(flagged.sum()), 1) / len(p_value)  # Benjamini and Hochberg's, for one picture more
    return Judgement(
        p_value=p_value,
        by_pixels=by_pixels,
        by_blends=by_blends,
        flagged=flagged,
        twins=int((~(features.kept & pixels.kept & blends.kept)).sum()),
        distance_threshold=float(np.exp(-features.nearness_at(limit / _TESTS))),
        similarity_threshold=float(np.tanh(pixels.nearness_at(limit / _TESTS))),
        null_distances=null_distances[features.kept],
        null_similarities=null_similarities[pixels.kept],
    )


def nearness_of_distance(distance: np.ndarray) -> np.ndarray:
    """Return −log of distances 0..1: a power law near 0, as distances follow, becomes exponential."""
    return -np.log(np.clip(distance, 1e-12, 1.0))


def nearness_of_similarity(similarity: np.ndarray) -> np.ndarray:
    """Return Fisher's z of correlations −1..1: even steps of it are even steps of evidence."""
    return np.arctanh(np.clip(similarity, -0.999999, 0.999999))


class Null(NamedTuple):
    """The null distribution of a nearness."""

    nearness: np.ndarray
    """Sorted, without what was taken for duplicates."""
    kept: np.ndarray
    """Which of the values given were kept, bool, in the order they were given."""
    start: float
    """Where the tail begins."""
    scale: float
    """The tail falls by a factor e over this much nearness, where it begins."""
    evidence: int
    """From how many values the fall was measured; the fewer, the slower the tail is taken to end."""

    def p_values(self, nearness: np.ndarray) -> np.ndarray:
        """Return how often a real picture comes at least as near, N values in 0..1."""
        count = len(self.nearness)
        above = count - np.searchsorted(self.nearness, nearness, side="left")
        p = (above + 1) / (count + 1)
        share = (count - np.searchsorted(self.nearness, self.start, side="left") + 1) / (count + 1)
        beyond = np.maximum(nearness - self.start, 0.0) / self.scale
        # An exponential whose scale is known from k values only: what is to be expected of the next one.
        tail = share * np.exp(-self.evidence * np.log1p(beyond / self.evidence))
        tail = np.maximum(tail, np.finfo(np.float64).tiny)  # no p-value is 0
        return np.where(nearness > self.start, np.minimum(tail, share), p)

    def nearness_at(self, p: float) -> float:
        """Return the nearness whose p-value is `p`, for drawing thresholds."""
        share = float(self.p_values(np.array([self.start]))[0])
        if p >= share:
            return float(np.quantile(self.nearness, 1 - p))
        return self.start + self.scale * self.evidence * float(np.expm1(np.log(share / p) / self.evidence))


def refuse_few(count: int) -> None:
    """Refuse fewer training pictures than a calibration takes.

    Raises:
        DogsganError: there are fewer.
    """
    if count < FEWEST:
        raise DogsganError(
            f"{count} training pictures are too few for the null distribution: it takes {FEWEST}"
        )


def calibrate(nearness: np.ndarray) -> Null:
    """Fit the null distribution to the nearness of real pictures to the rest of the real set.

    A photograph that is in the real set twice (scaled anew, cut anew, another shot of a burst) would make
    copies look normal: values further out than a sample of this size has by chance are left out.

    Raises:
        DogsganError: there are too few pictures.
    """
    refuse_few(len(nearness))
    kept = nearness <= _furthest_by_chance(nearness)
    rest = np.sort(nearness[kept])
    start = float(np.quantile(rest, _TAIL))
    far = float(np.quantile(rest, _FAR_TAIL))
    # The further tail may fall more slowly than the nearer one: the slower of the two is believed.
    scale, evidence = max(_mean_excess(rest, start), _mean_excess(rest, far))
    return Null(
        nearness=rest, kept=kept, start=start, scale=max(scale, _SHORTEST_SCALE), evidence=max(evidence, 1)
    )


def combined(*p_values: np.ndarray) -> np.ndarray:
    """Return one p-value a picture from several tests of it (Bonferroni, so however they depend)."""
    return np.minimum(1.0, len(p_values) * np.min(p_values, axis=0))


def discoveries(p_values: np.ndarray, *, rate: float) -> np.ndarray:
    """Return which pictures are flagged, N bool: of those, at most `rate` copy nothing, on average.

    Benjamini and Hochberg 1995, as scipy has it.
    """
    return np.asarray(false_discovery_control(p_values, method="bh") <= rate)


def _furthest_by_chance(nearness: np.ndarray) -> float:
    """Return the largest nearness that a sample of this size and fall-off has by chance.

    The fall is measured between two quantiles, which a few per cent of duplicates hardly move.
    """
    body, shoulder = np.quantile(nearness, [_BODY, _SHOULDER])
    scale = (shoulder - body) / np.log((1 - _BODY) / (1 - _SHOULDER))
    if scale < _SHORTEST_SCALE:  # too many are alike to tell what is far out
        return float(np.inf)
    beyond = (1 - _BODY) * len(nearness)
    return float(body + scale * np.log(beyond / _UNHEARD_OF))


def _mean_excess(ordered: np.ndarray, start: float) -> tuple[float, int]:
    """Return by how much values exceed `start` on average, and how many do."""
    excess = ordered[ordered > start] - start
    return (float(excess.mean()), len(excess)) if len(excess) else (0.0, 0)
