"""The search in pixels: training views that a picture may have been made from, out of all of them.

Windows of the picture are compared with windows of every view, mirrored too, so that a crop, a shift, a
margin or a turn still leaves one pair of windows that lie well on each other. What is found is then aligned
and verified.

What is compared is a band: the luminance between two scales, with even contrast. Light, contrast, hue and
slow shading fall away with the coarse scales, noise and JPEG's traces with the fine ones; what is left
differs so much between two photographs that a copy stands out. A band is linear but for the even contrast, so
that the windows of a picture cost a matrix product.
"""

import functools
import math
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from dogsgan.audit.views import TrainingViews
from dogsgan.blockwise import CPU, at_once, blocks, blockwise

LUMINANCE = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""
_LARGEST_PX = 64  # no band is finer
_PICTURES_AT_ONCE = 256
_FLAT = 4.0  # squared grey levels: contrast below two grey levels is noise and is not raised
_TURN = 0.2  # radians, 11.5 degrees


class Window(NamedTuple):
    """A square part of a picture, in coordinates −1..1 from edge to edge; `turn` is in radians."""

    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    turn: float = 0.0

    def matrix(self) -> np.ndarray:
        """Return the 3×3 matrix from coordinates −1..1 in the window to those in the picture."""
        cosine, sine = self.scale * math.cos(self.turn), self.scale * math.sin(self.turn)
        return np.array([[cosine, -sine, self.x], [sine, cosine, self.y], [0.0, 0.0, 1.0]])


_PICTURE_WINDOWS = (
    Window(),
    Window(scale=0.84),
    *(Window(scale=0.84, turn=turn) for turn in (_TURN, -_TURN)),
    *(Window(turn=quarters * math.pi / 2) for quarters in (1, 2, 3)),
)
"""Windows of the generated picture: the whole; less its margin; that turned; the whole on side or head."""
_VIEW_WINDOWS = (
    Window(),
    *(Window(0.16 * x, 0.16 * y, 0.84) for y in (-1, 0, 1) for x in (-1, 0, 1)),
    *(Window(0.29 * x, 0.29 * y, 0.71) for y in (-1, 0, 1) for x in (-1, 0, 1)),
)
"""Windows of a training view: the whole, and where a crop of 70% or 50% of its area can lie."""
_PAIRS = (
    *((0, view) for view in range(19)),  # crops
    *((1, view) for view in range(10)),  # shifts and margins
    *((picture, 0) for picture in range(2, 7)),  # turns
)
_ACROSS = np.diag([-1.0, 1.0, 1.0])
_STRAIGHT = np.stack(
    [
        _VIEW_WINDOWS[view].matrix() @ np.linalg.inv(_PICTURE_WINDOWS[picture].matrix())
        for picture, view in _PAIRS
    ]
)
# The mirrored picture is compared with the view as it is; afterwards it is the view that is mirrored.
_TRANSFORMS = np.concatenate([_STRAIGHT, _ACROSS @ _STRAIGHT @ _ACROSS]).astype(np.float32)
"""Each pair's matrix from a picture to a view, as it is and mirrored, pairs×3×3."""
_COARSE_PX = 12
_FINE_PX = 16  # for blends and faint copies: more detail, of the whole picture only
_SIGMA = 2.0
_QUERIES_AT_ONCE = 256
VIEWS_AT_ONCE = 2048
_QUERY_BYTES, _VIEW_BYTES = 400_000, 130_000  # while a block of views meets one of pictures
_TILE = 512  # views of a product with 256 pictures: half a megabyte, which a core's cache holds
_NOBODY = -2.0  # less than any correlation


class Candidates(NamedTuple):
    """For each of N pictures K views that it may come from, in no order that means anything."""

    view: np.ndarray
    """N×K int64; −1 where there are fewer than K."""
    mirrored: np.ndarray
    """N×K bool: whether it is the view's mirror image."""
    transform: np.ndarray
    """N×K×3×3 float32: from the picture's coordinates (−1..1) to those of the (mirrored) view."""


