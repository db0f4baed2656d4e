"""What an audit leaves behind: a page to look at, a table, JSON, and a contact sheet, all in one folder."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogsgan.audit.page.render import render_page
from dogsgan.audit.page.tables import write_neighbours
from dogsgan.audit.page.thumbnails import Strip, save_sheet, strip, tile
from dogsgan.audit.result import Audit, Finding, Pair, nearest_first
from dogsgan.files import write_json, write_text
from dogsgan.progress import progress_bar

MAX_FLAGGED = 1_000
"""How many of the flagged pictures are shown, at most."""
MAX_ACCEPTED = 200
MAX_UNFLAGGED = 200
"""How many of those that are not flagged are shown, the nearest."""
MAX_STRIP_BYTES = 16_000_000
"""What the pictures of the page take, at most: it stays under 30 MB with its text."""
_SHEET_TILES = 60
_SHEET_TILES_UNFLAGGED = 12


class ReportFiles(NamedTuple):
    """What was written."""

    page: Path
    """report.html"""
    neighbours: Path
    """neighbours.csv"""
    sheet: Path
    """flagged.png"""
    json: Path
    """audit.json, written last: where it stands, the others do."""


def write_report(audit: Audit, out: Path, *, pair_of: Callable[[Finding], Pair]) -> ReportFiles:
    """Write `report.html`, `neighbours.csv`, `flagged.png` and `audit.json` to the folder `out`.

    `pair_of` is asked once for each picture that is shown, nearest first. Where nothing is flagged, the
    contact sheet shows the nearest pictures, each captioned as not flagged.

    Raises:
        DogsganError: a file cannot be written.
        ValueError: the audit has no finding.
    """
    if not audit.findings:
        raise ValueError("an audit without findings has nothing to report")
    out = Path(out)
    files = ReportFiles(out / "report.html", out / "neighbours.csv", out / "flagged.png", out / "audit.json")
    files.json.unlink(missing_ok=True)  # an earlier audit's: it would vouch for what is not there yet
    strips, tiles = _drawn(audit, pair_of)
    write_text(files.page, render_page(audit, strips))
    write_neighbours(audit, files.neighbours)
    save_sheet(tiles, files.sheet)
    write_json(files.json, audit.to_json(report=files.page))
    return files


def _drawn(audit: Audit, pair_of: Callable[[Finding], Pair]) -> tuple[dict[int, Strip], list[np.ndarray]]:
    """Return the page's strips by the finding's index, as many as fit, and the contact sheet's tiles."""
    shown = _shown(audit)
    on_sheet = _SHEET_TILES if audit.flagged else _SHEET_TILES_UNFLAGGED
    sheet = {finding.index for finding in (audit.flagged or shown)[:on_sheet]}
    strips: dict[int, Strip] = {}
    tiles: list[np.ndarray] = []
    used = 0
    for finding in progress_bar(shown, description="report", unit="pairs"):
        pair = pair_of(finding)
        if finding.index in sheet:
            tiles.append(tile(finding, pair))
        picture = strip(pair)
        used += len(picture.uri)
        if used > MAX_STRIP_BYTES:
            break
        strips[finding.index] = picture
    return strips, tiles


def _shown(audit: Audit) -> Sequence[Finding]:
    """Return what is worth a picture, the flagged before the accepted before the rest, each nearest first."""
    unflagged = nearest_first(finding for finding in audit.findings if not finding.flagged)
    return [
        *audit.flagged[:MAX_FLAGGED],
        *audit.accepted[:MAX_ACCEPTED],
        *unflagged[:MAX_UNFLAGGED],
    ]
