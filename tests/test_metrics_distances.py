"""Squared distances in blocks, exact where it matters, and nearest rows as a plain search finds them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from dogsgan.errors import DogsganError
from dogsgan.metrics import distances
from dogsgan.metrics.distances import Frame, exact_squared, nearest_others, nearest_rows, parts_of


@settings(max_examples=60, deadline=None)
@given(
    columns=st.integers(1, 300),
    offset=st.sampled_from([0.0, 1.0, 1e3, 1e6]),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    seed=st.integers(0, 10_000),
)
def test_the_error_is_within_its_bound(columns: int, offset: float, scale: float, seed: int) -> None:
    random = np.random.RandomState(seed)
    rows, others = (torch.from_numpy(offset + scale * random.randn(20, columns)) for _ in range(2))
    others[:10] = rows[:10] * (1 + 1e-9)
    frame = Frame(others)
    left, right = frame.block(rows, slice(0, 20)), frame.block(others, slice(0, 20))
    exact = cdist(rows.numpy(), others.numpy(), "sqeuclidean")
    wrong = np.abs(frame.squared(left, right).double().numpy() - exact)
    assert (wrong <= frame.error(left, right).numpy() + 1e-12 * exact).all()


@settings(max_examples=30, deadline=None)
@given(columns=st.integers(1, 2000), seed=st.integers(0, 10_000))
def test_a_pair_has_the_same_distance_wherever_it_stands(columns: int, seed: int) -> None:
    random = np.random.RandomState(seed)
    rows = torch.from_numpy(random.randn(7, columns).astype(np.float32))
    forth = exact_squared(rows, rows, torch.tensor([0, 3, 1]), torch.tensor([5, 2, 4]))
    back = exact_squared(rows[1:], rows, torch.tensor([4, 1]), torch.tensor([0, 3]))
    assert forth[:2].tolist() == back.tolist()


@pytest.mark.parametrize("length", [0, 1, 2048, 2049, 5000])
def test_parts_cover_every_row_once(length: int) -> None:
    assert [index for part in parts_of(length) for index in range(length)[part]] == list(range(length))


def plain(distances: np.ndarray, count: int) -> np.ndarray:
    return np.sort(distances, axis=1)[:, :count]


def without_self(features: np.ndarray) -> np.ndarray:
    distances = cdist(features, features)
    np.fill_diagonal(distances, np.inf)
    return distances


@settings(max_examples=40, deadline=None)
@given(
    generated=st.integers(1, 40),
    real=st.integers(3, 50),
    columns=st.integers(1, 12),
    count=st.integers(1, 2),
    spare=st.integers(1, 4),
    block=st.integers(2, 20),
    whole_numbers=st.booleans(),
    seed=st.integers(0, 10_000),
)
def test_blocks_agree_with_a_plain_search(
    generated: int,
    real: int,
    columns: int,
    count: int,
    spare: int,
    block: int,
    whole_numbers: bool,
    seed: int,
) -> None:
    random = np.random.RandomState(seed)
    a, b = random.randn(generated, columns), random.randn(real, columns)
    if whole_numbers:
        a, b = np.round(a), np.round(b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distances, "_ROWS_AT_ONCE", block)
        patch.setattr(distances, "_SPARE", spare)
        found, others = nearest_rows(a, b, count=count), nearest_others(b, count=count)
    assert found.distances == pytest.approx(plain(cdist(a, b), count), rel=1e-12, abs=1e-15)
    assert others.distances == pytest.approx(plain(without_self(b), count), rel=1e-12, abs=1e-15)
    named = np.take_along_axis(without_self(b), others.indices, axis=1)
    assert named == pytest.approx(others.distances, rel=1e-12, abs=1e-15)


def test_rows_closer_than_float32_resolves_are_told_apart() -> None:
    """A hundred rows that differ by a millionth, far from the rest: more than are proposed at first."""
    random = np.random.RandomState(1)
    rows = np.concatenate([10 * random.randn(100, 256), 10 + 1e-6 * random.randn(100, 256)])
    found = nearest_others(rows, count=3)
    assert found.distances == pytest.approx(plain(without_self(rows), 3), rel=1e-9)
    assert (found.indices[100:] >= 100).all()


def test_a_copy_is_at_distance_exactly_0() -> None:
    real = (1000 + np.random.RandomState(2).randn(500, 128)).astype(np.float32)
    found = nearest_rows(real[[17, 400]], real)
    assert found.indices[:, 0].tolist() == [17, 400]
    assert found.squared[:, 0].tolist() == [0.0, 0.0]


def test_of_equally_near_rows_the_first_is_named() -> None:
    found = nearest_rows(np.zeros((1, 2)), np.array([[5.0, 0], [0, 1], [1, 0], [0, -1]]), count=2)
    assert found.indices.tolist() == [[1, 2]]


def test_no_rows_have_no_neighbours() -> None:
    assert nearest_rows(np.zeros((0, 3)), np.ones((4, 3))).distances.shape == (0, 1)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(DogsganError, match="2 nearest pictures are asked for and there are 1"):
        nearest_others(np.ones((2, 3)), count=2)
    with pytest.raises(DogsganError, match="1 nearest pictures are asked for and there are 0"):
        nearest_rows(np.ones((2, 3)), np.ones((0, 3)))
