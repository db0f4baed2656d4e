"""The score of labelled pictures for each class: what `dogsgan score --per-class` calls."""

import dataclasses
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError, printable
from dogsgan.features.sides import check_statistics_name, is_statistics_file, opened_for
from dogsgan.files import atomic_path, write_json
from dogsgan.metrics.kid import KERNEL
from dogsgan.metrics.precision_recall import NEIGHBOURS
from dogsgan.number_text import fixed, significant
from dogsgan.per_class.figures import (
    CORRELATED,
    ClassFigures,
    Correlation,
    EqualCounts,
    class_figures,
    correlations_with_real,
    with_recognition,
)
from dogsgan.pictures import PictureReader
from dogsgan.progress import optional_file
from dogsgan.recognition import Recognition, refuse_without_classifier
from dogsgan.recognition.imagenet import class_set
from dogsgan.score import Score, compare
from dogsgan.spreadsheet import Value, write_rows
from dogsgan.submission.labels import generated_classes, listed, matched_classes, real_classes

_COLUMNS = (
    *("class", "real", "generated", "kernel_distance", "standard_error", "fid", "precision", "recall"),
    *("equal_precision", "equal_recall", "reasons", "network"),
    *("first", "among_five", "real_first", "real_among_five"),
)
_NAME_WIDTH = 48
_NAMED = 3
"""How many of the highest and of the lowest classes are named."""
_NAME_LENGTH = 30


@dataclass(frozen=True)
class PerClassScore:
    """The score of the whole, and every class's own figures."""

    score: Score
    classes: tuple[ClassFigures, ...]
    """The worst kernel distance first; those without one last."""
    correlations: tuple[Correlation, ...]
    equal_counts: EqualCounts | None
    neighbours: int
    """k of precision and recall."""
    warnings: tuple[str, ...]
    """Beyond those of the score: pictures and classes that the figures leave out."""

    def to_json(self) -> dict[str, Any]:
        """Return the score's values, and below `per_class` the classes'."""
        return {
            **self.score.to_json(),
            "per_class": {
                "network": self.score.network,
                "description": self.score.description,
                "note": self.note(),
                "kernel": KERNEL,
                "neighbours": self.neighbours,
                "equal_counts": dataclasses.asdict(self.equal_counts) if self.equal_counts else None,
                "classes": [figures.to_json() for figures in self.classes],
                "correlations_with_real": [dataclasses.asdict(each) for each in self.correlations],
                "warnings": list(self.warnings),
            },
        }

    def note(self) -> str:
        """Say whose eyes these figures come from, and that they are not the competition's."""
        return f"seen by {self.score.network}; no class's figure is a score of the competition"

    def summary(self) -> str:
        """Return the score, a table of the classes, the correlations, and warnings."""
        return "\n".join(
            [
                self.score.summary(),
                "",
                f"per class, the worst first ({self.note()})",
                *_table(self.classes),
                *self._why_missing(),
                "",
                "with more real pictures, does a class fare better?",
                *(f"  {CORRELATED[each.figure]}: {each.summary()}" for each in self.correlations),
                *self._equal_counts_line(),
                *(f"  warning: {warning}" for warning in self.warnings),
            ]
        )

    def _why_missing(self) -> list[str]:
        """Return why figures are missing, each reason once; that of the Fréchet distance is in the JSON."""
        by_reason: dict[str, list[str]] = {}
        for figures in self.classes:
            for figure, reason in figures.reasons.items():
                if figure == "fid":
                    continue
                names = by_reason.setdefault(reason, [])
                if figures.name not in names:
                    names.append(figures.name)
        return [f"  –: {reason} ({_listed(names)})" for reason, names in by_reason.items()]

    def _equal_counts_line(self) -> list[str]:
        if self.equal_counts is None:
            return []
        real, generated = self.equal_counts.real, self.equal_counts.generated
        return [
            f"  (precision and recall here over {real:,} real and {generated:,} generated pictures of each "
            "class: at unequal numbers the numbers themselves move them)"
        ]


