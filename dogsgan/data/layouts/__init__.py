"""The known layouts of data sets, in the order in which they are tried.

A new layout is one module with a `Layout`, and its place in `LAYOUTS`.
"""

from collections.abc import Collection

from dogsgan.data.layouts.annotated import COMPETITION, STANFORD
from dogsgan.data.layouts.celeba import CELEBA
from dogsgan.data.layouts.digits import DIGITS
from dogsgan.data.layouts.folders import CLASS_FOLDERS, PLAIN_PICTURES, PREPARED
from dogsgan.data.layouts.layout import Layout as Layout
from dogsgan.data.layouts.layout import Listing
from dogsgan.data.layouts.layout import Match as Match

LAYOUTS: tuple[Layout, ...] = (
    PREPARED,
    COMPETITION,
    STANFORD,
    CELEBA,
    DIGITS,
    CLASS_FOLDERS,
    PLAIN_PICTURES,
)
_SOUGHT = [layout.looked_for for layout in LAYOUTS if layout.looked_for]
LOOKED_FOR = f"looked for {', '.join(_SOUGHT[:-1])}, or {_SOUGHT[-1]}"


def detect_layout(names: list[str], *, top: str = "", by_content: Collection[str] = ()) -> Match | None:
    """Return the first layout that sorted names have, with each file's role; None where there is no picture.

    `top` is what the folder or zip itself is called; `by_content` are pictures whose names do not say so.
    Where boxes or classes are all but there, `lost_boxes` and `lost_labels` say what is missing.
    """
    listing = Listing.of(names, top=top, by_content=by_content)
    matches = (layout.match(listing) for layout in LAYOUTS)
    return next((match for match in matches if match is not None), None)


def layout_of_kind(kind: str | None) -> Layout | None:
    """Return the layout that a prepared set's provenance names; None for one that is not known here."""
    return next((layout for layout in LAYOUTS if layout.kind == kind), None)
