"""The files of an audit, all in one folder: page, table, contact sheet and JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogsgan.audit.page.render import render_page
from dogsgan.audit.page.tables import write_neighbours
from dogsgan.audit.page.thumbnails import Strip, save_sheet, strip, tile
from dogsgan.audit.result import Audit, Finding, Pair, nearest_first
from dogsgan.files import write_json, write_text

MAX_FLAGGED = 1_000
"""The most flagged pictures that are shown."""
MAX_ACCEPTED = 200
MAX_UNFLAGGED = 200
"""The most of the others that are shown, the nearest first."""
MAX_STRIP_BYTES = 16_000_000
"""The most that the pictures of the page take, so that it stays under 30 MB with its text."""
_SHEET_TILES = 60


class ReportFiles(NamedTuple):
    """What was written."""

    page: Path
    """report.html"""
    neighbours: Path
    """neighbours.csv"""
    sheet: Path | None
    """flagged.png; None where nothing is flagged."""
    json: Path
    """audit.json, written last: where it is there, the others are."""


def write_report(audit: Audit, out: Path, *, pair_of: Callable[[Finding], Pair]) -> ReportFiles:
    """Write `report.html`, `neighbours.csv`, `audit.json` and, of flagged pictures, `flagged.png` to `out`.

    `pair_of` is called once for each picture that is shown, nearest first. Where nothing is flagged, an
    earlier audit's contact sheet is removed.

    Raises:
        DogsganError: a file cannot be written.
        ValueError: the audit has no finding.
    """
    if not audit.findings:
        raise ValueError("an audit without findings has nothing to report")
    out = Path(out)
    page, neighbours, sheet, json = (
        out / name for name in ("report.html", "neighbours.csv", "flagged.png", "audit.json")
    )
    json.unlink(missing_ok=True)  # an earlier audit's does not describe what is written now
    sheet.unlink(missing_ok=True)
    strips, tiles = _drawn(audit, pair_of)
    write_text(page, render_page(audit, strips))
    write_neighbours(audit, neighbours)
    if tiles:
        save_sheet(tiles, sheet)
    write_json(json, audit.to_json(report=page))
    return ReportFiles(page, neighbours, sheet if tiles else None, json)


def _drawn(audit: Audit, pair_of: Callable[[Finding], Pair]) -> tuple[dict[int, Strip], list[np.ndarray]]:
    """Return the page's strips by the finding's index, as many as fit, and the contact sheet's tiles."""
    sheet = {finding.index for finding in audit.flagged[:_SHEET_TILES]}
    strips: dict[int, Strip] = {}
    tiles: list[np.ndarray] = []
    used = 0
    for finding in _shown(audit):
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
    """Return what is shown: the flagged before the accepted before the rest, each nearest first."""
    unflagged = nearest_first(finding for finding in audit.findings if not finding.flagged)
    return [
        *audit.flagged[:MAX_FLAGGED],
        *audit.accepted[:MAX_ACCEPTED],
        *unflagged[:MAX_UNFLAGGED],
    ]
