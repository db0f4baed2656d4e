"""The files of an audit, all in one folder: page, table, contact sheet and JSON."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dogsgan.audit.page.render import render_page
from dogsgan.audit.page.tables import write_neighbours
from dogsgan.audit.page.thumbnails import Strip, save_sheet, strip, tile
from dogsgan.audit.result import Audit, Finding, Pair, nearest_first
from dogsgan.files import write_json, write_text
from dogsgan.progress import optional, optional_file

MAX_FLAGGED = 1_000
"""The most flagged pictures that are shown."""
MAX_ACCEPTED = 200
MAX_UNFLAGGED = 200
"""The most of the others that are shown, the nearest first."""
MAX_STRIP_BYTES = 16_000_000
"""The most that the pictures of the page take, so that it stays under 30 MB with its text."""
_SHEET_TILES = 60


def write_report(audit: Audit, out: Path, *, pair_of: Callable[[Finding], Pair]) -> Audit:
    """Write `audit.json`, `report.html`, `neighbours.csv` and, of flagged pictures, `flagged.png` to `out`.

    `pair_of` is called once for each picture that is shown, nearest first. The JSON is written first, so that
    no picture, page or table that fails costs the findings, and again in the end, with the page's path.
    Nothing that fails raises: the audit is returned with a line on each of JSON, page and table in `failed`,
    and on pictures in `warnings`. Files that are not written anew are removed.
    """
    warnings, failed = list(audit.warnings), list(audit.failed)
    page, neighbours, sheet, json = (
        out / name for name in ("report.html", "neighbours.csv", "flagged.png", "audit.json")
    )
    with optional_file(json, failed):
        write_json(json, audit.to_json())
    strips, tiles = _drawn(audit, pair_of, warnings)
    with optional_file(sheet, warnings):
        if tiles:
            save_sheet(tiles, sheet)
    audit = dataclasses.replace(audit, warnings=tuple(warnings))
    with optional_file(page, failed):
        write_text(page, render_page(audit, strips))
    with optional_file(neighbours, failed):
        write_neighbours(audit, neighbours)
    audit = dataclasses.replace(audit, failed=tuple(failed))
    if json.is_file():
        with optional(f"the path of the page in {json}"):
            write_json(json, audit.to_json(report=page if page.is_file() else None))
    return audit


def _drawn(
    audit: Audit, pair_of: Callable[[Finding], Pair], warnings: list[str]
) -> tuple[dict[int, Strip], list[np.ndarray]]:
    """Return the page's strips by the finding's index, as many as fit, and the contact sheet's tiles.

    A line on pairs that cannot be drawn is added to `warnings`.
    """
    sheet = {finding.index for finding in audit.flagged[:_SHEET_TILES]}
    strips: dict[int, Strip] = {}
    tiles: list[np.ndarray] = []
    left_out: list[str] = []
    used = 0
    for finding in _shown(audit):
        with optional(finding.name, left_out):
            pair = pair_of(finding)
            picture = strip(pair)
            used += len(picture.uri)
            if used > MAX_STRIP_BYTES:
                break
            strips[finding.index] = picture
            if finding.index in sheet:
                tiles.append(tile(finding, pair))
    if left_out:
        warnings.append(f"{len(left_out):,} pair(s) of pictures are not shown, the first: {left_out[0]}")
    return strips, tiles


def _shown(audit: Audit) -> Sequence[Finding]:
    """Return what is shown: the flagged before the accepted before the rest, each nearest first."""
    unflagged = nearest_first(finding for finding in audit.findings if not finding.flagged)
    return [
        *audit.flagged[:MAX_FLAGGED],
        *audit.accepted[:MAX_ACCEPTED],
        *unflagged[:MAX_UNFLAGGED],
    ]
