"""Text in the cells of a CSV: for programs to read back, and for spreadsheets that take `=…` for a formula.

Names come from strangers' zips and folders. A cell that a spreadsheet would calculate gets an apostrophe in
front, and so does one that begins with an apostrophe, so that every text comes back as it was.
"""

_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠'")


def to_cell(text: str) -> str:
    """Return `text` as it is written to a cell."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def from_cell(cell: str) -> str:
    """Return the text that `to_cell` wrote. An apostrophe that it would not have set is the text's own."""
    bare = cell.removeprefix("'")
    return bare if to_cell(bare) == cell else cell
