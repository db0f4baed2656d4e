"""The training pictures nearest to each generated one, among every form in which they could have been copied.

The search runs over views (a training picture whole, a square around its dog, …) and answers with pictures:
k different ones, each by its best view. Pictures go by their index here; their names are the caller's.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np
import torch

from dogsgan.errors import DogsganError
from dogsgan.progress import progress_bar

NOBODY = -1
_VIEWS_AT_ONCE = 4096
_ROWS_AT_ONCE = 512
_SPARE = 2  # found beyond k in float32, so that float64 decides who is k-th


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The k nearest training pictures of each row, every array N×k, nearest first.

    A row has fewer than k where it may match fewer pictures than that, and none where its features sum to 0;
    what is missing has picture and view −1 and distance infinity.
    """

    picture: np.ndarray
    """Index of the training picture, int64."""
    view: np.ndarray
    """Index of that picture's nearest view, int64."""
    flipped: np.ndarray
    """Whether the mirrored generated picture is the nearer one, bool."""
    distance: np.ndarray
    """`1 − |cos|` in float64, 0..1."""

    @property
    def comparable(self) -> np.ndarray:
        """N bool: whether the row has a neighbour at all."""
        return np.asarray((self.picture != NOBODY).any(axis=1))


@dataclass(frozen=True, eq=False)
class _Allowed:
    """Which pictures a row must not match; None where that restricts nothing."""

    exclude: np.ndarray | None  # N
    group_of_picture: np.ndarray | None  # P
    own_group: np.ndarray | None  # N

    def forbidden(self, rows: slice, pictures: np.ndarray) -> Iterator[torch.Tensor]:
        """Yield masks R×P over some rows and pictures."""
        if self.exclude is not None:
            yield torch.from_numpy(self.exclude[rows, None] == pictures)
        if self.group_of_picture is not None and self.own_group is not None:
            own = self.own_group[rows, None]
            yield torch.from_numpy((own == self.group_of_picture[pictures]) & (own != NOBODY))


@dataclass(frozen=True, eq=False)
class _Block:
    """Some views so ordered that the best view of each picture is found by adding layers up.

    The first layer holds one view of every picture, the next the second views of those that have one, and so
    on, each with the pictures in the same order: those of most views first.
    """

    views: np.ndarray  # C
    pictures: np.ndarray  # P ≤ C
    layers: list[int] = field(repr=False)  # how many views in each; the first is P

    def best_of_pictures(self, similarity: torch.Tensor) -> torch.Tensor:
        """Return R×P from similarities R×C, which are overwritten."""
        best = similarity[:, : self.layers[0]]
        start = self.layers[0]
        for size in self.layers[1:]:
            torch.maximum(best[:, :size], similarity[:, start : start + size], out=best[:, :size])
            start += size
        return best


def nearest_views(
    generated: np.ndarray,
    flipped: np.ndarray,
    views: np.ndarray,
    *,
    picture_of_view: np.ndarray,
    k: int,
    exclude: np.ndarray | None = None,
    group_of_picture: np.ndarray | None = None,
    own_group: np.ndarray | None = None,
    description: str | None = None,
) -> Neighbours:
    """Find the k training pictures nearest to each generated one, each by its best view, mirrored or not.

    `generated` and `flipped` are the features of the N generated pictures and of their mirror images, N×D;
    `views` V×D, a memory map where it is large; `picture_of_view` V, the index of the training picture that
    each is a view of, in any order. `exclude`, N, names a picture that a row must not match (−1: none):
    itself, where real pictures are compared with the rest. `group_of_picture`, P, and `own_group`, N (−1:
    none), do so for all pictures of a group, such as the duplicates of itself. `description` heads a bar.

    Distances are those of `dogsgan.scoring.memorization`, in float64. Features that sum to 0 take no part, on
    either side, as there; where only one of a picture and its mirror image has such, the other counts. The
    search runs in float32 and finds two more than k, so another picture can only be chosen where three lie
    within 1e-7 of the k-th. At equal distance the picture of the smaller index comes first, the earlier view,
    and the picture before its mirror image. Memory beyond the features: two blocks of them and their
    products, about 90 MB at 2048 features.

    Raises:
        DogsganError: a feature is NaN or infinite, sizes differ, or every row of a side sums to 0.
    """
    picture_of_view = np.asarray(picture_of_view, dtype=np.int64)
    _check_shapes(generated, flipped, views, picture_of_view, k)
    usable = np.stack([_usable(generated, "generated picture"), _usable(flipped, "flipped picture")], axis=1)
    kept = np.flatnonzero(_usable(views, "training view"))
    if len(kept) == 0 or not usable.any():
        side = "training" if len(kept) == 0 else "generated"
        raise DogsganError(
            f"every {side} picture has features that sum to 0: this network cannot compare them"
        )
    by_picture = kept[np.argsort(picture_of_view[kept], kind="stable")]
    allowed = _Allowed(exclude, group_of_picture, own_group)
    candidates = _search(
        (generated, flipped),
        views,
        blocks=_blocks(by_picture, picture_of_view),
        allowed=allowed,
        count=k + _SPARE,
        description=description,
    )
    return _settled((generated, flipped), usable, views, by_picture, picture_of_view, candidates, k)