def find_candidates(
    pictures: np.ndarray,
    views: TrainingViews,
    *,
    own_group: np.ndarray | None = None,
    group_of_picture: np.ndarray | None = None,
    coarse: int = 20,
    fine: int = 12,
    device: torch.device = CPU,
    description: str | None = None,
) -> Candidates:
    """Return, for N×H×W×3 uint8 pictures, the `coarse` + `fine` views that look most like them.

    `coarse` of them are found by windows, `fine` by more detail of the whole. With `own_group` (N) and
    `group_of_picture` (P), a picture never meets a training picture of its own group: so a training picture
    is held against the rest of its set. Memory beyond the result: about 200 MB, however many views there are,
    and on a GPU up to 2 GB.
    """
    light = luminance(pictures).to(device)
    queries = [_Bands.of(x, _PICTURE_WINDOWS) for x in (light, light.flip(3))]
    own = groups = None
    if own_group is not None and group_of_picture is not None:
        own = torch.as_tensor(own_group, device=device)[:, None]
        groups = torch.as_tensor(group_of_picture[views.picture_index], device=device)

    def best_of(columns: slice) -> list[_Best]:
        """Return the best views of a block, by windows and by the whole."""
        best = [_Best.none(len(pictures), k, device) for k in (coarse, fine)]
        with torch.inference_mode():
            bands = _Bands.of(luminance(views.pictures[columns]).to(device), _VIEW_WINDOWS)
            for rows in blocks(len(pictures), queries_at_once):
                of_windows = _windows_similarity(queries, rows, bands)
                of_wholes = _whole_similarity(queries, rows, bands)
                for each, similarity in zip(best, (of_windows, of_wholes), strict=True):
                    if own is not None and groups is not None:
                        similarity.masked_fill_(own[rows] == groups[None, columns], _NOBODY)
                    each.put(rows, columns, similarity)
        return best

    best = [_Best.none(len(pictures), k, device) for k in (coarse, fine)]
    queries_at_once = at_once(_QUERIES_AT_ONCE, row_bytes=_QUERY_BYTES, device=device)
    every = list(blocks(len(views), views_at_once(device)))
    for _, found in blockwise(best_of, every, description=description, device=device):
        best = [one.merged(other) for one, other in zip(best, found, strict=True)]
    view = torch.cat([one.view for one in best], dim=1)
    mirrored, transform = _best_pairs(queries, view, views, device)
    return Candidates(view=view.cpu().numpy(), mirrored=mirrored, transform=transform)


def views_at_once(device: torch.device) -> int:
    """Return how many views are searched at once."""
    return at_once(VIEWS_AT_ONCE, row_bytes=_VIEW_BYTES, device=device)


class _Bands(NamedTuple):
    """The bands of pictures: of some windows, and of the whole in more detail."""

    windows: torch.Tensor  # windows×N×144
    whole: torch.Tensor  # N×256

    @classmethod
    def of(cls, light: torch.Tensor, windows: tuple[Window, ...]) -> "_Bands":
        return cls(
            window_bands(light, windows, size_px=_COARSE_PX, sigma=_SIGMA),
            window_bands(light, (Window(),), size_px=_FINE_PX, sigma=_SIGMA)[0],
        )


def _windows_similarity(queries: list[_Bands], rows: slice, views: _Bands) -> torch.Tensor:
    """Return the highest correlation of any pair of windows, rows×C."""
    best, count = [], len(views.whole)
    for columns in blocks(count, _TILE if views.whole.is_cpu else count):
        products = (
            query.windows[picture_window, rows] @ views.windows[view_window, columns].T
            for query in queries
            for picture_window, view_window in _PAIRS
        )
        highest = next(products)
        for product in products:
            torch.maximum(highest, product, out=highest)
        best.append(highest)
    return torch.cat(best, dim=1)


def _whole_similarity(queries: list[_Bands], rows: slice, views: _Bands) -> torch.Tensor:
    as_it_is, mirrored = (query.whole[rows] @ views.whole.T for query in queries)
    return torch.maximum(as_it_is, mirrored, out=as_it_is)


class _Best(NamedTuple):
    """The K most similar views of each of N pictures, most similar first."""

    similarity: torch.Tensor  # N×K; _NOBODY where there is none
    view: torch.Tensor  # N×K; −1 where there is none

    @classmethod
    def none(cls, count: int, k: int, device: torch.device) -> "_Best":
        return cls(
            torch.full((count, k), _NOBODY, device=device),
            torch.full((count, k), -1, dtype=torch.long, device=device),
        )

    def put(self, rows: slice, columns: slice, similarity: torch.Tensor) -> None:
        """Put in the best of some views, columns, for some pictures, by their similarity, rows×columns."""
        value, place = similarity.topk(min(self.view.shape[1], similarity.shape[1]), dim=1)
        self.similarity[rows, : value.shape[1]] = value
        self.view[rows, : value.shape[1]] = torch.where(value > _NOBODY, place + columns.start, -1)

    def merged(self, other: "_Best") -> "_Best":
        """Return the best of these and the other's."""
        both = torch.cat([self.similarity, other.similarity], dim=1)
        similarity, place = both.topk(self.view.shape[1], dim=1)
        return _Best(similarity, torch.cat([self.view, other.view], dim=1).gather(1, place))


