"""Annotations: the genuine format is read, anything else is refused in one line."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsgan.crops import Box
from dogsgan.data.layouts import annotated
from dogsgan.data.layouts.annotated import parse_annotation
from dogsgan.errors import DogsganError

NUMBERS = st.integers(-2_000, 5_000)
BOMB = b"""<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]>
<annotation><size><width>5</width><height>5</height></size><folder>&y;</folder></annotation>"""
READS_A_FILE = b"""<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<annotation><size><width>5</width><height>5</height></size><folder>&x;</folder></annotation>"""


def xml(boxes: list[tuple[object, ...]], *, width: object = 100, height: object = 80) -> bytes:
    """An annotation as the data set has them: tabs, no declaration, `%s` for the file's name."""
    objects = "".join(
        "<object>\n<name>x</name><bndbox>"
        f"<xmin>{a}</xmin><ymin>{b}</ymin><xmax>{c}</xmax><ymax>{d}</ymax></bndbox></object>\n"
        for a, b, c, d in boxes
    )
    size = f"<size>\n\t<width>{width}</width><height>{height}</height><depth>3</depth></size>"
    return f"<annotation>\n\t<folder>%s</folder><filename>%s</filename>{size}{objects}</annotation>".encode()


@pytest.fixture(params=["defusedxml", "without defusedxml"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "without defusedxml":
        monkeypatch.setattr(annotated, "_defused_fromstring", None)


@given(boxes=st.lists(st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=8))
def test_what_is_written_is_read(boxes: list[tuple[int, int, int, int]]) -> None:
    annotation = parse_annotation(xml(boxes), "n1_1")
    assert (annotation.width, annotation.height) == (100, 80)
    assert annotation.boxes == tuple(Box(*box) for box in boxes)


def test_all_real_annotations_are_read_alike_by_both_parsers(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted((shared_data / "generative-dog-images-mini/annotation").glob("*/*/*"))
    contents = [(file.read_bytes(), file.name) for file in files]
    first = [parse_annotation(*item) for item in contents]
    monkeypatch.setattr(annotated, "_defused_fromstring", None)
    assert [parse_annotation(*item) for item in contents] == first
    assert len(files) == 511
    assert sum(b"%s" in content for content, _ in contents) == 21
    assert sum(len(annotation.boxes) for annotation in first) == 597
    assert sum(len(annotation.boxes) > 3 for annotation in first) > 0


@pytest.mark.parametrize("content", [BOMB, READS_A_FILE, BOMB.decode().encode("utf-16")])
def test_entities_are_refused(content: bytes, either_parser: None) -> None:
    with pytest.raises(DogsganError, match="evil_1"):
        parse_annotation(content, "evil_1")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "well-formed"),
        (b"not xml", "well-formed"),
        (b"<annotation>", "well-formed"),
        (b"<annotation/>", "<size>"),
        (b"<?xml version='1.0' encoding='no-such'?><annotation/>", "n1_1"),
        (xml([], width=0), "0×80"),
        (xml([], width="wide"), "<width>"),
        (xml([("nan", 1, 2, 3)]), "<xmin>"),
        (xml([(1, 1, "inf", 3)]), "<xmax>"),
        (xml([(1, 1, 10**9, 3)]), "<xmax>"),
        (xml([(1, "", 5, 3)]), "<ymin>"),
        (xml([(1, 1, 2, 2)] * 1001), "1001 objects"),
        (xml([]) + b" " * annotated.MAX_ANNOTATION_BYTES, "larger"),
    ],
)
def test_bad_content_is_one_line_that_names_the_file(content: bytes, why: str, either_parser: None) -> None:
    with pytest.raises(DogsganError, match="n1_1") as caught:
        parse_annotation(content, "n1_1")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


@given(content=st.binary(max_size=200), at=st.integers(0, 300), genuine=st.booleans())
def test_damaged_annotations_never_raise_anything_else(content: bytes, at: int, genuine: bool) -> None:
    if genuine:
        whole = xml([(1, 2, 30, 40)])
        content = whole[:at] + content[:3] + whole[at + 3 :]
    try:
        annotation = parse_annotation(content, "n1_1")
    except DogsganError:
        return
    assert annotation.width >= 1


def test_deep_nesting_is_no_crash(either_parser: None) -> None:
    deep = b"<a>" * 20_000 + b"</a>" * 20_000
    with pytest.raises(DogsganError):
        parse_annotation(deep, "deep")
    assert sys.getrecursionlimit() < 20_000
