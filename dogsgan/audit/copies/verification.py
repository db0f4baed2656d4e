"""Verification: candidates are aligned with the picture, and pairs of them are fitted as a blend."""

import math
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.copies.alignment import (
    COARSE_PX,
    FINE_PX,
    Aligned,
    compare,
    correlation,
    detail,
    lay,
    multiple_correlation,
    picture_bands,
    refine,
    shifted,
    turned,
    warp,
)
from dogsgan.audit.copies.bands import luminance
from dogsgan.audit.copies.search import Candidates
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.blockwise import blocks, blockwise

PICTURES_AT_ONCE = 32
_SHORTLIST_FINE, _SHORTLIST_COARSE = 4, 8  # candidates of a picture that are aligned finely
_TURNS = (0.0, math.radians(9), math.radians(-9))  # where alignment starts from: what was found, turned
_SHIFTS = ((0.1, 0.1), (-0.1, 0.1), (0.1, -0.1), (-0.1, -0.1))  # and shifted, by 3 px of 64
_LEAST_SHARE = 0.15  # of a blend, in standard deviations: less of the second picture is no blend


class Verified(NamedTuple):
    """The evidence of the pixels on N pictures."""

    similarity: np.ndarray
    """N: correlation with the best aligned view."""
    view: np.ndarray
    """N int64: that view; −1 where there was none."""
    mirrored: np.ndarray
    """N bool."""
    transform: np.ndarray
    """N×3×3: from the picture's coordinates to the (mirrored) view's."""
    blend_similarity: np.ndarray
    """N: correlation with the best sum of two views of different training pictures; 0 where none fits."""
    blend_view: np.ndarray
    """N×2 int64: the two, the stronger first; −1 where none fits."""
    blend_mirrored: np.ndarray
    """N×2 bool."""
    blend_transform: np.ndarray
    """N×2×3×3."""


