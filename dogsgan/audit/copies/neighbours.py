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


class _Features:
    """Features N×D of one kind of picture, with what turns them into rows of length 1."""

    def __init__(self, rows: np.ndarray, what: str) -> None:
        self.rows = rows
        parts = [self._sums_and_norms(start) for start in range(0, len(rows), _VIEWS_AT_ONCE)]
        sums, self.norms = np.concatenate([np.empty((2, 0)), *parts], axis=1)
        if not np.isfinite(sums).all():
            first = int(np.flatnonzero(~np.isfinite(sums))[0])
            raise DogsganError(f"the features of {what} {first} are NaN or infinite: no distance is defined")
        self.usable = sums != 0
        self._factors = np.divide(1.0, self.norms, out=np.zeros(len(rows)), where=self.usable)

    def unit(self, index: slice | np.ndarray) -> torch.Tensor:
        """Return some rows in float32 with length 1; those that sum to 0 as zeros."""
        factors = self._factors[index, None].astype(np.float32)
        return torch.from_numpy(np.multiply(self.rows[index], factors, dtype=np.float32))

    def _sums_and_norms(self, start: int) -> np.ndarray:
        block = torch.from_numpy(np.array(self.rows[start : start + _VIEWS_AT_ONCE]))
        norms = torch.linalg.vector_norm(block, dim=1, dtype=torch.float64)
        return torch.stack([block.sum(dim=1, dtype=torch.float64), norms]).numpy()


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
    sides = _Features(generated, "generated picture"), _Features(flipped, "flipped picture")
    training = _Features(views, "training view")
    kept = np.flatnonzero(training.usable)
    if len(kept) == 0 or not any(side.usable.any() for side in sides):
        who = "training" if len(kept) == 0 else "generated"
        raise DogsganError(
            f"every {who} picture has features that sum to 0: this network cannot compare them"
        )
    by_picture = kept[np.argsort(picture_of_view[kept], kind="stable")]
    candidates = _search(
        sides,
        training,
        blocks=_blocks(by_picture, picture_of_view),
        allowed=_Allowed(exclude, group_of_picture, own_group),
        count=k + _SPARE,
        description=description,
    )
    return _settled(sides, training, by_picture, picture_of_view, candidates, k)


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
    sides: tuple[_Features, _Features],
    training: _Features,
    *,
    blocks: Iterator[_Block],
    allowed: _Allowed,
    count: int,
    description: str | None,
) -> np.ndarray:
    """Return the `count` most similar pictures of each row by float32 similarity, N×count, −1 for none."""
    rows_in_all = len(sides[0].rows)
    best = torch.full((rows_in_all, count), -1.0)
    chosen = torch.full((rows_in_all, count), NOBODY, dtype=torch.long)
    buffers = _Buffers()
    with ExitStack() as stack:
        bar = None
        if description is not None:
            total = len(training.rows)
            bar = stack.enter_context(progress_bar(description=description, total=total, unit="views"))
        for block in blocks:
            unit_views = training.unit(block.views)  # C×D
            pictures = torch.from_numpy(block.pictures)
            for start in range(0, rows_in_all, _ROWS_AT_ONCE):
                rows = slice(start, start + _ROWS_AT_ONCE)
                similarity = buffers.similarity([side.unit(rows) for side in sides], unit_views)  # R×C
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


class _Buffers:
    """Where the products go, tile after tile: new memory for each would cost as much as a third of them."""

    def __init__(self) -> None:
        self._memory = [torch.empty(0), torch.empty(0)]

    def similarity(self, sides: list[torch.Tensor], unit_views: torch.Tensor) -> torch.Tensor:
        """Return the larger `|cos|` of a picture and its mirror image to each view, R×C."""
        shape = len(sides[0]), len(unit_views)
        if self._memory[0].numel() < shape[0] * shape[1]:
            self._memory = [torch.empty(shape[0] * shape[1]) for _ in sides]
        plain, mirrored = (
            torch.mm(side, unit_views.T, out=memory[: shape[0] * shape[1]].view(shape)).abs_()
            for side, memory in zip(sides, self._memory, strict=True)
        )
        return torch.maximum(plain, mirrored, out=plain)


def _settled(
    sides: tuple[_Features, _Features],
    training: _Features,
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
    for row in np.flatnonzero(sides[0].usable | sides[1].usable):
        spans = [by_picture[low:high] for low, high in zip(begin[row], end[row], strict=True) if low < high]
        if not spans:
            continue
        views = np.concatenate(spans)
        distances = _distances([side.rows[row] for side in sides], training.rows[views])  # views×2
        distances[:, [not side.usable[row] for side in sides]] = np.inf
        of_view = distances.min(axis=1)
        owners = picture_of_view[views]
        order = np.lexsort((views, owners, of_view))
        _, first = np.unique(owners[order], return_index=True)
        nearest = order[np.sort(first)][:k]
        found = slice(0, len(nearest))
        result.picture[row, found] = owners[nearest]
        result.view[row, found] = views[nearest]
        result.flipped[row, found] = distances[nearest].argmin(axis=1) == 1
        result.distance[row, found] = of_view[nearest]
    return result


def _distances(pair: list[np.ndarray], views: np.ndarray) -> np.ndarray:
    """Return `1 − |cos|` of views C×D to a picture and to its mirror image, C×2; NaN where all are 0.

    Every sum runs over one row alone, so that equal views get equal distances wherever they stand.
    """
    wide = views.astype(np.float64)
    norms = np.sqrt(np.einsum("vd,vd->v", wide, wide))
    distances = np.empty((len(views), 2))
    for column, side in enumerate(pair):
        other = side.astype(np.float64)
        with np.errstate(invalid="ignore"):
            cosine = np.einsum("vd,d->v", wide, other) / (norms * np.sqrt(np.einsum("d,d->", other, other)))
        distances[:, column] = np.maximum(1.0 - np.abs(cosine), 0.0)
    return distances