def _best_pairs(
    queries: list[_Bands], found: torch.Tensor, views: TrainingViews, device: torch.device
) -> tuple[np.ndarray, np.ndarray]:
    """Return by which pair of windows each found view fits best: mirrored N×K, transform N×K×3×3.

    Computed anew for the few that were found: to keep track of it during the search would cost as much again.
    """

    def best_of(rows: slice) -> np.ndarray:
        needed, place = found[rows].clamp(min=0).unique(return_inverse=True)
        light = luminance(views.pictures[needed.cpu().numpy()]).to(device)
        with torch.inference_mode():
            bands = window_bands(light, _VIEW_WINDOWS, size_px=_COARSE_PX, sigma=_SIGMA)  # 19×U×144
            similarity = torch.stack(
                [
                    (query.windows[picture_window, rows][:, None] * bands[view_window][place]).sum(2)
                    for query in queries
                    for picture_window, view_window in _PAIRS
                ]
            )  # pairs×rows×K
            return similarity.argmax(0).cpu().numpy()

    every = blocks(len(found), _QUERIES_AT_ONCE)
    best = np.concatenate([part for _, part in blockwise(best_of, every, device=device)])
    return best >= len(_PAIRS), _TRANSFORMS[best]


def luminance(pictures: np.ndarray) -> torch.Tensor:
    """Return the luminance, N×1×S×S float32, of square pictures N×S×S×3 with values 0..255.

    Larger pictures are scaled down to `_LARGEST_PX`: no band is finer than that.
    """
    weights = torch.tensor(LUMINANCE)
    parts = []
    for part in blocks(len(pictures), _PICTURES_AT_ONCE):
        light = torch.from_numpy(pictures[part].astype(np.float32)) @ weights
        light = light[:, None]
        if light.shape[-1] > _LARGEST_PX:
            light = functional.adaptive_avg_pool2d(light, _LARGEST_PX)
        parts.append(light)
    return torch.cat(parts)


def band(light: torch.Tensor, *, size_px: int, sigma: float) -> torch.Tensor:
    """Return the band of N×1×H×W luminance at `size_px`, N×1×size×size, its contrast evened out.

    `sigma`, in px of the result, is the coarse end: what varies more slowly is taken away.
    """
    small = functional.adaptive_avg_pool2d(light, size_px)
    small = small - _blurred(small, sigma)
    return small / (_blurred(small * small, sigma) + _FLAT).sqrt()


def window_bands(
    light: torch.Tensor, windows: tuple[Window, ...], *, size_px: int, sigma: float
) -> torch.Tensor:
    """Return the bands of windows of N×1×H×W luminance as unit rows, windows×N×size².

    Windows are sampled from the picture at 4/3 of `size_px`, which is as fine as the result can show.
    """
    source_px = size_px * 4 // 3
    small = functional.adaptive_avg_pool2d(light, source_px).flatten(1)  # N×source²
    sample, blur = _window_matrices(windows, source_px, size_px, sigma)
    sample, blur = sample.to(light.device), blur.to(light.device)
    bands = (small @ sample.T).view(len(small), len(windows), size_px * size_px)
    bands = bands - bands @ blur.T
    bands = bands / ((bands * bands) @ blur.T + _FLAT).sqrt()
    bands = bands - bands.mean(2, keepdim=True)
    return functional.normalize(bands, dim=2).transpose(0, 1).contiguous()


def _blurred(pictures: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur N×1×S×S by a Gaussian of `sigma` px, edges repeated; two matrix products, which is fastest."""
    blur = _blur_matrix(pictures.shape[-1], sigma).to(pictures.device)
    return blur @ (pictures @ blur.T)


@functools.lru_cache(maxsize=8)
def _blur_matrix(size_px: int, sigma: float) -> torch.Tensor:
    """Return the S×S matrix that blurs a line of S values, the outermost repeated beyond the ends."""
    reach = round(3 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma * sigma))
    matrix = np.zeros((size_px, size_px))
    for offset, weight in zip(range(-reach, reach + 1), weights / weights.sum(), strict=True):
        source = np.clip(np.arange(size_px) + offset, 0, size_px - 1)
        matrix[np.arange(size_px), source] += weight
    return torch.from_numpy(matrix).float()


@functools.lru_cache(maxsize=8)
def _window_matrices(
    windows: tuple[Window, ...], source_px: int, size_px: int, sigma: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the matrices that sample the windows, (windows·size²)×source², and that blur, size²×size²."""
    basis = torch.eye(source_px * source_px).view(1, -1, source_px, source_px)
    sampled = []
    for window in windows:
        theta = torch.tensor(window.matrix()[None, :2], dtype=torch.float32)
        grid = functional.affine_grid(theta, [1, 1, size_px, size_px], align_corners=False)
        values = functional.grid_sample(basis, grid, padding_mode="border", align_corners=False)
        sampled.append(values[0].flatten(1).T)  # size²×source²
    pixels = torch.eye(size_px * size_px).view(-1, 1, size_px, size_px)
    return torch.cat(sampled), _blurred(pixels, sigma).flatten(1).T.contiguous()