def _check_shapes(
    generated: np.ndarray, flipped: np.ndarray, views: np.ndarray, picture_of_view: np.ndarray, k: int
) -> None:
    for name, features in (("generated", generated), ("flipped", flipped), ("training", views)):
        if features.ndim != 2:
            raise DogsganError(
                f"{name} features have {features.ndim} dimensions, expected 2 (pictures × features)"
            )
    if not generated.shape[1] == flipped.shape[1] == views.shape[1]:
        raise DogsganError(
            f"generated pictures have {generated.shape[1]} features, their mirror images {flipped.shape[1]} "
            f"and training views {views.shape[1]}: all need the same network"
        )
    if len(flipped) != len(generated) or picture_of_view.shape != (len(views),) or k < 1:
        raise ValueError(
            f"{len(generated)} pictures, {len(flipped)} mirror images, {len(views)} views of "
            f"{picture_of_view.shape} pictures, k {k}"
        )


def _usable(features: np.ndarray, what: str) -> np.ndarray:
    """Return which rows have a sum other than 0; raise where one is not finite."""
    sums = np.concatenate(
        [np.zeros(0)]
        + [
            torch.from_numpy(np.array(features[start : start + _VIEWS_AT_ONCE]))
            .sum(dim=1, dtype=torch.float64)
            .numpy()
            for start in range(0, len(features), _VIEWS_AT_ONCE)
        ]
    )
    if not np.isfinite(sums).all():
        first = int(np.flatnonzero(~np.isfinite(sums))[0])
        raise DogsganError(f"the features of {what} {first} are NaN or infinite: no distance is defined")
    return np.asarray(sums != 0)


def _blocks(by_picture: np.ndarray, picture_of_view: np.ndarray) -> Iterator[_Block]:
    """Cut views that are sorted by picture into blocks that hold every view of their pictures."""
    pictures = picture_of_view[by_picture]
    ends = np.append(np.flatnonzero(np.diff(pictures)) + 1, len(pictures))
    start = 0
    while start < len(pictures):
        next_picture = int(np.searchsorted(ends, start, side="right"))
        last_fitting = int(np.searchsorted(ends, start + _VIEWS_AT_ONCE, side="right")) - 1
        end = int(ends[max(next_picture, last_fitting)])
        yield _layered(by_picture[start:end], pictures[start:end])
        start = end


def _layered(views: np.ndarray, pictures: np.ndarray) -> _Block:
    distinct, first, inverse, counts = np.unique(
        pictures, return_index=True, return_inverse=True, return_counts=True
    )
    layer = np.arange(len(views)) - first[inverse]
    order = np.lexsort((inverse, -counts[inverse], layer))
    return _Block(
        views=views[order],
        pictures=distinct[np.argsort(-counts, kind="stable")],
        layers=np.bincount(layer).tolist(),
    )


