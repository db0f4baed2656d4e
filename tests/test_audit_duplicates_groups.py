"""Groups of the same thing: they cover what has an edge, and never chain what has none."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dogsgan.audit.duplicates import Edges, group_numbers, star_groups


def edges_of(pairs: list[tuple[int, int, bool, int]]) -> Edges:
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 4).T
    return Edges(columns[0], columns[1], columns[2] == 1, columns[3])


PAIRS = st.lists(
    st.tuples(st.integers(0, 11), st.integers(0, 11), st.booleans(), st.integers(0, 9)), max_size=40
)


@given(PAIRS)
def test_every_group_has_one_that_all_are_joined_to_and_all_with_an_edge_are_in_one(
    pairs: list[tuple[int, int, bool, int]],
) -> None:
    joined = {(a, b) for a, b, _, _ in pairs if a != b} | {(b, a) for a, b, _, _ in pairs if a != b}
    groups = star_groups(edges_of(pairs), 12)
    assert {index for group in groups for index in group.members} == {a for a, _ in joined}
    for group in groups:
        assert len(group.members) >= 2
        assert any(
            all(center == other or (center, other) in joined for other in group.members)
            for center in group.members
        )


@given(PAIRS, st.randoms(use_true_random=False))
def test_the_order_of_the_edges_changes_nothing(
    pairs: list[tuple[int, int, bool, int]], random: object
) -> None:
    turned = [(b, a, flipped, distance) for a, b, flipped, distance in pairs]
    random.shuffle(turned)  # type: ignore[attr-defined]
    assert star_groups(edges_of(pairs), 12) == star_groups(edges_of(turned), 12)


@given(PAIRS)
def test_what_has_no_edge_keeps_its_own_number(pairs: list[tuple[int, int, bool, int]]) -> None:
    numbers = group_numbers(edges_of(pairs), 12)
    alone = set(range(12)) - {index for a, b, _, _ in pairs if a != b for index in (a, b)}
    for index in alone:
        assert numbers[index] == index
        assert (numbers == index).sum() == 1
    for index in set(range(12)) - alone:
        assert (numbers == numbers[index]).sum() >= 2


def test_a_row_of_pictures_that_change_little_by_little_is_not_one_group() -> None:
    row = [(index, index + 1, False, 5) for index in range(30)]
    groups = star_groups(edges_of(row), 31)
    assert max(len(group.members) for group in groups) == 3


def test_what_is_like_all_others_is_in_the_middle() -> None:
    assert star_groups(edges_of([(4, 2, False, 1), (2, 7, True, 1), (2, 0, False, 3)]), 8) == [
        ((0, 2, 4, 7), True)
    ]


def test_one_that_is_left_over_goes_with_the_closest_the_right_way_round() -> None:
    pairs = [(0, 1, False, 9), (0, 2, False, 9), (0, 3, False, 9), (3, 4, True, 2), (3, 4, False, 8)]
    assert star_groups(edges_of([*pairs, (1, 4, False, 4)]), 5) == [
        ((0, 1, 2, 3), False),
        ((3, 4), True),
    ]


def test_a_left_over_one_gets_the_number_of_the_group_of_the_closest() -> None:
    numbers = group_numbers(edges_of([(5, 6, False, 1), (5, 7, False, 1), (7, 2, False, 1)]), 9)
    assert numbers.tolist() == [0, 1, 5, 3, 4, 5, 5, 5, 8]
