"""Verification: candidates are aligned with the picture, and pairs of them are fitted as a blend.

A view is moved, turned, scaled and slanted until it fits, by Gauss-Newton steps on the bands of both (the
inverse compositional form of Baker and Matthews, "Lucas-Kanade 20 Years On", 2004), coarse to fine.
Transforms are 3×3 matrices from the picture's coordinates to the view's, both −1..1 from edge to edge.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from dogsgan.audit.search import Candidates, Window, band, luminance
from dogsgan.audit.views import TrainingViews
from dogsgan.blockwise import CPU, at_once, blocks, blockwise

_PICTURES_AT_ONCE = 32
_PICTURE_BYTES = 4_000_000  # with all its candidates
_SHORTLIST_FINE, _SHORTLIST_COARSE = 4, 8  # candidates of a picture that are aligned finely
# Where alignment starts from: what was found, with the picture turned, and shifted on the view by 3 px of 64.
_TURNS = tuple(Window(turn=math.radians(degrees)) for degrees in (0, 9, -9))
_SHIFTS = tuple(Window(x, y) for y in (0.1, -0.1) for x in (0.1, -0.1))
_LEAST_SHARE = 0.15  # of a blend, in standard deviations: less of the second picture is no blend
COARSE_PX, FINE_PX = 16, 32
_SIGMA = {COARSE_PX: 2.0, FINE_PX: 2.5}
_DETAIL_SIGMA = 1.5
_COARSE_STEPS, _FINE_STEPS = 10, 6
_DAMPING = 0.02
_LONGEST_STEP = 0.1  # of a coordinate; the linearisation does not reach further
_ALIKE = 0.8  # two views that correlate more are one picture, whatever their names
_OVERLAP = 0.4  # of the picture that the view has to cover
_SMALLEST, _LARGEST, _UNEVEN = 0.4, 1.7, 1.6  # scales of a transform, and the ratio of its two


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
    device: torch.device = CPU,
    description: str | None = None,
) -> Verified:
    """Align N×H×W×3 uint8 pictures with their candidates and keep what fits best."""

    def verified(rows: slice) -> Verified:
        some = Candidates(*(values[rows] for values in candidates))
        with torch.inference_mode():
            return _verify_block(pictures[rows], views, some, device)

    every = list(blocks(len(pictures), pictures_at_once(device)))
    parts = [part for _, part in blockwise(verified, every, description=description, device=device)]
    return Verified(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def pictures_at_once(device: torch.device) -> int:
    """Return how many pictures are aligned at once."""
    return at_once(_PICTURES_AT_ONCE, row_bytes=_PICTURE_BYTES, device=device)


def _verify_block(
    pictures: np.ndarray, views: TrainingViews, candidates: Candidates, device: torch.device
) -> Verified:
    """Return each picture's best view and best pair of views."""
    count = len(pictures)
    light = luminance(pictures).to(device)
    pool = _Pool.of(light, views, candidates, device)
    on_device = _shortlist(pool, count)
    pool, shortlist = pool.at(on_device), on_device.cpu().numpy()
    length = shortlist.shape[1]
    aligned = _aligned_finely(pool)
    similarity = torch.where(pool.there, aligned.similarity, 0.0).view(count, length)
    view = np.take_along_axis(candidates.view, shortlist, 1)
    mirrored = np.take_along_axis(candidates.mirrored, shortlist, 1)
    transform = aligned.transform.view(count, length, 3, 3).cpu().numpy()
    best = similarity.argmax(1).cpu().numpy()
    source = np.where(view >= 0, views.picture_index[np.maximum(view, 0)], -1)
    pair = _best_pair(pool.picture[FINE_PX].flatten(1)[::length], aligned, source)
    none = pair[:, 0] < 0
    each = np.arange(count)

    def laid(place: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the detail of one view of each picture, moved, N×S², and where it reaches, N×S² bool."""
        rows = each * length + place
        moved, inside = _lay(pool.light[rows], aligned.transform[rows])
        return _detail(moved), inside.flatten(1) > 0.99

    details = _detail(light)
    (first, first_inside), (second, second_inside) = (laid(np.maximum(place, 0)) for place in pair.T)
    blend, _ = multiple_correlation(details, first, second, first_inside & second_inside)
    return Verified(
        similarity=_correlation(details, *laid(best)).cpu().numpy(),
        view=view[each, best],
        mirrored=mirrored[each, best],
        transform=transform[each, best],
        blend_similarity=np.where(none, 0, blend.cpu().numpy()),
        blend_view=np.where(none[:, None], -1, view[each[:, None], pair]),
        blend_mirrored=mirrored[each[:, None], pair],
        blend_transform=transform[each[:, None], pair],
    )


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


class _Aligned(NamedTuple):
    """M views laid on M pictures."""

    transform: torch.Tensor
    """M×3×3."""
    similarity: torch.Tensor
    """M: correlation of the bands where the view covers the picture; 0 where it covers too little."""
    band: torch.Tensor
    """M×size²: the band of the moved view, at `FINE_PX` or the pictures' own size where that is smaller."""
    covered: torch.Tensor
    """M×size² bool: where the view covers the picture."""


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
    """Return the correlation of the bands of one size, M; quicker than `_compare`, and a little rougher."""
    picture, view = pool.picture[size_px], pool.view[size_px]
    moved = warp(view, transform, view.shape[-1]).flatten(1)
    inside = warp(torch.ones_like(view), transform, view.shape[-1]).flatten(1) > 0.5
    return _correlation(picture.flatten(1), moved, inside)


def _aligned_finely(pool: _Pool) -> _Aligned:
    """Return the best alignment of each pair: as it was found, or refined from one of several starts."""

    def matrix(window: Window) -> torch.Tensor:
        return torch.as_tensor(window.matrix(), dtype=torch.float32, device=pool.transform.device)

    places = [pool.transform @ matrix(turn) for turn in _TURNS]
    places += [matrix(shift) @ pool.transform for shift in _SHIFTS]
    starts = [refine(pool.picture, pool.view, place, size_px=COARSE_PX) for place in places]
    similarities = torch.stack([_similarity(pool, start, size_px=COARSE_PX) for start in starts])
    every = torch.arange(len(pool.transform), device=pool.transform.device)
    coarse = torch.stack(starts)[similarities.argmax(0), every]
    fine = refine(pool.picture, pool.view, coarse, size_px=FINE_PX)
    tried = [_compare(pool.picture, pool.light, transform) for transform in (pool.transform, coarse, fine)]
    best = torch.stack([one.similarity for one in tried]).argmax(0)
    return _Aligned(*(torch.stack(values)[best, every] for values in zip(*tried, strict=True)))


def _best_pair(picture: torch.Tensor, aligned: _Aligned, source: np.ndarray) -> np.ndarray:
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


def picture_bands(light: torch.Tensor) -> dict[int, torch.Tensor]:
    """Return the bands that `refine` and `_compare` take, by their size, of M×1×S×S luminance.

    None is larger than S: pictures of 28 px stretched to 32 would be pulled about by up to half a pixel.
    """
    most = light.shape[-1]
    return {size: band(light, size_px=min(size, most), sigma=sigma) for size, sigma in _SIGMA.items()}


def refine(
    picture: dict[int, torch.Tensor], view: dict[int, torch.Tensor], transform: torch.Tensor, *, size_px: int
) -> torch.Tensor:
    """Return better transforms, M×3×3, by Gauss-Newton steps on the bands of `size_px`.

    A transform that leaves what a copy may be (half to nearly twice the size, little slant) is given back as
    it came.
    """
    template, source = picture[size_px].flatten(1), view[size_px]
    count, size = len(template), source.shape[-1]
    slopes = _slopes(picture[size_px])  # M×6×n; the picture's serve for all steps
    whole = torch.ones_like(source)
    identity = torch.eye(3, device=template.device)
    damping = _DAMPING * torch.eye(6, device=template.device)
    refined = transform
    for _ in range(_COARSE_STEPS if size_px == COARSE_PX else _FINE_STEPS):
        inside = warp(whole, refined, size).flatten(1) > 0.5
        target, moved = _centred(template, inside), _centred(warp(source, refined, size).flatten(1), inside)
        gain = (target * moved).sum(1) / (moved * moved).sum(1).clamp(min=1e-6)
        error = gain.clamp(0.2, 5.0)[:, None] * moved - target
        visible = slopes * inside[:, None]
        hessian = visible @ slopes.transpose(1, 2)  # M×6×6
        scale = hessian.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-3
        step = torch.linalg.solve(hessian + scale * damping, (visible @ error[..., None])[..., 0])
        change = identity.expand(count, 3, 3).clone()
        change[:, :2] += step.clamp(-_LONGEST_STEP, _LONGEST_STEP).view(count, 2, 3)
        refined = refined @ torch.linalg.inv(change)
    return torch.where(_plausible(refined)[:, None, None], refined, transform)


def _compare(
    picture: dict[int, torch.Tensor], light_of_view: torch.Tensor, transform: torch.Tensor
) -> _Aligned:
    """Lay views (M×1×H×W luminance) on pictures by `transform` and correlate the fine bands."""
    moved, inside = _lay(light_of_view, transform)
    size = picture[FINE_PX].shape[-1]
    covered = functional.adaptive_avg_pool2d(inside, size).flatten(1) > 0.99
    bands = band(moved, size_px=size, sigma=_SIGMA[FINE_PX]).flatten(1)
    similarity = _correlation(picture[FINE_PX].flatten(1), bands, covered)
    enough = covered.float().mean(1) > _OVERLAP
    return _Aligned(transform, torch.where(enough, similarity, 0.0), bands, covered)


def _lay(light_of_view: torch.Tensor, transform: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return M×1×S×S views moved by `transform`, and where they reach (1, else 0).

    Beyond that their outermost pixels go on, so that no edge is there which the picture has not: a margin of
    the mean grey around a digit, white on black, hid that it was a copy.
    """
    size = light_of_view.shape[-1]
    moved = warp(light_of_view, transform, size, beyond="border")
    return moved, (warp(torch.ones_like(light_of_view), transform, size) > 0.999).float()


def _detail(light: torch.Tensor) -> torch.Tensor:
    """Return the finest band of M×1×S×S luminance, M×S²: it tells copies best from look-alikes."""
    return band(light, size_px=light.shape[-1], sigma=_DETAIL_SIGMA).flatten(1)


def warp(
    pictures: torch.Tensor, transform: torch.Tensor, size_px: int, *, beyond: str = "zeros"
) -> torch.Tensor:
    """Return what M×C×H×W pictures show at the transformed coordinates, M×C×size×size.

    Outside there are `zeros`, or what is at the `border`.
    """
    x, y = _coordinates(size_px, pictures.device)
    # affine_grid's many tiny products take ten times as long
    row = transform[:, :2, :, None, None]  # M×2×3×1×1
    grid = row[:, :, 0] * x + row[:, :, 1] * y + row[:, :, 2]  # M×2×S×S
    return functional.grid_sample(
        pictures, grid.permute(0, 2, 3, 1), padding_mode=beyond, align_corners=False
    )


def _coordinates(size_px: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return x and y, −1..1, of the centres of S×S pixels."""
    line = (torch.arange(size_px, device=device) + 0.5) / size_px * 2 - 1
    y, x = torch.meshgrid(line, line, indexing="ij")
    return x, y


def _correlation(a: torch.Tensor, b: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    """Return the correlation of rows of M×n values over the places that M×n `where` marks."""
    a, b = _centred(a, where), _centred(b, where)
    return (a * b).sum(1) / ((a * a).sum(1) * (b * b).sum(1)).sqrt().clamp(min=1e-6)


def multiple_correlation(
    picture: torch.Tensor, a: torch.Tensor, b: torch.Tensor, where: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how well sums of a and b fit pictures: the multiple correlation, M, and both weights, M×2.

    All three are M×n. Weights are in standard deviations. 0 where a and b are too much alike to tell apart,
    or cover too little of the picture.
    """
    r_a, r_b, r_ab = (_correlation(*pair, where) for pair in ((picture, a), (picture, b), (a, b)))
    left = (1 - r_ab * r_ab).clamp(min=1e-3)
    weights = torch.stack([r_a - r_b * r_ab, r_b - r_a * r_ab], dim=1) / left[:, None]
    squared = (weights * torch.stack([r_a, r_b], dim=1)).sum(1).clamp(0, 1)
    usable = (r_ab.abs() < _ALIKE) & (where.float().mean(1) > _OVERLAP)
    return torch.where(usable, squared.sqrt(), 0.0), weights


def _centred(values: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
    weight = where.float()
    mean = (values * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1)
    return (values - mean) * weight


def _slopes(picture: torch.Tensor) -> torch.Tensor:
    """Return how M×1×S×S values change with each of the six numbers of an affine transform, M×6×n."""
    size = picture.shape[-1]
    x, y = _coordinates(size, picture.device)
    down, across = torch.gradient(picture[:, 0], spacing=2 / size, dim=(1, 2))
    return torch.stack([across * x, across * y, across, down * x, down * y, down], dim=1).flatten(2)


def _plausible(transform: torch.Tensor) -> torch.Tensor:
    """Return whether transforms are those of a copy, M bool.

    The two scales come from the 2×2 part's invariants.
    """
    a, b, c, d = (transform[:, i, j] for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)))
    determinant = a * d - b * c
    half_sum = (a * a + b * b + c * c + d * d) / 2
    spread = (half_sum * half_sum - determinant * determinant).clamp(min=0).sqrt()
    large, small = (half_sum + spread).sqrt(), (half_sum - spread).clamp(min=0).sqrt()
    fits = (determinant > 0) & (large < _LARGEST) & (small > _SMALLEST) & (large < _UNEVEN * small)
    return fits & torch.isfinite(transform).all(dim=2).all(dim=1)
