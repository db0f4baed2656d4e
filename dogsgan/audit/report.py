"""The files of an audit: page, table, contact sheet and JSON, and the list of accepted pictures.

Every name in the table may come from a stranger's zip, so its cells are written as `spreadsheet.to_cell` has
it: `cell.removeprefix("'")` gives back every name as it was.
"""

import dataclasses
import io
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from dogsgan.audit.page import Strip, render_page
from dogsgan.audit.result import Audit, Finding, Pair, nearest_first
from dogsgan.data.grids import save_grid
from dogsgan.errors import DogsganError, printable
from dogsgan.files import write_json, write_text
from dogsgan.number_text import distance, p_value
from dogsgan.progress import optional, optional_file
from dogsgan.spreadsheet import Value, write_rows
from dogsgan.web_page import data_url

MAX_FLAGGED = 1_000
"""The most flagged pictures that are shown."""
MAX_ACCEPTED = 200
MAX_UNFLAGGED = 200
"""The most of the others that are shown, the nearest first."""
MAX_STRIP_BYTES = 16_000_000
"""The most that the pictures of the page take, so that it stays under 30 MB with its text."""
_SHEET_TILES = 60
COLUMNS = (
    *("name", "nearest", "form", "distance", "p_value", "flagged", "kind"),
    *("allowed", "flipped", "similarity", "second", "class"),
)
"""The first columns of the table; their names and order do not change. `neighbour_1`, … come after them."""
_NAMES_SHOWN = 5
SIDE_PX = 128
"""A picture that is longer than this is scaled down."""
_GAP = 16  # a strip's transparent gap is a sixteenth of a picture's width
_CAPTION_PX = 30
_BACKGROUND, _INK, _VERDICT_INK = (24, 24, 24), (235, 235, 235), (255, 140, 120)
_COLUMNS = 3


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
            save_grid(np.stack(tiles), sheet, columns=_COLUMNS)
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
    unflagged = nearest_first(finding for finding in audit.findings if not finding.flagged)
    shown = [*audit.flagged[:MAX_FLAGGED], *audit.accepted[:MAX_ACCEPTED], *unflagged[:MAX_UNFLAGGED]]
    sheet = {finding.index for finding in audit.flagged[:_SHEET_TILES]}
    strips: dict[int, Strip] = {}
    tiles: list[np.ndarray] = []
    left_out: list[str] = []
    used = 0
    for finding in shown:
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


def strip(pair: Pair) -> Strip:
    """Encode a pair as one picture without loss, with transparent gaps that let any background through."""
    images = [_fitted(picture) for picture in pair]
    width, height = images[0].size
    gap = max(2, width // _GAP)
    whole = Image.new("RGBA", (3 * width + 2 * gap, height), (0, 0, 0, 0))
    for place, image in enumerate(images):
        whole.paste(image, (place * (width + gap), 0))
    buffer = io.BytesIO()
    kind = "webp" if features.check("webp") else "png"
    whole.save(buffer, format=kind, lossless=True, method=2)  # PNG takes no notice of either
    uri = data_url(buffer.getvalue(), kind)
    return Strip(uri, *whole.size, enlarged=max(width, height) <= SIDE_PX // 2)


def _fitted(picture: np.ndarray) -> Image.Image:
    image = Image.fromarray(picture)
    image.thumbnail((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)
    return image


def tile(finding: Finding, pair: Pair) -> np.ndarray:
    """Draw a flagged pair for the contact sheet, height×width×3, with its name, kind and numbers beneath."""
    canvas = Image.new("RGB", (3 * SIDE_PX + 8, SIDE_PX + _CAPTION_PX), _BACKGROUND)
    for place, picture in enumerate(pair):
        image = _fitted(picture)
        factor = max(1, SIDE_PX // max(image.size))
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
        left = place * (SIDE_PX + 4) + (SIDE_PX - image.width) // 2
        canvas.paste(image, (left, (SIDE_PX - image.height) // 2))
    verdict = f"{finding.kind} (accepted)" if finding.allowed else finding.kind
    lines = (
        f"{finding.name}: {verdict}",
        f"{finding.nearest}  distance {distance(finding.distance)}  p {p_value(finding.p_value)}",
    )
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default()
    for row, (line, ink) in enumerate(zip(lines, (_VERDICT_INK, _INK), strict=True)):
        plain = printable(line).encode("ascii", "replace").decode()
        draw.text((3, SIDE_PX + 2 + 13 * row), _shortened(plain, draw, font), fill=ink, font=font)
    return np.asarray(canvas)


def _shortened(
    text: str, draw: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont
) -> str:
    """Return `text`, or where it does not fit under a tile its beginning and end."""
    keep = len(text)
    shorter = text
    while draw.textlength(shorter, font=font) > 3 * SIDE_PX and keep > 8:
        keep -= 4
        shorter = f"{text[: keep // 2]}...{text[-(keep - keep // 2) :]}"
    return shorter


def write_neighbours(audit: Audit, path: Path) -> None:
    """Write one row a generated picture, in the source's order, as `spreadsheet.write_rows` has it.

    `flagged` is true also where the picture is allowed.
    """
    width = max((len(finding.neighbours) for finding in audit.findings), default=0)
    ranks = [f"neighbour_{rank}" for rank in range(1, width + 1)]
    rows: list[list[Value]] = [
        [*COLUMNS, *(rank + part for rank in ranks for part in ("", "_form", "_distance"))]
    ]
    for finding in audit.findings:
        values = [getattr(finding, "class_name" if column == "class" else column) for column in COLUMNS]
        values += [value for neighbour in finding.neighbours for value in neighbour]
        rows.append([*values, *[None] * (3 * (width - len(finding.neighbours)))])
    write_rows(path, rows)


def read_allowed(path: Path) -> frozenset[str]:
    """Return the names in a list of accepted pictures: one a line, each as it is among the generated ones.

    Space around a name, empty lines, and lines that begin with `#` do not count.

    Raises:
        DogsganError: the file is missing or is not text in UTF-8.
    """
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError as error:
        raise DogsganError(f"no such list of accepted pictures: {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise DogsganError(
            f"the list of accepted pictures {path} cannot be read ({error}): give a text file in UTF-8, one "
            "name a line"
        ) from error
    names = (line.strip() for line in lines)
    return frozenset(name for name in names if name and not name.startswith("#"))


def apply_allowed(
    findings: Iterable[Finding], allowed: Collection[str], *, names: Iterable[str]
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """Return the findings with what is accepted marked so, and a warning where a name is none of `names`.

    `names` are those of all generated pictures.
    """
    marked = tuple(
        dataclasses.replace(finding, allowed=True) if finding.name in allowed else finding
        for finding in findings
    )
    unknown = sorted(set(allowed) - set(names))
    if not unknown:
        return marked, ()
    some = ", ".join(unknown[:_NAMES_SHOWN]) + (", …" if len(unknown) > _NAMES_SHOWN else "")
    return marked, (f"accepted, but not among the generated pictures: {some} ({len(unknown):,} in all)",)