def verify(
    pictures: np.ndarray,
    views: TrainingViews,
    candidates: Candidates,
    *,
    device: torch.device | None = None,
    description: str | None = None,
) -> Verified:
    """Align N×H×W×3 uint8 pictures with their candidates and keep what fits best."""
    device = device or torch.device("cpu")

    def verified(rows: slice) -> Verified:
        some = Candidates(*(values[rows] for values in candidates))
        with torch.inference_mode():
            return _verify_block(pictures[rows], views, some, device)

    every = list(blocks(len(pictures), PICTURES_AT_ONCE))
    parts = [part for _, part in blockwise(verified, every, description=description)]
    return Verified(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _verify_block(
    pictures: np.ndarray, views: TrainingViews, candidates: Candidates, device: torch.device
) -> Verified:
    count = len(pictures)
    light = luminance(pictures).to(device)
    pool = _Pool.of(light, views, candidates, device)
    shortlist = _shortlist(pool, count)
    finalists = pool.at(shortlist)
    aligned = _aligned_finely(finalists)
    return _summary(light, finalists, aligned, candidates, shortlist.cpu().numpy(), views)


class _Pool(NamedTuple):
    """Pairs of a picture and a view, M = N·K of them in the pictures' order."""

    k: int
    picture: dict[int, torch.Tensor]  # bands of the pictures, M×1×S×S by size
    light: torch.Tensor  # luminance of the views, M×1×H×W, mirrored where the candidate is
    view: dict[int, torch.Tensor]  # bands of the views
    transform: torch.Tensor  # M×3×3
    there: torch.Tensor  # M bool: false fills a row that has fewer candidates

    @classmethod
    def of(
        cls, light: torch.Tensor, views: TrainingViews, candidates: Candidates, device: torch.device
    ) -> "_Pool":
        k = candidates.view.shape[1]
        index = candidates.view.reshape(-1)
        unique, place = np.unique(np.maximum(index, 0), return_inverse=True)
        light_of_views = luminance(views.pictures[unique]).to(device)[torch.as_tensor(place, device=device)]
        mirrored = torch.as_tensor(candidates.mirrored.reshape(-1), device=device)
        light_of_views = torch.where(mirrored[:, None, None, None], light_of_views.flip(3), light_of_views)
        return cls(
            k=k,
            picture={s: x.repeat_interleave(k, 0) for s, x in picture_bands(light).items()},
            light=light_of_views,
            view=picture_bands(light_of_views),
            transform=torch.as_tensor(candidates.transform.reshape(-1, 3, 3), device=device),
            there=torch.as_tensor(index >= 0, device=device),
        )

    def at(self, shortlist: torch.Tensor) -> "_Pool":
        """Return the pool of each picture's shortlisted candidates, N×L places among its K."""
        count, length = shortlist.shape
        start = torch.arange(count, device=shortlist.device)[:, None] * self.k
        rows = (start + shortlist).flatten()
        return _Pool(
            k=length,
            picture={size: x[rows] for size, x in self.picture.items()},
            light=self.light[rows],
            view={size: x[rows] for size, x in self.view.items()},
            transform=self.transform[rows],
            there=self.there[rows],
        )


def _shortlist(pool: _Pool, count: int) -> torch.Tensor:
    """Return the places, N×L, of the candidates that fit best: aligned coarsely, or finely as they came."""
    aligned = refine(pool.picture, pool.view, pool.transform, size_px=COARSE_PX)
    coarse = _similarity(pool, aligned, size_px=COARSE_PX)
    fine = _similarity(pool, pool.transform, size_px=FINE_PX)
    coarse = torch.where(pool.there, coarse, -1.0).view(count, pool.k)
    fine = torch.where(pool.there, fine, -1.0).view(count, pool.k)
    by_fine = fine.topk(min(_SHORTLIST_FINE, pool.k), dim=1).indices
    rest = coarse.scatter(1, by_fine, -2.0)
    by_coarse = rest.topk(min(_SHORTLIST_COARSE, pool.k - by_fine.shape[1]), dim=1).indices
    return torch.cat([by_fine, by_coarse], dim=1)


def _similarity(pool: _Pool, transform: torch.Tensor, *, size_px: int) -> torch.Tensor:
    """Return the correlation of the bands of one size, M; quicker than `compare`, and a little rougher."""
    picture, view = pool.picture[size_px], pool.view[size_px]
    moved = warp(view, transform, view.shape[-1]).flatten(1)
    inside = warp(torch.ones_like(view), transform, view.shape[-1]).flatten(1) > 0.5
    return correlation(picture.flatten(1), moved, inside)


def _aligned_finely(pool: _Pool) -> Aligned:
    """Return the best alignment of each pair: as it was found, or refined from one of several starts."""
    places = [turned(pool.transform, turn) for turn in _TURNS]
    places += [shifted(pool.transform, *shift) for shift in _SHIFTS]
    starts = [refine(pool.picture, pool.view, place, size_px=COARSE_PX) for place in places]
    similarities = torch.stack([_similarity(pool, start, size_px=COARSE_PX) for start in starts])
    every = torch.arange(len(pool.transform), device=pool.transform.device)
    coarse = torch.stack(starts)[similarities.argmax(0), every]
    fine = refine(pool.picture, pool.view, coarse, size_px=FINE_PX)
    tried = [compare(pool.picture, pool.light, transform) for transform in (pool.transform, coarse, fine)]
    best = torch.stack([one.similarity for one in tried]).argmax(0)
    return Aligned(*(torch.stack(values)[best, every] for values in zip(*tried, strict=True)))


def _summary(
    light: torch.Tensor,
    pool: _Pool,
    aligned: Aligned,
    candidates: Candidates,
    shortlist: np.ndarray,
    views: TrainingViews,
) -> Verified:
    """Return each picture's best view and best pair of views."""
    count, length = shortlist.shape
    similarity = torch.where(pool.there, aligned.similarity, 0.0).view(count, length)
    view = np.take_along_axis(candidates.view, shortlist, 1)
    mirrored = np.take_along_axis(candidates.mirrored, shortlist, 1)
    transform = aligned.transform.view(count, length, 3, 3).cpu().numpy()
    best = similarity.argmax(1).cpu().numpy()
    each = np.arange(count)
    source = np.where(view >= 0, views.picture_index[np.maximum(view, 0)], -1)
    pair = _best_pair(pool.picture[FINE_PX].flatten(1)[::length], aligned, source)
    none = pair[:, 0] < 0
    rows = each[:, None]
    start = each * length
    single = _moved(pool, start + best, aligned)
    first, second = (_moved(pool, start + np.maximum(pair[:, place], 0), aligned) for place in (0, 1))
    details = detail(light)
    blend, _ = multiple_correlation(details, detail(first[0]), detail(second[0]), first[1] & second[1])
    return Verified(
        similarity=correlation(details, detail(single[0]), single[1]).cpu().numpy(),
        view=view[each, best],
        mirrored=mirrored[each, best],
        transform=transform[each, best],
        blend_similarity=np.where(none, 0, blend.cpu().numpy()),
        blend_view=np.where(none[:, None], -1, view[rows, pair]),
        blend_mirrored=mirrored[rows, pair],
        blend_transform=transform[rows, pair],
    )


def _moved(pool: _Pool, rows: np.ndarray, aligned: Aligned) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the views of some pairs laid on their pictures, N×1×S×S, and where they reach, N×S² bool."""
    moved, inside = lay(pool.light[rows], aligned.transform[rows])
    return moved, inside.flatten(1) > 0.99


def _best_pair(picture: torch.Tensor, aligned: Aligned, source: np.ndarray) -> np.ndarray:
    """Return which two of a picture's L views make the best blend, N×2, the stronger first; −1 where none do.

    Two views of one training picture are no blend, nor is a sum in which one has too small a share.
    """
    count, length = source.shape
    bands = aligned.band.view(count, length, -1)
    covered = aligned.covered.view(count, length, -1)
    owner = torch.as_tensor(source, device=picture.device)
    first, second = (torch.as_tensor(x, device=picture.device) for x in np.triu_indices(length, 1))
    fit, shares = multiple_correlation(
        picture.repeat_interleave(len(first), 0),
        bands[:, first].flatten(0, 1),
        bands[:, second].flatten(0, 1),
        (covered[:, first] & covered[:, second]).flatten(0, 1),
    )
    fit, shares = fit.view(count, -1), shares.view(count, -1, 2)
    apart = (owner[:, first] != owner[:, second]) & (owner[:, first] >= 0) & (owner[:, second] >= 0)
    fit = torch.where(apart & (shares.amin(2) > _LEAST_SHARE), fit, -1.0)
    value, best = fit.max(1)
    every = torch.arange(count, device=picture.device)
    pair = torch.stack([first[best], second[best]], dim=1)
    pair = torch.where((shares[every, best, 0] < shares[every, best, 1])[:, None], pair.flip(1), pair)
    return torch.where(value[:, None] > 0, pair, -1).cpu().numpy()
