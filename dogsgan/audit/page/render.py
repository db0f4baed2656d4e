"""`report.html`: an audit as one self-contained page, rendered from the folder `template`.

Names of files, kinds and classes are untrusted: control characters are escaped, every value goes through the
template's autoescaping, and a content security policy forbids whatever the page does not carry itself.
"""

import base64
import hashlib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dogsgan.audit.kinds import MEANINGS
from dogsgan.audit.page.charts import Chart, charts_of
from dogsgan.audit.page.thumbnails import Strip
from dogsgan.audit.result import Audit, DuplicateGroup, Finding, nearest_first
from dogsgan.data.class_names import names_for_people
from dogsgan.errors import printable
from dogsgan.number_text import distance, fixed, p_value, significant
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
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {
        "separators": (",", ":"),
        "allow_nan": False,
        "ensure_ascii": False,
    }
    breeds = _breeds(audit)
    environment.filters |= {
        "distance": distance,
        "p_value": p_value,
        "number": lambda value: f"{value:,}",
        "significant": lambda value: significant(value, 4),
        "fixed": fixed,
        "shown": printable,
        "name": _name,
        "sentence": lambda text: text[:1].upper() + text[1:],
        "state": _state,
        "form": _form,
        "breed": lambda finding: breeds.get(finding.class_name or "", ""),
        "group_title": _group_title,
    }
    style, script = _resource("report.css"), _resource("report.js")
    charts: list[Chart] = []
    with optional("the page's charts"):
        charts = charts_of(audit)
    shown = [finding for finding in nearest_first(audit.findings) if finding.index in strips]
    kinds = sorted({_name(finding.family) for finding in audit.findings if finding.family})
    folders = list(breeds)
    html = environment.from_string(_resource("report.html")).render(
        audit=audit,
        policy=_policy(style, script),
        style=Markup(style),
        script=Markup(script),
        findings=shown,
        strips=strips,
        flagged_shown=sum(finding.index in strips for finding in audit.flagged),
        groups=audit.duplicates[:_MAX_GROUPS],
        max_names=_MAX_NAMES,
        pictured={finding.name: finding.index for finding in shown},
        charts=charts,
        kind_meanings=MEANINGS,
        kinds=kinds,
        breeds=list(breeds.values()),
        rows=[
            _row(finding, kinds, folders, shown=finding.index in strips)
            for rank, finding in enumerate(nearest_first(audit.findings))
            if rank < MAX_ROWS or finding.index in strips
        ],
    )
    # A lone surrogate, which no file may hold, can only come from a name that `printable` has not seen.
    return html.encode(errors="backslashreplace").decode()


def _resource(name: str) -> str:
    return (files("dogsgan.audit.page") / "template" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """Return a content security policy that allows this very style and script, pictures in place, no more."""
    return (
        f"default-src 'none'; img-src data:; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


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
