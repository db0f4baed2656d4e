"""The search in pixels: training views that a picture may have been made from, out of all of them.

Windows of the picture are compared with windows of every view, mirrored too, so that a crop, a shift, a
margin or a turn still leaves one pair of windows that lie well on each other. What is found is then aligned
and verified.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.audit.copies.bands import Window, luminance, window_bands
from dogsgan.audit.copies.views import TrainingViews
from dogsgan.audit.workspace import blocks
from dogsgan.blockwise import blockwise

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


@dataclass(frozen=True, eq=False)
class Candidates:
    """For each of N pictures K views that it may come from, in no order that means anything."""

    view: np.ndarray
    """N×K int64; −1 where there are fewer than K."""
    mirrored: np.ndarray
    """N×K bool: whether it is the view's mirror image."""
    transform: np.ndarray
    """N×K×3×3 float32: from the picture's coordinates (−1..1) to those of the (mirrored) view."""

    def merged(self, other: "Candidates") -> "Candidates":
        """Return these and the other's candidates of the same pictures."""
        return Candidates(
            view=np.concatenate([self.view, other.view], axis=1),
            mirrored=np.concatenate([self.mirrored, other.mirrored], axis=1),
            transform=np.concatenate([self.transform, other.transform], axis=1),
        )


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
    light = luminance(pictures)
    queries = [_Queries.of(x.to(device)) for x in (light, light.flip(3))]
    own = groups = None
    if own_group is not None and group_of_picture is not None:
        own = torch.as_tensor(own_group, device=device)[:, None]
        groups = torch.as_tensor(group_of_picture[views.picture_index], device=device)

    def best_of(columns: slice) -> tuple["_Best", "_Best"]:
        """Return the best views of a block, by windows and by the whole."""
        by_windows = _Best.none(len(pictures), coarse, device)
        by_whole = _Best.none(len(pictures), fine, device)
        with torch.inference_mode():
            bands = _ViewBands.of(views.pictures[columns], device)
            for rows in blocks(len(pictures), _QUERIES_AT_ONCE):
                barred = None
                if own is not None and groups is not None:
                    barred = own[rows] == groups[None, columns]
                by_windows.take(rows, columns, _windows_similarity(queries, rows, bands), barred)
                by_whole.take(rows, columns, _whole_similarity(queries, rows, bands), barred)
        return by_windows, by_whole

    by_windows = _Best.none(len(pictures), coarse, device)
    by_whole = _Best.none(len(pictures), fine, device)
    every = list(blocks(len(views), VIEWS_AT_ONCE))
    for _, (some_by_windows, some_by_whole) in blockwise(best_of, every, description=description):
        by_windows.merge(some_by_windows)
        by_whole.merge(some_by_whole)
    found = torch.cat([by_windows.view, by_whole.view], dim=1)
    mirrored, transform = _best_pairs(queries, found, views, device)
    return Candidates(view=found.cpu().numpy(), mirrored=mirrored, transform=transform)


@dataclass(frozen=True, eq=False)
class _Queries:
    """The bands of the generated pictures, or of their mirror images."""

    windows: torch.Tensor  # 7×N×144
    whole: torch.Tensor  # N×256

    @classmethod
    def of(cls, light: torch.Tensor) -> "_Queries":
        return cls(
            window_bands(light, PICTURE_WINDOWS, size_px=_COARSE_PX, sigma=_SIGMA),
            window_bands(light, (Window(),), size_px=_FINE_PX, sigma=_SIGMA)[0],
        )


@dataclass(frozen=True, eq=False)
class _ViewBands:
    """The bands of a block of training views."""

    windows: torch.Tensor  # 19×C×144
    whole: torch.Tensor  # C×256

    @classmethod
    def of(cls, pictures: np.ndarray, device: torch.device) -> "_ViewBands":
        light = luminance(pictures).to(device)
        return cls(
            window_bands(light, VIEW_WINDOWS, size_px=_COARSE_PX, sigma=_SIGMA),
            window_bands(light, (Window(),), size_px=_FINE_PX, sigma=_SIGMA)[0],
        )


def _windows_similarity(queries: list[_Queries], rows: slice, views: _ViewBands) -> torch.Tensor:
    """Return the highest correlation of any pair of windows, rows×C; in tiles that stay in a core's cache."""
    best = []
    for columns in blocks(len(views.whole), _TILE):
        highest: torch.Tensor | None = None
        for query in queries:
            for picture_window, view_window in _PAIRS:
                product = query.windows[picture_window, rows] @ views.windows[view_window, columns].T
                highest = product if highest is None else torch.maximum(highest, product, out=highest)
        assert highest is not None
        best.append(highest)
    return torch.cat(best, dim=1)


def _whole_similarity(queries: list[_Queries], rows: slice, views: _ViewBands) -> torch.Tensor:
    as_it_is, mirrored = (query.whole[rows] @ views.whole.T for query in queries)
    return torch.maximum(as_it_is, mirrored, out=as_it_is)


@dataclass(frozen=True, eq=False)
class _Best:
    """The K most similar views so far of each of N pictures, most similar first."""

    similarity: torch.Tensor  # N×K; NOBODY where there is none
    view: torch.Tensor  # N×K; −1 where there is none

    @classmethod
    def none(cls, count: int, k: int, device: torch.device) -> "_Best":
        return cls(
            torch.full((count, k), _NOBODY, device=device),
            torch.full((count, k), -1, dtype=torch.long, device=device),
        )

    def take(
        self, rows: slice, columns: slice, similarity: torch.Tensor, barred: torch.Tensor | None
    ) -> None:
        """Take a block's similarities, rows×columns, into account, but for those that are barred."""
        if barred is not None:
            similarity = similarity.masked_fill(barred, _NOBODY)
        value, place = similarity.topk(min(self.view.shape[1], similarity.shape[1]), dim=1)
        self._add(rows, value, torch.where(value > _NOBODY, place + columns.start, -1))

    def merge(self, other: "_Best") -> None:
        """Take another's best into account."""
        self._add(slice(None), other.similarity, other.view)

    def _add(self, rows: slice, similarity: torch.Tensor, view: torch.Tensor) -> None:
        similarity = torch.cat([self.similarity[rows], similarity], dim=1)
        view = torch.cat([self.view[rows], view], dim=1)
        self.similarity[rows], order = similarity.topk(self.view.shape[1], dim=1)
        self.view[rows] = view.gather(1, order)


def _best_pairs(
    queries: list[_Queries], found: torch.Tensor, views: TrainingViews, device: torch.device
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