def per_class(
    generated: Path,
    real: Path,
    *,
    labels: Path | None = None,
    out: Path | None = None,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    cache_dir: Path | None = None,
    save_stats: Path | None = None,
    neighbours: int = NEIGHBOURS,
    classes: str | None = None,
) -> PerClassScore:
    """Score generated pictures as `score` does, and each class of them against that class's real pictures.

    Args:
        labels: a CSV `name,class` of the generated pictures; by default their classes are those that their
            source knows: class folders, breeds, a prepared set's labels.
        out: a folder for `per-class.csv`, `per-class.json` and `per-class.png`.
        neighbours: k of precision and recall.
        classes: as for `score`.

    Raises:
        DogsganError: as `score`; or a side has no classes, the labels do not fit the pictures, or the sides
            have no class in common.
    """
    if is_statistics_file(Path(real)):
        raise DogsganError(
            f"{real} is a statistics file, which says nothing of classes: give the real pictures themselves"
        )
    check_statistics_name(save_stats)
    sources = open_source(Path(generated)), open_source(Path(real))
    chosen_classes = class_set(classes) if classes is not None else None  # before anything is computed
    names = generated_classes(sources[0], labels), real_classes(sources[1])
    matched = matched_classes(*names)
    reader = PictureReader(sources[0])
    opened = opened_for(reader, network, weights=weights, device=device, cache_dir=cache_dir)
    if classes is not None:
        refuse_without_classifier(opened, "--classes")
    score, generated_side, real_side = compare(
        reader,
        sources[1],
        opened,
        class_names=names[0],
        classes=chosen_classes,
        recognition_asked=classes is not None,
        batch_size=batch_size,
        cache_dir=cache_dir,
        save_stats=save_stats,
    )
    ours, theirs = generated_side.features, real_side.features
    assert ours is not None  # both sides are of pictures, neither of a statistics file
    assert theirs is not None
    assert real_side.rows is not None
    real_kept = [matched[1][row] for row in real_side.rows]
    figures, equal_counts = class_figures(ours, matched[0], theirs, real_kept, neighbours=neighbours)
    if score.recognition is not None:
        indices = _indices_of(matched, names, score.recognition)
        figures = tuple(with_recognition(each, score.recognition, indices.get(each.name)) for each in figures)
    result = PerClassScore(
        score=score,
        classes=figures,
        correlations=correlations_with_real(figures),
        equal_counts=equal_counts,
        neighbours=neighbours,
        warnings=tuple(_left_out(sources, matched)),
    )
    failed = write_per_class(result, Path(out)) if out is not None else []
    score = dataclasses.replace(score, failed=(*score.failed, *failed))
    return dataclasses.replace(result, score=score)


def _indices_of(
    matched: tuple[list[str | None], list[str | None]],
    names: tuple[list[str | None], list[str | None]],
    recognition: Recognition,
) -> dict[str, int]:
    """Return ImageNet's class of each class by its common name, from the names that the sides have for it."""
    found = {}
    for common, own in zip(itertools.chain(*matched), itertools.chain(*names), strict=True):
        if common and own and own in recognition.indices:
            found[common] = recognition.indices[own]
    return found


def _left_out(
    sources: tuple[Source, Source], classes: tuple[list[str | None], list[str | None]]
) -> list[str]:
    """Say which pictures are in no class, and which classes are on one side only."""
    sides = ("generated", "real")
    lines = [
        f"{count:,} {side} pictures in {source.path} have no class and count for the whole score only"
        for side, source, names in zip(sides, sources, classes, strict=True)
        if (count := names.count(None))
    ]
    for here, there in ((0, 1), (1, 0)):
        alone = set(classes[here]) - set(classes[there]) - {None}
        if alone:
            lines.append(
                f"{len(alone):,} of the {sides[here]} side's classes have no {sides[there]} picture: "
                f"{listed(alone)}"
            )
    return lines


def _table(classes: Sequence[ClassFigures]) -> list[str]:
    names = [printable(figures.name)[:_NAME_WIDTH] for figures in classes]
    columns: list[tuple[int, list[str]]] = [
        (7, ["real", *(f"{each.real:,}" for each in classes)]),
        (9, ["generated", *(f"{each.generated:,}" for each in classes)]),
        (19, ["kernel distance", *map(_distance, classes)]),
    ]
    if any(each.fid is not None for each in classes):
        columns.append((9, ["Fréchet", *(fixed(each.fid, 2) for each in classes)]))
    columns.append((9, ["precision", *(fixed(each.precision, 3) for each in classes)]))
    columns.append((7, ["recall", *(fixed(each.recall, 3) for each in classes)]))
    if any(each.first is not None for each in classes):
        columns.append((11, ["named first", *(fixed(each.first, 3) for each in classes)]))
        columns.append((7, ["of real", *(fixed(each.real_first, 3) for each in classes)]))
    width = max(len("class"), *map(len, names))
    return [
        " ".join([f"  {name:<{width}}", *(f"{cells[row]:>{places}}" for places, cells in columns)])
        for row, name in enumerate(["class", *names])
    ]


