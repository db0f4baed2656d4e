"""`report.html`: an audit as one self-contained page, rendered from the folder `template`.

Names of files, kinds and classes are untrusted: control characters are escaped here, the rest in `web_page`.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dogsgan import web_page
from dogsgan.audit.kinds import MEANINGS
from dogsgan.audit.page.charts import Chart, charts_of
from dogsgan.audit.page.thumbnails import Strip
from dogsgan.audit.result import Audit, DuplicateGroup, Finding, nearest_first
from dogsgan.data.class_names import names_for_people
from dogsgan.errors import printable
from dogsgan.number_text import distance, fixed, p_value
from dogsgan.progress import optional

_MAX_GROUPS = 100
_MAX_NAMES = 8
MAX_ROWS = 20_000
"""How many pictures the page's table has, at most, the nearest."""
_LONGEST = 160  # characters of a name; a longer one loses its middle
_DIGITS = 6  # decimals of a distance in the page's data; all of them are in neighbours.csv
FLAGGED, ACCEPTED, UNFLAGGED = "flagged", "accepted", "unflagged"


def render_page(audit: Audit, strips: Mapping[int, Strip]) -> str:
    """Return the page's HTML; `strips` are the pictures of the pairs to show, by the finding's index."""
    breeds = _breeds(audit)
    filters: dict[str, Callable[..., Any]] = {
        "distance": distance,
        "p_value": p_value,
        "fixed": fixed,
        "name": _name,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "state": _state,
        "form": _form,
        "breed": lambda finding: breeds.get(finding.class_name or "", ""),
        "group_title": _group_title,
    }
    charts: list[Chart] = []
    with optional("the page's charts"):
        charts = charts_of(audit)
    shown = [finding for finding in nearest_first(audit.findings) if finding.index in strips]
    kinds = sorted({_name(finding.family) for finding in audit.findings if finding.family})
    folders = list(breeds)
    values = {
        "audit": audit,
        "findings": shown,
        "strips": strips,
        "flagged_shown": sum(finding.index in strips for finding in audit.flagged),
        "groups": audit.duplicates[:_MAX_GROUPS],
        "max_names": _MAX_NAMES,
        "pictured": {finding.name: finding.index for finding in shown},
        "charts": charts,
        "kind_meanings": MEANINGS,
        "kinds": kinds,
        "breeds": list(breeds.values()),
        "rows": [
            _row(finding, kinds, folders, shown=finding.index in strips)
            for rank, finding in enumerate(nearest_first(audit.findings))
            if rank < MAX_ROWS or finding.index in strips
        ],
    }
    return web_page.render_page("dogsgan.audit.page", "report", values, filters=filters)


def _name(text: str) -> str:
    """Return an untrusted name as it is shown: on one line, nothing invisible in it, and not endless."""
    text = printable(text)
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def _state(finding: Finding) -> str:
    if not finding.flagged:
        return UNFLAGGED
    return ACCEPTED if finding.allowed else FLAGGED


def _form(finding: Finding) -> str:
    return f"{finding.form}, mirrored" if finding.flipped else finding.form


def _breeds(audit: Audit) -> dict[str, str]:
    """Return each class's name as it is shown, by its folder, in the order of the names."""
    names = names_for_people({finding.class_name for finding in audit.findings if finding.class_name})
    return {folder: _name(name) for folder, name in sorted(names.items(), key=lambda item: item[::-1])}


def _group_title(group: DuplicateGroup) -> str:
    how = {"bytes": "the same bytes", "pixels": "the same pixels"}.get(group.how, f"the same {group.how}")
    return f"{how}, some mirrored" if group.flipped else how


def _row(finding: Finding, kinds: list[str], folders: list[str], *, shown: bool) -> list[Any]:
    """Return a finding in the columns that the page's script expects."""
    kind = _name(finding.family)
    return [
        finding.index,
        _name(finding.name),
        _name(finding.nearest),
        _name(_form(finding)),
        _rounded(finding.distance),
        _rounded(finding.p_value),
        _rounded(finding.similarity),
        _state(finding),
        _name(finding.kind),
        kinds.index(kind) if kind else -1,
        folders.index(finding.class_name) if finding.class_name else -1,
        shown,
    ]


def _rounded(value: float | None) -> float | None:
    return round(float(value), _DIGITS) if value is not None and np.isfinite(value) else None
