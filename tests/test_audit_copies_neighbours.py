"""The nearest training pictures: k different ones by their best view, as a plain search finds them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.audit.copies import neighbours
from dogsgan.audit.copies.neighbours import Neighbours, nearest_views
from dogsgan.errors import DogsganError
from dogsgan.scoring import memorization_distance


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


def features(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).standard_normal((rows, columns)), 0).astype(np.float32)


def test_the_nearest_is_at_the_memorization_distance() -> None:
    generated, real = features(300, 48, 1), features(700, 48, 2)
    generated[:100] = real[200:300] + 0.02 * features(100, 48, 3)
    result = nearest_views(generated, generated, real, picture_of_view=np.arange(700), k=1)
    assert result.distance.mean() == pytest.approx(memorization_distance(generated, real), rel=1e-12)
    assert result.picture[:100, 0].tolist() == list(range(200, 300))


def test_the_mirror_image_counts_where_it_is_nearer() -> None:
    views = features(50, 16, 4)
    generated, flipped = features(4, 16, 5), features(4, 16, 6)
    generated[1], flipped[2] = views[7], 3 * views[9]
    result = nearest_views(generated, flipped, views, picture_of_view=np.arange(50) // 2, k=2)
    assert result.picture[[1, 2], 0].tolist() == [3, 4]
    assert result.view[[1, 2], 0].tolist() == [7, 9]
    assert result.flipped[[1, 2], 0].tolist() == [False, True]
    assert result.distance[[1, 2], 0] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_neighbours_are_different_pictures_however_many_views_are_near() -> None:
    random = np.random.default_rng(7)
    views = features(60, 16, 8)
    views[:40] = views[0] + 1e-3 * random.standard_normal((40, 16))
    picture_of_view = np.r_[np.zeros(40), np.arange(1, 21)].astype(np.int32)
    order = random.permutation(60)
    result = nearest_views(views[:1], views[:1], views[order], picture_of_view=picture_of_view[order], k=5)
    assert result.picture[0, 0] == 0
    assert len(set(result.picture[0].tolist())) == 5


def test_equal_distances_come_in_the_order_of_the_pictures_and_views() -> None:
    views = np.repeat(features(1, 8, 9), 6, axis=0)
    result = nearest_views(views[:1], views[:1], views, picture_of_view=np.array([2, 1, 2, 0, 1, 0]), k=3)
    assert result.picture[0].tolist() == [0, 1, 2]
    assert result.view[0].tolist() == [3, 1, 0]
    assert not result.flipped.any()


def test_a_real_picture_does_not_match_itself_nor_its_duplicates() -> None:
    views = features(30, 12, 10)
    views[20] = views[5]
    pictures = np.arange(30)
    rows = pictures.copy()
    alone = nearest_views(views, views, views, picture_of_view=pictures, k=1, exclude=rows)
    assert not (alone.picture[:, 0] == rows).any()
    assert alone.picture[5, 0] == 20
    groups = np.where(pictures == 20, 5, pictures)
    without = nearest_views(
        views,
        views,
        views,
        picture_of_view=pictures,
        k=1,
        exclude=rows,
        group_of_picture=groups,
        own_group=groups,
    )
    assert without.picture[5, 0] not in (5, 20)
    assert without.picture[20, 0] not in (5, 20)
    others = np.setdiff1d(rows, (5, 20))
    assert np.array_equal(without.picture[others], alone.picture[others])


def test_pictures_and_rows_of_no_group_are_not_a_group() -> None:
    views, rows = features(8, 6, 18), features(3, 6, 19)
    pictures = np.arange(8)
    free = nearest_views(rows, rows, views, picture_of_view=pictures, k=8)
    grouped = nearest_views(
        rows,
        rows,
        views,
        picture_of_view=pictures,
        k=8,
        group_of_picture=np.where(pictures < 4, 1, -1),
        own_group=np.array([-1, 1, 2]),
    )
    assert np.array_equal(grouped.picture[[0, 2]], free.picture[[0, 2]])
    assert sorted(grouped.picture[1, :4].tolist()) == [4, 5, 6, 7]
    assert grouped.picture[1, 4] == -1


def test_float64_decides_between_pictures_that_float32_cannot_tell_apart() -> None:
    random = np.random.default_rng(20)
    for _ in range(20):
        row = features(1, 256, int(random.integers(1 << 30)))
        steps = 1e-5 * np.array([[3], [0], [2]]) * random.standard_normal((3, 256))
        views = (row * (1 + steps)).astype(np.float32)
        result = nearest_views(row, row, views, picture_of_view=np.arange(3), k=1)
        assert result.picture[0, 0] == 1
        assert result.distance[0, 0] < 1e-15


def test_features_that_sum_to_zero_match_nothing() -> None:
    generated, flipped, views = features(3, 8, 11), features(3, 8, 12), features(6, 8, 13)
    generated[:2], flipped[0], views[4] = 0.0, 0.0, 0.0
    result = nearest_views(generated, flipped, views, picture_of_view=np.arange(6), k=6)
    assert result.comparable.tolist() == [False, True, True]
    assert result.picture[0].tolist() == [-1] * 6
    assert np.isinf(result.distance[0]).all()
    assert result.flipped[1, :5].all()
    assert sorted(result.picture[1, :5].tolist()) == [0, 1, 2, 3, 5]
    assert result.picture[1, 5] == result.view[1, 5] == -1


def test_fewer_pictures_than_neighbours_leave_the_last_places_empty() -> None:
    views = features(4, 8, 14)
    result = nearest_views(
        views[:2], views[:2], views, picture_of_view=np.array([0, 0, 9, 9]), k=3, exclude=np.array([0, -1])
    )
    assert result.picture.tolist() == [[9, -1, -1], [0, 9, -1]]
    assert result.distance[:, 2].tolist() == [np.inf, np.inf]


def test_reads_features_mapped_from_disk_and_leaves_them_alone(tmp_path: Path) -> None:
    views = features(500, 24, 15)
    np.save(tmp_path / "views.npy", views)
    mapped = np.load(tmp_path / "views.npy", mmap_mode="r")
    generated = features(20, 24, 16)
    arguments = {"picture_of_view": np.arange(500) % 90, "k": 4}
    direct = nearest_views(generated, generated, views, **arguments)
    read = nearest_views(generated, generated, mapped, **arguments)
    assert np.array_equal(direct.view, read.view)
    assert np.array_equal(direct.distance, read.distance)
    assert np.array_equal(views, mapped)


def test_no_generated_picture_gives_no_neighbour() -> None:
    none = np.empty((0, 8), dtype=np.float32)
    with pytest.raises(DogsganError, match="every generated picture"):
        nearest_views(none, none, features(3, 8, 17), picture_of_view=np.arange(3), k=2)


@pytest.mark.parametrize(
    ("generated", "flipped", "views", "message"),
    [
        (np.ones((2, 4)), np.ones((2, 4)), np.ones((3, 5)), "same network"),
        (np.ones((2, 4)), np.ones((2, 5)), np.ones((3, 4)), "same network"),
        (np.ones(4), np.ones((2, 4)), np.ones((3, 4)), "expected 2"),
        (np.ones((2, 4)), np.ones((2, 4)), np.zeros((3, 4)), "every training picture"),
        (np.zeros((2, 4)), np.zeros((2, 4)), np.ones((3, 4)), "every generated picture"),
        (np.r_[np.ones((1, 4)), np.full((1, 4), np.nan)], np.ones((2, 4)), np.ones((3, 4)), "picture 1 are"),
        (np.ones((2, 4)), np.ones((2, 4)), np.r_[np.ones((2, 4)), np.full((1, 4), np.inf)], "view 2 are"),
    ],
)
def test_bad_features_are_refused_by_name(
    generated: np.ndarray, flipped: np.ndarray, views: np.ndarray, message: str
) -> None:
    with pytest.raises(DogsganError, match=message):
        nearest_views(generated, flipped, views, picture_of_view=np.arange(len(views)), k=1)
