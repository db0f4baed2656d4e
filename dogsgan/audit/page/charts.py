"""Histograms of an audit's distances and similarities, drawn by matplotlib for a light and a dark page."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from dogsgan.audit.result import Audit, Finding
from dogsgan.number_text import fixed
from dogsgan.web_page import data_url

_BINS = 40
_INCHES, _DPI = (6.0, 3.4), 160
_INK, _BAR, _FLAG, _EPSILON = "ink", "bar", "flag", "epsilon"
_LIGHT = {_INK: "#1b1b19", _BAR: "#a9c0d4", _FLAG: "#a8281c", _EPSILON: "#41688a"}
_INKED = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
_DARK = {_INK: "#ecece6", _BAR: "#45617a", _FLAG: "#ff9483", _EPSILON: "#96bbdb"}


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
    flagged = [finding for finding in audit.findings if finding.flagged]
    limits = audit.distance_threshold, audit.similarity_threshold
    marks = [Mark(limits[0], f"flagged below {limits[0]:#.3g}", _FLAG)]
    if (epsilon := audit.score.epsilon) is not None:
        marks.append(Mark(epsilon, f"ε {epsilon:g}, for the mean", _EPSILON))
    charts = (
        histogram(
            "Feature distance to the nearest training picture",
            np.array([finding.distance for finding in audit.findings]),
            null=audit.null_distances,
            flagged=np.array([finding.distance for finding in flagged]),
            marks=marks,
        ),
        histogram(
            "Pixel similarity to the training picture, aligned",
            _similarities(audit.findings),
            null=audit.null_similarities,
            flagged=_similarities(flagged),
            marks=[Mark(limits[1], f"flagged above {limits[1]:#.3g}", _FLAG)],
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
    return data_url(buffer.getvalue(), "png")


def _similarities(findings: Sequence[Finding]) -> np.ndarray:
    return np.array([f.similarity for f in findings if f.similarity is not None], dtype=np.float64)
