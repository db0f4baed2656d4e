"""The nearest training pictures, as a plain search finds them, and what an interrupted audit keeps."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.audit import evidence
from dogsgan.audit.evidence import Neighbours, Originals, Pictures, Workspace, nearest_pictures
from dogsgan.scoring import memorization_distance


def nearest(
    generated: np.ndarray,
    flipped: np.ndarray,
    training: np.ndarray,
    *,
    k: int,
    views: np.ndarray | None = None,
    own_group: np.ndarray | None = None,
    groups: np.ndarray | None = None,
) -> Neighbours:
    pictures = Pictures(np.empty(0), generated, flipped, own_group)
    originals = Originals(training, np.arange(len(training)) if views is None else views)
    return nearest_pictures(pictures, originals, k=k, groups=groups)


def cosine_distance(a: np.ndarray, b: np.ndarray) -> float:
    if a.sum(dtype=np.float64) == 0 or b.sum(dtype=np.float64) == 0:
        return np.inf
    wide, other = a.astype(np.float64), b.astype(np.float64)
    product = (wide / np.sqrt((wide**2).sum())) * (other / np.sqrt((other**2).sum()))
    return max(1.0 - abs(float(product.sum())), 0.0)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 100_000),
    rows=st.integers(1, 12),
    count=st.integers(1, 30),
    k=st.integers(1, 6),
    block=st.integers(1, 20),
    leave_out=st.booleans(),
)
def test_finds_what_a_plain_search_finds(
    seed: int, rows: int, count: int, k: int, block: int, leave_out: bool
) -> None:
    """Some rows sum to 0, some training pictures are equal, some belong to the row's own group."""
    random = np.random.default_rng(seed)

    def drawn(some: int) -> np.ndarray:
        values = random.standard_normal((some, 6)).astype(np.float32)
        values[random.random(some) < 0.1] = 0.0
        return values

    generated, flipped, training = drawn(rows), drawn(rows), drawn(count)
    copies = random.integers(0, count, (2, count // 3))
    training[copies[0]] = training[copies[1]]
    if not ((generated.any() or flipped.any()) and training.any()):
        return
    groups, own_group = random.integers(0, 4, count), random.integers(0, 5, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "_ROWS_AT_ONCE", block)
        grouped = {"groups": groups, "own_group": own_group} if leave_out else {}
        result = nearest(generated, flipped, training, k=k, **grouped)
    for row in range(rows):
        allowed = [other for other in range(count) if not (leave_out and groups[other] == own_group[row])]
        distance = {
            other: min(cosine_distance(side[row], training[other]) for side in (generated, flipped))
            for other in allowed
        }
        expected = sorted(value for value in distance.values() if np.isfinite(value))[:k]
        found = result.view[row][result.view[row] >= 0].tolist()
        values = result.distance[row][: len(found)]
        assert values == pytest.approx(expected, abs=1e-12)
        assert (np.diff(values) >= -1e-12).all()
        assert len(set(found)) == len(expected)
        assert np.isinf(result.distance[row][len(found) :]).all()
        for place, other in enumerate(found):
            side = flipped if result.flipped[row, place] else generated
            assert cosine_distance(side[row], training[other]) == pytest.approx(values[place], abs=1e-11)


def features(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).standard_normal((rows, columns)), 0).astype(np.float32)


def test_the_nearest_is_at_the_memorization_distance() -> None:
    generated, real = features(300, 48, 1), features(700, 48, 2)
    generated[:100] = real[200:300] + 0.02 * features(100, 48, 3)
    result = nearest(generated, generated, real, k=1)
    assert result.distance.mean() == pytest.approx(memorization_distance(generated, real), rel=1e-12)
    assert result.view[:100, 0].tolist() == list(range(200, 300))


def test_features_that_sum_to_zero_match_nothing() -> None:
    generated, flipped, views = features(3, 8, 11), features(3, 8, 12), features(6, 8, 13)
    generated[:2], flipped[0], views[4] = 0.0, 0.0, 0.0
    result = nearest(generated, flipped, views, k=6)
    assert result.view[0].tolist() == [-1] * 6
    assert np.isinf(result.distance[0]).all()
    assert result.flipped[1, :5].all()
    assert sorted(result.view[1, :5].tolist()) == [0, 1, 2, 3, 5]
    assert result.view[1, 5] == -1


def test_reads_features_mapped_from_disk_and_leaves_them_alone(tmp_path: Path) -> None:
    views = features(500, 24, 15)
    np.save(tmp_path / "views.npy", views)
    mapped = np.load(tmp_path / "views.npy", mmap_mode="r")
    generated = features(20, 24, 16)
    direct = nearest(generated, generated, views, k=4)
    read = nearest(generated, generated, mapped, k=4)
    assert np.array_equal(direct.view, read.view)
    assert np.array_equal(direct.distance, read.distance)
    assert np.array_equal(views, mapped)


def test_the_mirror_image_counts_where_it_is_nearer() -> None:
    training = features(50, 16, 4)
    generated, flipped = features(4, 16, 5), features(4, 16, 6)
    generated[1], flipped[2] = training[7], 3 * training[9]
    result = nearest(generated, flipped, training, k=2)
    assert result.view[[1, 2], 0].tolist() == [7, 9]
    assert result.flipped[[1, 2], 0].tolist() == [False, True]
    assert result.distance[[1, 2], 0] == pytest.approx([0.0, 0.0], abs=1e-12)


def test_equal_distances_come_in_order_and_before_the_mirror_image() -> None:
    training = np.repeat(features(1, 8, 9), 6, axis=0)
    result = nearest(training[:1], training[:1], training, views=np.arange(6) * 3, k=3)
    assert result.view[0].tolist() == [0, 3, 6]
    assert not result.flipped.any()


def test_a_real_picture_does_not_match_itself_nor_its_duplicates() -> None:
    training = features(30, 12, 10)
    training[20] = training[5]
    rows = np.arange(30)
    alone = nearest(training, training, training, k=1, groups=rows, own_group=rows)
    assert not (alone.view[:, 0] == rows).any()
    assert alone.view[5, 0] == 20
    groups = np.where(rows == 20, 5, rows)
    without = nearest(training, training, training, k=1, groups=groups, own_group=groups)
    assert without.view[5, 0] not in (5, 20)
    assert without.view[20, 0] not in (5, 20)
    others = np.setdiff1d(rows, (5, 20))
    assert np.array_equal(without.view[others], alone.view[others])


def test_fewer_pictures_than_neighbours_leave_the_last_places_empty() -> None:
    training = features(2, 8, 14)
    result = nearest(training, training, training, k=3, groups=np.array([0, 1]), own_group=np.array([0, 7]))
    assert result.view.tolist() == [[1, -1, -1], [1, 0, -1]]
    assert result.distance[:, 2].tolist() == [np.inf, np.inf]


def test_pictures_that_float32_cannot_tell_apart_are_told_apart() -> None:
    random = np.random.default_rng(20)
    for _ in range(20):
        row = features(1, 256, int(random.integers(1 << 30)))
        steps = 1e-5 * np.array([[3], [0], [2]]) * random.standard_normal((3, 256))
        result = nearest(row, row, (row * (1 + steps)).astype(np.float32), k=1)
        assert result.view[0, 0] == 1
        assert result.distance[0, 0] < 1e-15


def test_a_stage_is_made_once(tmp_path: Path) -> None:
    calls = []

    def make() -> dict[str, np.ndarray]:
        calls.append(1)
        return {"a": np.arange(3)}

    for _ in range(2):
        assert Workspace(tmp_path).stage("first", make)["a"].tolist() == [0, 1, 2]
    assert len(calls) == 1


def test_a_damaged_stage_is_made_anew(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    workspace.stage("first", lambda: {"a": np.arange(3)})
    (tmp_path / "first.npz").write_bytes(b"PK\x03\x04 cut short")
    assert workspace.stage("first", lambda: {"a": np.arange(4)})["a"].tolist() == [0, 1, 2, 3]


def test_a_stage_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> dict[str, np.ndarray]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Workspace(tmp_path).stage("first", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_stage_that_cannot_be_kept_is_made_all_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("in the way")
    workspace = Workspace(tmp_path / "file" / "workspace")
    assert workspace.stage("first", lambda: {"a": np.arange(3)})["a"].tolist() == [0, 1, 2]
    assert "what is found so far is not kept: cannot write" in capsys.readouterr().err
