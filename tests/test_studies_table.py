"""What studies end in: the spread over seeds, the table in three forms, the plot, and the settings kept."""

import csv
import io
import json
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from PIL import Image
from scipy import stats
from tiny import RECIPE

from dogsgan.errors import DogsganError
from dogsgan.studies.runs import Settings
from dogsgan.studies.table import Line, as_csv, as_json, as_text, save_lines, spread_of, write_table

ROWS = [
    {"name": "none", "distance": spread_of([120.0, 130.5, 111.0]), "parameters": 57795, "each": [40, 40]},
    {"name": "16, both", "distance": spread_of([98.25]), "parameters": 1, "each": [40, 32], "note": None},
]
HEADINGS = {"name": "variant", "distance": "distance", "parameters": "parameters", "each": "seen"}


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=9))
def test_the_interval_is_that_of_students_t(values):
    spread = spread_of(values)
    assert spread.mean == pytest.approx(statistics.fmean(values), abs=1e-6)
    assert spread.deviation == pytest.approx(statistics.stdev(values), abs=1e-6)
    if spread.deviation > 1e-3:
        error = stats.sem(values)
        low, high = stats.t.interval(0.95, len(values) - 1, loc=spread.mean, scale=error)
        assert spread.half_width == pytest.approx((high - low) / 2, rel=1e-9)


def test_one_seed_has_no_spread_and_says_so():
    spread = spread_of([98.25])
    assert (spread.mean, spread.deviation, spread.half_width, spread.count) == (98.25, None, None, 1)
    assert spread.text() == "98.25 (1 seed)"
    assert spread_of([]) is None


def test_a_nan_is_no_figure_of_a_seed():
    with pytest.raises(ValueError, match="finite"):
        spread_of([1.0, float("nan")])


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([2637.2, 4300.7], "3,469 ± 1,176"),
        ([0.98123, 0.98345], "0.9823 ± 0.0016"),
        ([101.5, 99.5], "100.5 ± 1.4"),
        ([0.0, 0.0], "0 ± 0"),
        ([0.5, 0.5], "0.5000 ± 0.0000"),
    ],
)
def test_a_spread_is_written_to_the_digits_that_it_has(values, text):
    assert spread_of(values).text() == text


def test_the_text_is_aligned_and_has_a_dash_for_what_is_missing():
    lines = as_text([*ROWS, {"name": "8"}], HEADINGS).splitlines()
    end = lines[0].index("parameters") + len("parameters")
    assert [line[:end].split()[-1] for line in lines[2:]] == ["57,795", "1", "–"]
    assert [line[end:].strip() for line in lines[2:]] == ["40", "40, 32", "–"]
    assert "98.25 (1 seed)" in lines[3]


def test_the_csv_has_every_column_of_every_row():
    rows = list(csv.DictReader(io.StringIO(as_csv(ROWS))))
    assert [row["name"] for row in rows] == ["none", "16, both"]
    assert float(rows[0]["distance_mean"]) == pytest.approx(120.5)
    assert rows[1]["distance_deviation"] == rows[0]["note"] == ""
    assert rows[1]["each"] == "40 32"


def test_a_table_is_written_in_three_forms(tmp_path):
    content = as_json(ROWS, {"network": "stand-in"})
    assert write_table(tmp_path, "study", text="by stand-in", rows=ROWS, content=content) == []
    assert (tmp_path / "study.txt").read_text() == "by stand-in\n"
    content = json.loads((tmp_path / "study.json").read_text())
    assert content["network"] == "stand-in"
    assert content["rows"][0]["distance"]["count"] == 3
    assert content["rows"][1]["distance"]["deviation"] is None
    assert (tmp_path / "study.csv").read_text().count("\n") == 3


@pytest.fixture
def drawn(monkeypatch):
    """The axes of the plots that are drawn."""
    axes = []
    really = Figure.subplots
    monkeypatch.setattr(Figure, "subplots", lambda *args: axes.append(really(*args)) or axes[-1])
    return axes


def plot(path, lines, **settings):
    save_lines(path, lines, title="t", x_label="x", y_label="y", **settings)


