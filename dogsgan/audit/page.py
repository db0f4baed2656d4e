"""`report.html`: an audit as one self-contained page, rendered from `template`, with charts by matplotlib.

Names of files, kinds and classes are untrusted: control characters are escaped here, the rest in `web_page`.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from dogsgan import web_page
from dogsgan.audit.findings import MEANINGS
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
_BINS = 40
_INCHES, _DPI = (6.0, 3.4), 160
_INK, _BAR, _FLAG, _EPSILON = "ink", "bar", "flag", "epsilon"
_LIGHT = {_INK: "#1b1b19", _BAR: "#a9c0d4", _FLAG: "#a8281c", _EPSILON: "#41688a"}
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
_DARK = {_INK: "#ecece6", _BAR: "#45617a", _FLAG: "#ff9483", _EPSILON: "#96bbdb"}


class Strip(NamedTuple):
    """Generated picture, training picture and difference side by side, as a data URI."""

    uri: str
    width: int
    height: int
    enlarged: bool
    """Whether the pictures are so small that a person wants to see their pixels enlarged."""


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
    return web_page.render_page("dogsgan.audit", "report", values, filters=filters)


def _name(text: str) -> str:
    """Return an untrusted name as it is shown: on one line, nothing invisible in it, and not endless."""
    text = printable(text)
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]}…{text[-half:]}"


def _state(finding: Finding) -> str:
    return ("accepted" if finding.allowed else "flagged") if finding.flagged else "unflagged"


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


class Chart(NamedTuple):
    """A histogram twice, as PNG in data URIs, and what it shows in words."""

    light: str
    dark: str
    text: str


class Mark(NamedTuple):
    """A vertical line with its label."""

    position: float
    label: str
    colour: str


def charts_of(audit: Audit) -> list[Chart]:
    """Return the histograms of the feature distances and, where there are any, of the pixel similarities."""

    def values(name: str, findings: Iterable[Finding]) -> np.ndarray:
        return np.array([getattr(finding, name) for finding in findings], dtype=np.float64)  # None: NaN

    def threshold(side: str, value: float) -> Mark:
        return Mark(value, f"flagged {side} {value:#.3g}", _FLAG)

    flagged = [finding for finding in audit.findings if finding.flagged]
    marks = [threshold("below", audit.distance_threshold)]
    if (epsilon := audit.score.epsilon) is not None:
        marks.append(Mark(epsilon, f"ε {epsilon:g}, for the mean", _EPSILON))
    charts = (
        histogram(
            "Feature distance to the nearest training picture",
            values("distance", audit.findings),
            null=audit.null_distances,
            flagged=values("distance", flagged),
            marks=marks,
        ),
        histogram(
            "Pixel similarity to the training picture, aligned",
            values("similarity", audit.findings),
            null=audit.null_similarities,
            flagged=values("similarity", flagged),
            marks=[threshold("above", audit.similarity_threshold)],
        ),
    )
    return [chart for chart in charts if chart is not None]


def histogram(
    title: str, generated: np.ndarray, *, null: np.ndarray, flagged: np.ndarray, marks: Sequence[Mark] = ()
) -> Chart | None:
    """Draw values of the generated pictures as bars and of the null distribution as an outline.

    Both are shares of their own number; flagged values are ticks below. None where no value is finite.
    """
    generated, null, flagged = (values[np.isfinite(values)] for values in (generated, null, flagged))
    if not len(generated):
        return None
    edges = _edges(np.concatenate([generated, null, [mark.position for mark in marks]]))

    def draw(axes: Any, colours: dict[str, str]) -> None:
        axes.stairs(shares(generated, edges), edges, fill=True, color=colours[_BAR], label="generated")
        if len(null):
            axes.stairs(shares(null, edges), edges, color=colours[_INK], label="real among themselves")
        if len(flagged):
            axes.plot(flagged, np.zeros(len(flagged)), "|", color=colours[_FLAG], label="flagged")
        for mark in marks:
            style = "--" if mark.colour == _EPSILON else "-"
            axes.axvline(mark.position, color=colours[mark.colour], linestyle=style, label=mark.label)
        axes.set_xlabel(title)
        axes.set_xlim(edges[0], edges[-1])
        axes.legend(frameon=False, fontsize=8)

    counted = [("generated", generated), ("real among themselves", null), ("flagged", flagged)]
    parts = [
        f"{len(values):,} {what}, median {fixed(np.median(values), 4)}"
        for what, values in counted
        if len(values)
    ]
    text = ". ".join([title, "; ".join(parts), *(mark.label for mark in marks)]) + "."
    return Chart(_png(draw, _LIGHT), _png(draw, _DARK), text)


def shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return which share of the values lies between each two edges."""
    return np.asarray(np.histogram(values, edges)[0] / max(len(values), 1))


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    margin = (high - low) * 0.02 or 0.01
    return np.linspace(max(low - margin, 0.0) if low >= 0 else low - margin, high + margin, _BINS + 1)


def _png(draw: Any, colours: dict[str, str]) -> str:
    """Draw on a transparent background with the ink of a colour scheme; return a data URI."""
    import matplotlib as mpl  # only here: its import takes a second
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    ink: Any = dict.fromkeys(_INKED, colours[_INK])
    with mpl.rc_context(ink):
        figure = Figure(figsize=_INCHES, layout="constrained")
        axes = figure.subplots()
        draw(axes, colours)
        axes.yaxis.set_major_formatter(PercentFormatter(1))
        axes.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=_DPI, transparent=True, metadata={"Software": None})
    return web_page.data_url(buffer.getvalue(), "png")