def _distance(figures: ClassFigures) -> str:
    """Return a kernel distance to the second digit of its standard error, as `0.351 ± 0.031`."""
    error = figures.standard_error
    if not error or not math.isfinite(error):
        return significant(figures.kernel_distance, 4)
    decimals = max(0, 1 - math.floor(math.log10(error)))
    return f"{fixed(figures.kernel_distance, decimals)} ± {fixed(error, decimals)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name)[:_NAME_WIDTH] for name in names[:3]) + (
        f" and {len(names) - 3} more" if len(names) > 3 else ""
    )


def write_per_class(result: PerClassScore, out: Path) -> list[str]:
    """Write table, JSON and plot to the folder `out`, each in one step.

    Return a line for table and JSON if they cannot be written. A plot that cannot be drawn is only said.
    """
    failed: list[str] = []
    with optional_file(out / "per-class.csv", failed):
        _write_table(result, out / "per-class.csv")
    with optional_file(out / "per-class.json", failed):
        write_json(out / "per-class.json", result.to_json())
    with optional_file(out / "per-class.png"):
        plot_per_class(result, out / "per-class.png")
    return failed


def _write_table(result: PerClassScore, path: Path) -> None:
    """Write one row a class, the worst first."""
    rows: list[list[Value]] = [list(_COLUMNS)]
    for figures in result.classes:
        reasons = "; ".join(f"{figure}: {reason}" for figure, reason in figures.reasons.items())
        values = {**figures.to_json(), "reasons": reasons, "network": result.score.network}
        rows.append([values[column] for column in _COLUMNS])
    write_rows(path, rows)


def plot_per_class(result: PerClassScore, path: Path) -> None:
    """Draw one panel for each figure in `CORRELATED`, headed by its rank correlation.

    Raises:
        DogsganError: the file cannot be written.
    """
    from matplotlib.figure import Figure  # only here: its import takes a second

    figure = Figure(figsize=(4 * len(result.correlations), 4.4), layout="constrained")
    figure.suptitle(_plain(result.note()), fontsize=10)
    panels = figure.subplots(1, len(result.correlations))
    for axes, correlation in zip(panels, result.correlations, strict=True):
        axes.set_title(f"{CORRELATED[correlation.figure]}: {_plain(correlation.summary())}", fontsize=9)
        axes.set(xlabel="real pictures of the class", ylabel=_label(correlation.figure, result))
        axes.grid(alpha=0.3)
        _draw_dots(axes, result.classes, correlation.figure)
    figure.draw_without_rendering()  # only now is known where the dots are
    for axes, correlation in zip(panels, result.correlations, strict=True):
        _name_extremes(axes, result.classes, correlation.figure)
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def _label(figure: str, result: PerClassScore) -> str:
    if figure == "kernel_distance":
        return "kernel distance ± standard error"
    if figure == "first":
        return "share of generated pictures whose class is the first guess"
    counts = result.equal_counts
    over = f", {counts.real:,} real and {counts.generated:,} generated of each" if counts else ""
    return f"{CORRELATED[figure]}{over}"


def _draw_dots(axes: Any, classes: Sequence[ClassFigures], figure: str) -> None:
    shown = _having(classes, figure)
    counts, values = [each.real for each in shown], [getattr(each, figure) for each in shown]
    if figure == "kernel_distance":
        errors = [each.standard_error or 0.0 for each in shown]
        axes.errorbar(counts, values, yerr=errors, fmt="none", ecolor="0.75", elinewidth=0.8, zorder=1)
    axes.scatter(counts, values, s=14, zorder=2)


def _name_extremes(axes: Any, classes: Sequence[ClassFigures], figure: str) -> None:
    """Write the names of the highest and lowest classes beside their dots, at the first free place."""
    places = [((x, y), side) for y in (3, -9, 11, -17) for x, side in ((4, "left"), (-4, "right"))]  # points
    ordered = sorted(_having(classes, figure), key=lambda each: getattr(each, figure))
    taken: list[Any] = []
    for each in {item.name: item for item in (*ordered[:_NAMED], *ordered[-_NAMED:])}.values():
        name = _plain(each.name[:_NAME_LENGTH])
        text = axes.annotate(
            name, (each.real, getattr(each, figure)), xytext=(0, 0), textcoords="offset points", fontsize=7
        )
        text.set_in_layout(False)
        for shift, alignment in places:
            text.set(position=shift, horizontalalignment=alignment)
            box = text.get_window_extent()
            inside = axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1
            if inside and not any(box.overlaps(other) for other in taken):
                break
        taken.append(box)


def _having(classes: Iterable[ClassFigures], figure: str) -> list[ClassFigures]:
    return [each for each in classes if getattr(each, figure) is not None]


def _plain(text: str) -> str:
    """Return `text` so that it can be drawn, and matplotlib takes no dollar sign for mathematics."""
    return printable(text).replace("$", r"\$")
