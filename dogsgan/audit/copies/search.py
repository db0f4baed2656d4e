"""The search in pixels: training views that a picture may have been made from, out of all of them.

Windows of the picture are compared with windows of every view, mirrored too, so that a crop, a shift, a
margin or a turn still leaves one pair of windows that lie well on each other. What is found is then aligned
and verified.
"""

import math
from typing import NamedTuple

import numpy as np
import torch

from dogsgan.audit.copies.bands import Window, luminance, window_bands
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.blockwise import blocks, blockwise

_TURN = 0.2  # radians, 11.5 degrees
_SHRUNK = Window(scale=0.84)
PICTURE_WINDOWS = (
    Window(),
    _SHRUNK,
    *(Window(scale=0.84, turn=turn) for turn in (_TURN, -_TURN)),
    *(Window(turn=quarters * math.pi / 2) for quarters in (1, 2, 3)),
)
"""Windows of the generated picture: the whole; less its margin; that turned; the whole on side or head."""
VIEW_WINDOWS = (
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
_COARSE_PX = 12
_FINE_PX = 16  # for blends and faint copies: more detail, of the whole picture only
_SIGMA = 2.0
_QUERIES_AT_ONCE = 256
VIEWS_AT_ONCE = 2048
_TILE = 512  # views of a product with 256 pictures: half a megabyte
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
    device: torch.device | None = None,
    description: str | None = None,
) -> Candidates:
    """Return, for N×H×W×3 uint8 pictures, the `coarse` + `fine` views that look most like them.

    `coarse` of them are found by windows, `fine` by more detail of the whole. With `own_group` (N) and
    `group_of_picture` (P), a picture never meets a training picture of its own group: so a training picture
    is held against the rest of its set. Memory beyond the result: about 200 MB, however many views there are.
    """
    device = device or torch.device("cpu")
    light = luminance(pictures).to(device)
    queries = [_Bands.of(x, PICTURE_WINDOWS) for x in (light, light.flip(3))]
    own = groups = None
    if own_group is not None and group_of_picture is not None:
        own = torch.as_tensor(own_group, device=device)[:, None]
        groups = torch.as_tensor(group_of_picture[views.picture_index], device=device)

    def best_of(columns: slice) -> list[_Best]:
        """Return the best views of a block, by windows and by the whole."""
        best = [_Best.none(len(pictures), k, device) for k in (coarse, fine)]
        with torch.inference_mode():
            bands = _Bands.of(luminance(views.pictures[columns]).to(device), VIEW_WINDOWS)
            for rows in blocks(len(pictures), _QUERIES_AT_ONCE):
                similarities = (
                    _windows_similarity(queries, rows, bands),
                    _whole_similarity(queries, rows, bands),
                )
                for each, similarity in zip(best, similarities, strict=True):
                    if own is not None and groups is not None:
                        similarity.masked_fill_(own[rows] == groups[None, columns], _NOBODY)
                    each.put(rows, columns, similarity)
        return best

    best = [_Best.none(len(pictures), k, device) for k in (coarse, fine)]
    every = list(blocks(len(views), VIEWS_AT_ONCE))
    for _, found in blockwise(best_of, every, description=description):
        best = [one.merged(other) for one, other in zip(best, found, strict=True)]
    view = torch.cat([one.view for one in best], dim=1)
    mirrored, transform = _best_pairs(queries, view, views, device)
    return Candidates(view=view.cpu().numpy(), mirrored=mirrored, transform=transform)


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
    """Return the highest correlation of any pair of windows, rows×C; in tiles that stay in a core's cache."""
    best = []
    for columns in blocks(len(views.whole), _TILE):
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

    similarity: torch.Tensor  # N×K; NOBODY where there is none
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
            bands = window_bands(light, VIEW_WINDOWS, size_px=_COARSE_PX, sigma=_SIGMA)  # 19×U×144
            similarity = torch.stack(
                [
                    (query.windows[picture_window, rows][:, None] * bands[view_window][place]).sum(2)
                    for query in queries
                    for picture_window, view_window in _PAIRS
                ]
            )  # pairs×rows×K
            return similarity.argmax(0).cpu().numpy()

    parts = blockwise(best_of, list(blocks(len(found), _QUERIES_AT_ONCE)), description=None)
    best = np.concatenate([part for _, part in parts])
    return best >= len(_PAIRS), _TRANSFORMS[best]


def _transforms() -> np.ndarray:
    """Return each pair's matrix from a picture to a view, as it is and mirrored, pairs×3×3."""
    across = np.diag([-1.0, 1.0, 1.0])
    straight = np.stack(
        [
            VIEW_WINDOWS[view].matrix() @ np.linalg.inv(PICTURE_WINDOWS[picture].matrix())
            for picture, view in _PAIRS
        ]
    )
    # The mirrored picture was compared with the view as it is; from here on it is the view that is mirrored.
    return np.concatenate([straight, across @ straight @ across]).astype(np.float32)


_TRANSFORMS = _transforms()
