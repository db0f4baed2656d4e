"""P-values of the evidence by the null distribution, and which pictures are flagged."""

from typing import NamedTuple

import numpy as np

from dogsgan.audit.calibration import (
    calibrate,
    combined,
    discoveries,
    nearness_of_distance,
    nearness_of_similarity,
)
from dogsgan.audit.copies.evidence import Evidence

_FEW_REAL = 200
TESTS = 3
"""Of each picture: features, one view in pixels, two views in pixels."""


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
    by_features = features.p_values(nearness_of_distance(evidence.neighbours.distance[:, 0]))
    by_pixels = pixels.p_values(nearness_of_similarity(evidence.verified.similarity))
    blends = calibrate(nearness_of_similarity(null.verified.blend_similarity))
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
        distance_threshold=float(np.exp(-features.nearness_at(limit / TESTS))),
        similarity_threshold=float(np.tanh(pixels.nearness_at(limit / TESTS))),
        null_distances=null_distances[features.kept],
        null_similarities=null_similarities[pixels.kept],
    )
