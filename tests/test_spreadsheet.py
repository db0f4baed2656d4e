"""Cells of a CSV: no formula for a spreadsheet, and every text comes back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsgan.spreadsheet import from_cell, to_cell


@given(text=st.text())
def test_every_text_comes_back(text):
    assert from_cell(to_cell(text)) == text


@given(start=st.sampled_from("=+-@\t\r\n＝＋－＠'"), rest=st.text())
def test_no_cell_begins_as_a_formula_does(start, rest):
    assert to_cell(start + rest)[0] == "'"


@pytest.mark.parametrize("written_by_hand", ["'s Gravenhage", "plain", ""])
def test_what_somebody_wrote_without_escaping_stays_as_it_is(written_by_hand):
    assert from_cell(written_by_hand) == written_by_hand