@pytest.mark.parametrize(
    ("values", "log_x"),
    [({"none": [1.0, 2.0], "8": [3.0]}, False), ({100: [1.0, 2.0], 60_000: [3.0]}, True)],
)
def test_a_plot_is_drawn_of_named_and_of_numbered_places(tmp_path, values, log_x):
    lines = [Line("a", values), Line("b", dict(list(values.items())[:1]))]
    floor = 0.5 if log_x else None
    plot(tmp_path / "p.png", lines, places=list(values), log_x=log_x, log_y_floor=floor)
    with Image.open(tmp_path / "p.png") as picture:
        assert picture.width > 500


def test_a_value_of_0_is_drawn_on_a_logarithmic_axis(tmp_path, drawn):
    lines = [Line("perfect", {100: [0.0, 0.0], 500: [0.0, 4.0]}), Line("other", {100: [4.0]})]
    plot(tmp_path / "p.png", lines, places=[100, 500], log_x=True, log_y_floor=0.25)
    (axes,) = drawn
    assert axes.get_yscale() == "log"
    assert axes.get_ylim()[0] < 0.25
    assert axes.containers[0].lines[0].get_ydata().tolist() == [0.25, 2.0]
    assert axes.collections[1].get_offsets()[:, 1].tolist() == [0.25, 0.25, 0.25, 4.0]
    assert "below 0.25: drawn at 0.25" in axes.get_legend().get_title().get_text()


@pytest.mark.parametrize(("places", "log_x"), [(["none", "8"], False), ([100, 60_000], True)])
def test_no_two_lines_lie_on_each_other(tmp_path, drawn, places, log_x):
    lines = [Line(name, {place: [1.0, 2.0] for place in places}) for name in "abc"]
    plot(tmp_path / "p.png", lines, places=places, log_x=log_x)
    means = [of_line.lines[0] for of_line in drawn[0].containers]
    for index in range(2):
        stand = sorted({float(line.get_xdata()[index]) for line in means})
        assert len(stand) == 3
        assert stand[1] == pytest.approx(places[index] if log_x else index)


def test_named_places_stand_in_the_order_that_is_asked_for(tmp_path, drawn):
    lines = [Line("a", {"8": [1.0]}), Line("b", {"none": [2.0], "8": [3.0]})]
    plot(tmp_path / "p.png", lines, places=["none", "8", "16"])
    assert [label.get_text() for label in drawn[0].get_xticklabels()] == ["none", "8"]
    a, b = (of_line.lines[0].get_xdata() for of_line in drawn[0].containers)
    assert a[0] > 0.5 > b[0]


def keep(folder, recipe=RECIPE, **settings):
    chosen = {"study": "s", "fixed": {"crops": "a"}, "growing": {"images": 40}, **settings}
    Settings(recipe=recipe, **chosen).keep(folder)


def test_settings_that_a_folder_was_begun_with_may_not_change(tmp_path):
    keep(tmp_path)
    keep(tmp_path)
    with pytest.raises(DogsganError, match="crops: a -> b"):
        keep(tmp_path, fixed={"crops": "b"})
    with pytest.raises(DogsganError, match=r"training\.batch_size: 4 -> 8"):
        keep(tmp_path, recipe=RECIPE.with_overrides(["training.batch_size=8"]))
    with pytest.raises(DogsganError, match="holds the study 's'"):
        keep(tmp_path, study="t")
    keep(tmp_path)


def test_what_may_grow_grows_and_does_not_shrink(tmp_path):
    keep(tmp_path)
    keep(tmp_path, growing={"images": 80})
    with pytest.raises(DogsganError, match="images: 80 -> 40"):
        keep(tmp_path)


def test_a_setting_that_one_side_does_not_know_is_kept(tmp_path):
    keep(tmp_path, fixed={"crops": "a", "source": "z"})
    keep(tmp_path)
    with pytest.raises(DogsganError, match="source: z -> y"):
        keep(tmp_path, fixed={"source": "y"})


def test_a_strangers_settings_file_is_refused(tmp_path):
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(DogsganError, match="not the settings of a study"):
        keep(tmp_path)
