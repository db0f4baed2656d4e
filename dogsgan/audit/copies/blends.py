"""Blends: the second training picture, searched for in what is left without the first.

A faint second picture is not among the candidates of the whole. So the first is subtracted, what remains is
searched for like a picture, and both are fitted together.
"""

import numpy as np
import torch

from dogsgan.audit.copies.overlay import lay_on
from dogsgan.audit.copies.search import Candidates, find_candidates
from dogsgan.audit.copies.verification import Verified, verify
from dogsgan.audit.copies.views import TrainingViews

_PARTNERS = 12
_REMAINDER_STD = 50.0  # grey levels that the remainder is stretched to, so that it is searched like a picture


def with_partners(
    pictures: np.ndarray,
    views: TrainingViews,
    verified: Verified,
    *,
    rows: np.ndarray,
    device: torch.device,
    description: str | None = None,
) -> Verified:
    """Return the same, with better blends for some `rows` of the N×S×S×3 pictures where there are any."""
    if len(rows) == 0:
        return verified
    some = np.asarray(pictures[rows])
    remainders = np.stack(
        [_remainder(picture, views, verified, row) for picture, row in zip(some, rows, strict=True)]
    )
    found = find_candidates(
        remainders, views, coarse=_PARTNERS, fine=_PARTNERS, device=device, description=description
    )
    first = verified.view, verified.mirrored, verified.transform
    both = (np.concatenate([one[rows, None], other], axis=1) for one, other in zip(first, found, strict=True))
    again = verify(some, views, Candidates(*both), device=device)
    better = again.blend_similarity > verified.blend_similarity[rows]
    changed = {}
    for name in ("blend_similarity", "blend_view", "blend_mirrored", "blend_transform"):
        changed[name] = getattr(verified, name).copy()
        changed[name][rows[better]] = getattr(again, name)[better]
    return verified._replace(**changed)


def _remainder(picture: np.ndarray, views: TrainingViews, verified: Verified, row: int) -> np.ndarray:
    """Return what one view leaves of a picture, as a picture."""
    laid = lay_on(
        picture,
        np.asarray(views.pictures[verified.view[row]]),
        mirrored=bool(verified.mirrored[row]),
        transform=verified.transform[row],
    )
    left = laid.residual
    stretched = 128.0 + left * (_REMAINDER_STD / max(float(left.std()), 1.0))
    return np.clip(stretched, 0, 255).astype(np.uint8)
