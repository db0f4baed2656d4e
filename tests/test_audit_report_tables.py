"""The table of neighbours, the JSON, the words, and the list of accepted pictures."""

import csv
import dataclasses
import io
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_audit import HONEST, PUBLIC_SCORE, SCORE, audit_of, copy, finding

from dogsgan.audit.report import apply_allowed, read_allowed, write_neighbours
from dogsgan.audit.result import DuplicateGroup, Finding
from dogsgan.errors import DogsganError

FIRST_COLUMNS = "name,nearest,form,distance,p_value,flagged,kind"


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))


def written(findings: Sequence[Finding]) -> list[dict[str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "neighbours.csv"
        write_neighbours(audit_of(findings), path)
        return rows_of(path)


def test_the_table_has_one_row_a_picture_in_the_sources_order(tmp_path: Path) -> None:
    findings = [finding(0), copy(1), finding(2)]
    path = tmp_path / "neighbours.csv"
    write_neighbours(audit_of(findings), path)
    assert path.read_text().startswith(FIRST_COLUMNS + ",")
    rows = rows_of(path)
    assert [row["name"] for row in rows] == [f.name for f in findings]
    assert [row["flagged"] for row in rows] == ["false", "true", "false"]
    assert rows[1]["kind"] == "flip"
    assert rows[0]["neighbour_2"] == "n02099601_2.jpg"
    assert float(rows[0]["neighbour_2_distance"]) == 0.25


@given(st.floats(0, 1), st.floats(0, 1))
def test_numbers_keep_all_their_digits(distance: float, p_value: float) -> None:
    row = written([dataclasses.replace(HONEST, distance=distance, p_value=p_value)])[0]
    assert (float(row["distance"]), float(row["p_value"])) == (distance, p_value)


def test_what_is_not_known_is_empty() -> None:
    row = written([dataclasses.replace(HONEST, similarity=None, distance=float("nan"), class_name=None)])[0]
    assert (row["similarity"], row["distance"], row["class"], row["second"]) == ("", "", "", "")


def test_rows_with_fewer_neighbours_are_filled_up() -> None:
    rows = written([HONEST, dataclasses.replace(HONEST, neighbours=())])
    assert rows[1]["neighbour_2"] == ""
    assert None not in rows[1]


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(NAMES)
def test_any_name_survives_the_table(name: str) -> None:
    row = written([dataclasses.replace(HONEST, name=name)])[0]
    assert row["name"].removeprefix("'") == name
    assert row["form"] == "square"


@given(st.sampled_from("=+-@\t\r\n＝＋－＠'"), NAMES)
def test_no_cell_is_a_spreadsheets_formula(start: str, rest: str) -> None:
    name = start + rest
    row = written([dataclasses.replace(HONEST, name=name, nearest=name, kind=name, class_name=name)])[0]
    for column in ("name", "nearest", "kind", "class"):
        assert row[column] == "'" + name


def test_a_name_of_undecodable_bytes_is_written_escaped() -> None:
    assert written([dataclasses.replace(HONEST, name="a\udcff.png")])[0]["name"] == "a\\udcff.png"


def test_json_has_the_keys_that_every_audit_promises() -> None:
    audit = audit_of([copy(0), copy(1, allowed=True), finding(2)])
    values = json.loads(json.dumps(audit.to_json(report=Path("out/report.html")), allow_nan=False))
    assert (values["flagged"], values["accepted"]) == (1, 1)
    assert values["duplicates"] == 3
    assert values["report"] == "out/report.html"
    assert values["distance"] == 0.206
    assert values["p_value"] == 0.0009
    assert values["competition"] is False
    assert "NOT" in values["note"]
    assert values["kinds"] == {"exact": 1}
    assert [picture["name"] for picture in values["flagged_pictures"]] == ["00000.png"]
    assert values["statistics"]["authpct"]["value"] is None


def test_json_has_no_nan() -> None:
    broken = copy(0, similarity=float("nan"), distance=float("inf"))
    score = dataclasses.replace(SCORE, distance=float("nan"))
    audit = audit_of([broken], scores=(score,), p_value=None)
    values = audit.to_json()
    json.dumps(values, allow_nan=False)
    assert values["distance"] is None
    assert values["flagged_pictures"][0]["similarity"] is None


def test_a_picture_in_two_groups_counts_once() -> None:
    groups = (
        DuplicateGroup("bytes", ("a.png", "b.png"), (), False),
        DuplicateGroup("perceptual hash", ("b.png", "c.png"), ("x.jpg",), True),
    )
    assert dataclasses.replace(audit_of([finding(0)]), duplicates=groups).duplicated == 3


def test_flagged_pictures_come_nearest_first_without_the_accepted() -> None:
    audit = audit_of([copy(9), finding(1), copy(2, allowed=True), copy(3)])
    assert [f.index for f in audit.flagged] == [3, 9]
    assert [f.index for f in audit.accepted] == [2]


@pytest.mark.parametrize(
    ("copies", "headline"),
    [
        (0, "None of 3 pictures is found to copy training data"),
        (1, "1 of 3 pictures copies training data"),
        (2, "2 of 3 pictures copy training data"),
    ],
)
def test_the_verdict_is_a_sentence(copies: int, headline: str) -> None:
    findings = [copy(i) if i < copies else finding(i) for i in range(3)]
    assert audit_of(findings).summary().splitlines()[0] == headline


def test_kinds_are_counted_without_the_names_in_them() -> None:
    blends = [copy(i, kind=f"blend of {i}.jpg and 9.jpg") for i in range(3)]
    assert audit_of([*blends, copy(3, kind="flip")]).kind_counts() == {"blend": 3, "flip": 1}


def test_the_summary_never_passes_another_network_off_as_the_competitions() -> None:
    audit = audit_of([finding(0)])
    assert "NOT by the competition's network" in audit.summary()
    own = dataclasses.replace(audit, scores=(PUBLIC_SCORE,))
    assert "by the competition's own public network" in own.summary()


def test_the_summary_cannot_steer_a_terminal() -> None:
    audit = dataclasses.replace(audit_of([finding(0)]), warnings=("left out: \x1b[2Jevil.png",))
    assert "\x1b" not in audit.summary()


def test_a_list_of_accepted_pictures_has_comments_and_empty_lines(tmp_path: Path) -> None:
    path = tmp_path / "allow.txt"
    path.write_bytes(b"\xef\xbb\xbf# agreed\r\n\r\n 00001.png \r\na b#c.png\n  # more\n")
    assert read_allowed(path) == {"00001.png", "a b#c.png"}


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_an_unreadable_list_says_what_to_do(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "allow.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DogsganError, match=r"list of accepted pictures.*allow\.txt"):
        read_allowed(path)


def test_accepted_pictures_are_marked_and_strangers_reported() -> None:
    copies = [copy(0), copy(1)]
    names = [finding.name for finding in copies]
    findings, warnings = apply_allowed(copies, {"00001.png", "other.png"}, names=names)
    assert [f.allowed for f in findings] == [False, True]
    assert [f.index for f in audit_of(findings).flagged] == [0]
    assert warnings == ("accepted, but not among the generated pictures: other.png (1 in all)",)


def test_many_strangers_make_one_warning() -> None:
    _, warnings = apply_allowed([finding(0)], {f"x{i}.png" for i in range(500)}, names=["00000.png"])
    assert len(warnings) == 1
    assert "(500 in all)" in warnings[0]
    assert len(warnings[0]) < 200
