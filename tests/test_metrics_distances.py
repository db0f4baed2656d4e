"""Squared distances in blocks: the bound on their error holds, and exact ones compare as equal."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from dogsgan.metrics.distances import Frame, exact_squared, parts_of


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