def _search(
    sides: tuple[np.ndarray, np.ndarray],
    views: np.ndarray,
    *,
    blocks: Iterator[_Block],
    allowed: _Allowed,
    count: int,
    description: str | None,
) -> np.ndarray:
    """Return the `count` most similar pictures of each row by float32 similarity, N×count, −1 for none."""
    rows_in_all = len(sides[0])
    best = torch.full((rows_in_all, count), -1.0)
    chosen = torch.full((rows_in_all, count), NOBODY, dtype=torch.long)
    with ExitStack() as stack:
        bar = None
        if description is not None:
            bar = stack.enter_context(progress_bar(description=description, total=len(views), unit="views"))
        for block in blocks:
            unit_views = _unit_rows(views[block.views])  # C×D
            pictures = torch.from_numpy(block.pictures)
            for start in range(0, rows_in_all, _ROWS_AT_ONCE):
                rows = slice(start, start + _ROWS_AT_ONCE)
                similarity = _similarity([side[rows] for side in sides], unit_views)  # R×C
                of_pictures = block.best_of_pictures(similarity)  # R×P
                for mask in allowed.forbidden(rows, block.pictures):
                    of_pictures.masked_fill_(mask, -1.0)
                values, positions = of_pictures.topk(min(count, len(pictures)), dim=1)
                merged = torch.cat([best[rows], values], dim=1)
                best[rows], places = merged.topk(count, dim=1)
                chosen[rows] = torch.cat([chosen[rows], pictures[positions]], dim=1).gather(1, places)
            if bar is not None:
                bar.update(len(block.views))
    return chosen.masked_fill_(best < 0, NOBODY).numpy()


def _similarity(sides: list[np.ndarray], unit_views: torch.Tensor) -> torch.Tensor:
    """Return the larger `|cos|` of a picture and its mirror image to each view, R×C."""
    plain, mirrored = (torch.mm(_unit_rows(side), unit_views.T).abs_() for side in sides)
    return torch.maximum(plain, mirrored, out=plain)


def _unit_rows(features: np.ndarray) -> torch.Tensor:
    """Return float32 rows of length 1; those of length 0 stay as they are."""
    rows = torch.from_numpy(np.array(features))
    norms = torch.linalg.vector_norm(rows, dim=1, keepdim=True, dtype=torch.float64)
    return (rows / norms.where(norms > 0, 1.0).to(rows.dtype)).to(torch.float32)


def _settled(
    sides: tuple[np.ndarray, np.ndarray],
    usable: np.ndarray,
    views: np.ndarray,
    by_picture: np.ndarray,
    picture_of_view: np.ndarray,
    candidates: np.ndarray,
    k: int,
) -> Neighbours:
    """Measure the candidates' distances in float64, choose each one's view, and keep the k nearest."""
    pictures = picture_of_view[by_picture]
    begin, end = (np.searchsorted(pictures, candidates, side=side) for side in ("left", "right"))
    shape = (len(candidates), k)
    result = Neighbours(
        picture=np.full(shape, NOBODY, dtype=np.int64),
        view=np.full(shape, NOBODY, dtype=np.int64),
        flipped=np.zeros(shape, dtype=bool),
        distance=np.full(shape, np.inf),
    )
    for row in np.flatnonzero(usable.any(axis=1)):
        spans = [by_picture[low:high] for low, high in zip(begin[row], end[row], strict=True) if low < high]
        if not spans:
            continue
        of_row = np.concatenate(spans)
        pair = np.stack([side[row] for side in sides]).astype(np.float64)
        distances = _distances(pair, usable[row], views[of_row])  # views×2
        owners = picture_of_view[of_row]
        order = np.lexsort((np.argmin(distances, axis=1), of_row, owners, distances.min(axis=1)))
        _, first = np.unique(owners[order], return_index=True)
        nearest = order[np.sort(first)][:k]
        found = slice(0, len(nearest))
        result.picture[row, found] = owners[nearest]
        result.view[row, found] = of_row[nearest]
        result.flipped[row, found] = distances[nearest].argmin(axis=1) == 1
        result.distance[row, found] = distances[nearest].min(axis=1)
    return result


def _distances(pair: np.ndarray, usable: np.ndarray, views: np.ndarray) -> np.ndarray:
    """Return `1 − |cos|` of views C×D to a picture and its mirror image 2×D, infinite where that has none.

    Every sum runs over one row alone, so that equal views get equal distances wherever they stand.
    """
    wide = views.astype(np.float64)
    unit_views = wide / np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    distances = np.full((len(views), 2), np.inf)
    for side in np.flatnonzero(usable):
        unit = pair[side] / np.sqrt(np.square(pair[side]).sum())
        distances[:, side] = np.maximum(1.0 - np.abs((unit_views * unit).sum(axis=1)), 0.0)
    return distances
