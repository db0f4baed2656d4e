"""The nearest training pictures: k different ones by their best view, as a plain search finds them."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.audit import neighbours
from dogsgan.audit.neighbours import Neighbours, nearest_views


@dataclass
class Case:
    """Random features: some rows sum to 0, some views are equal, some pictures have no view."""

    generated: np.ndarray
    flipped: np.ndarray
    views: np.ndarray
    picture_of_view: np.ndarray


def random_case(seed: int, *, rows: int, views: int, pictures: int, columns: int = 6) -> Case:
    random = np.random.default_rng(seed)

    def features(count: int) -> np.ndarray:
        drawn = random.standard_normal((count, columns)).astype(np.float32)
        drawn[random.random(count) < 0.1] = 0.0
        return drawn

    case = Case(
        features(rows), features(rows), features(views), random.integers(0, pictures, views).astype(np.int32)
    )
    copies = random.integers(0, views, (2, views // 3))
    case.views[copies[0]] = case.views[copies[1]]
    return case


def cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    if a.sum(dtype=np.float64) == 0 or b.sum(dtype=np.float64) == 0:
        return np.inf
    wide, other = a.astype(np.float64), b.astype(np.float64)
    product = (wide / np.sqrt((wide**2).sum())) * (other / np.sqrt((other**2).sum()))
    return max(1.0 - abs(float(product.sum())), 0.0)


def plain(case: Case, row: int, *, k: int, forbidden: set[int]) -> list[tuple[int, float]]:
    """The definition in a loop: for each allowed picture its best view, then the k nearest pictures."""
    best: dict[int, float] = {}
    for view, picture in enumerate(case.picture_of_view.tolist()):
        if picture not in forbidden:
            sides = (case.generated[row], case.flipped[row])
            distance = min(cosine_distance(side, case.views[view]) for side in sides)
            best[picture] = min(best.get(picture, np.inf), distance)
    found = [(picture, distance) for picture, distance in best.items() if np.isfinite(distance)]
    return sorted(found, key=lambda item: (item[1], item[0]))[:k]


def found_by(result: Neighbours, row: int) -> list[tuple[int, float]]:
    return [
        (int(picture), float(distance))
        for picture, distance in zip(result.picture[row], result.distance[row], strict=True)
        if picture >= 0
    ]


def has_features(case: Case) -> bool:
    sides = case.generated.any() or case.flipped.any()
    return bool(sides and case.views.any())


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    rows=st.integers(1, 12),
    views=st.integers(1, 40),
    pictures=st.integers(1, 15),
    k=st.integers(1, 6),
    block=st.integers(1, 20),
    leave_out=st.booleans(),
)
def test_finds_what_a_plain_search_finds(
    seed: int, rows: int, views: int, pictures: int, k: int, block: int, leave_out: bool
) -> None:
    case = random_case(seed, rows=rows, views=views, pictures=pictures)
    if not has_features(case):
        return
    random = np.random.default_rng(seed + 1)
    exclude = random.integers(-1, pictures, rows) if leave_out else None
    groups = random.integers(0, 4, pictures)
    own_group = random.integers(-1, 4, rows) if leave_out else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_ROWS_AT_ONCE", block)
        patch.setattr(neighbours, "_VIEWS_AT_ONCE", block + 2)
        result = nearest_views(
            case.generated,
            case.flipped,
            case.views,
            picture_of_view=case.picture_of_view,
            k=k,
            exclude=exclude,
            group_of_picture=groups if leave_out else None,
            own_group=own_group,
        )
    for row in range(rows):
        forbidden: set[int] = set()
        if exclude is not None and own_group is not None:
            forbidden = {int(exclude[row]), *np.flatnonzero(groups == own_group[row]).tolist()}
        expected = plain(case, row, k=k, forbidden=forbidden)
        found = found_by(result, row)
        # Of pictures with equal views any may be the k-th: the distances must agree, and hold for each found.
        assert [distance for _, distance in found] == pytest.approx([d for _, d in expected], abs=1e-12)
        assert found == sorted(found, key=lambda item: (item[1], item[0]))
        assert len({picture for picture, _ in found} - forbidden) == len(expected)
        assert result.comparable[row] == bool(expected)
        for place, (picture, distance) in enumerate(found):
            view = int(result.view[row, place])
            side = case.flipped if result.flipped[row, place] else case.generated
            assert case.picture_of_view[view] == picture
            assert cosine_distance(side[row], case.views[view]) == pytest.approx(distance, abs=1e-12)
