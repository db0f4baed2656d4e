"""What an audit leaves in its folder: the page's contents, the contact sheet, and what they cost."""

import csv
import dataclasses
import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_audit import HONEST, PUBLIC_SCORE, audit_of, copy, drawn_pair, finding, written_page

from dogsgan.audit import page as page_module
from dogsgan.audit import report
from dogsgan.audit.findings import MEANINGS
from dogsgan.audit.page import Mark, histogram, shares
from dogsgan.audit.report import write_report
from dogsgan.audit.result import Audit, DuplicateGroup, Finding, Pair, Statistic

HOSTILE = (
    "<img src=x onerror=alert(1)>.png",
    "</script><script>alert(1)</script>.png",
    '"><svg onload=alert(1)>.png',
    "<!--<script>.png",
    "a\u2028b\u202egnp.exe\x1b[2J.png",
    "{{ 7 * 7 }}{% raw %}.png",
    "a\udcff.png",
)


def page_of(audit: Audit, out: Path) -> str:
    return written_page(audit, out).read_text(encoding="utf-8")


def text_of(page: str) -> str:
    body = re.sub(r"<(style|script)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def rows_of(page: str) -> list[list]:  # type: ignore[type-arg]
    found = re.search(r'<script type="application/json" id="findings">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def mixed() -> Audit:
    return audit_of([copy(0), finding(1), copy(2), copy(3, allowed=True), *map(finding, range(4, 12))])


@pytest.fixture(scope="module")
def page(mixed: Audit, tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(mixed, tmp_path_factory.mktemp("page"))


def test_four_files_are_written_and_nothing_beside(mixed: Audit, tmp_path: Path) -> None:
    page = written_page(mixed, tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"report.html", "neighbours.csv", "flagged.png", "audit.json"}
    values = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert (values["flagged"], values["report"]) == (2, str(page))


def test_the_verdict_and_whose_network_it_is_stand_on_top(page: str) -> None:
    text = text_of(page)
    verdict = text.index("2 of 12 pictures copy training data.", 60)
    note = text.index("NOT by the competition's network")
    assert verdict < note < text.index("What was compared")
    assert "own public network" not in text


def test_the_competitions_network_is_called_so_and_its_epsilon_drawn(mixed: Audit, tmp_path: Path) -> None:
    audit = dataclasses.replace(mixed, scores=(PUBLIC_SCORE,))
    page = page_of(audit, tmp_path)
    assert "by the competition's own public network" in text_of(page)
    assert "ε 0.1, for the mean" in page
    assert "Below the threshold: penalised." in text_of(page)


def test_no_epsilon_is_drawn_for_a_network_that_has_none(page: str) -> None:
    assert "ε" not in page
    assert "No threshold was calibrated" in text_of(page)


def test_flag_thresholds_are_drawn(page: str) -> None:
    assert "flagged below 0.120" in page
    assert "flagged above 0.900" in page


def test_statistics_have_interval_and_sentence_and_a_reason_where_not_computed(page: str) -> None:
    text = text_of(page)
    assert "-3.1 -4 to -2.2 It lies nearer to the training set" in text
    assert "not computed – Too few pictures: it takes 6." in text


def test_pairs_stand_in_the_page_without_javascript_nearest_first(page: str) -> None:
    order = [int(index) for index in re.findall(r'id="pair-(\d+)"', page)]
    assert order[:3] == [0, 2, 3]
    assert len(order) == 12
    assert page.count('src="data:image/webp;base64,') == 12


def test_the_data_has_every_picture_once(page: str) -> None:
    rows = rows_of(page)
    assert sorted(row[0] for row in rows) == list(range(12))
    assert {row[1]: row[7] for row in rows}["00003.png"] == "accepted"


class Tags(HTMLParser):
    """Collects what a browser would make elements and attributes of."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def hostile_audit() -> Audit:
    """Return an audit with hostile text in every place that takes any."""
    findings = [
        dataclasses.replace(
            copy(index),
            name=name,
            nearest=name,
            form=name,
            second=name,
            kind=name if index % 2 else f"blend of {name} and {name}",
            class_name=f"n02085620-{name}",
        )
        for index, name in enumerate(HOSTILE)
    ]
    evil = HOSTILE[1]
    return dataclasses.replace(
        audit_of(findings),
        generated_path=Path(evil),
        real_path=Path(HOSTILE[0]),
        real_description=evil,
        forms=(evil,),
        scores=(dataclasses.replace(PUBLIC_SCORE, network=evil, description=evil),),
        statistics=(Statistic(evil, evil, 1.0, 0.5, 2.0, evil),),
        duplicates=(DuplicateGroup(evil, HOSTILE, HOSTILE, True),),
        warnings=HOSTILE,
    )


def test_a_strangers_text_stays_text_everywhere(page: str, tmp_path: Path) -> None:
    tame, hostile = Tags(), Tags()
    tame.feed(page)
    page = page_of(hostile_audit(), tmp_path)
    hostile.feed(page)
    assert hostile.tags <= tame.tags
    assert hostile.attributes <= tame.attributes
    assert page.count("</script>") == 2
    assert "\u2028" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert "{{ 7 * 7 }}" in text_of(page)
    assert {row[1] for row in rows_of(page)} >= {HOSTILE[0], HOSTILE[1], "a\\udcff.png"}


def test_the_page_forbids_itself_what_it_does_not_carry(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert "default-src 'none'" in html.unescape(policy[1])
    assert "unsafe-inline" not in policy[1]
    assert not re.search(r"""(?:src|href)="(?!data:|#)""", page)
    assert "url(" not in page
    assert "@import" not in page


def test_a_long_name_loses_its_middle_on_the_page_and_nothing_in_the_table(tmp_path: Path) -> None:
    name = "x" * 200 + "halfway" + "y" * 300
    assert "halfway" not in page_of(audit_of([dataclasses.replace(HONEST, name=name)]), tmp_path)
    with (tmp_path / "neighbours.csv").open(newline="", encoding="utf-8") as table:
        assert next(csv.DictReader(table))["name"] == name


def test_a_long_warning_is_shown_whole(mixed: Audit, tmp_path: Path) -> None:
    warning = "word " * 100 + "end of it"
    page = page_of(dataclasses.replace(mixed, warnings=(warning,)), tmp_path)
    assert warning in text_of(page)


def test_honest_pictures_only_show_the_nearest(tmp_path: Path) -> None:
    audit = audit_of([finding(index) for index in range(300)])
    asked: list[str] = []

    def pair_of(finding: Finding) -> Pair:
        asked.append(finding.name)
        return drawn_pair(finding)

    write_report(audit, tmp_path, pair_of=pair_of)
    nearest = sorted(audit.findings, key=lambda f: (f.p_value, f.distance, f.name))[:200]
    assert asked == [f.name for f in nearest]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "None of 300 pictures is found to copy training data." in text_of(page)
    assert len(rows_of(page)) == 300


def test_the_contact_sheet_is_of_flagged_pictures_only(mixed: Audit, tmp_path: Path) -> None:
    """Where nothing is flagged there is none, and an earlier audit's goes."""
    accepted = [dataclasses.replace(f, allowed=f.flagged) for f in mixed.findings]
    written_page(mixed, tmp_path)
    with Image.open(tmp_path / "flagged.png") as sheet:
        assert sheet.width < 3 * 3 * 128, "two tiles: two are flagged, twelve were looked at"
        assert sheet.height < 2 * 128
    for findings in (accepted, [finding(index) for index in range(30)]):
        (tmp_path / "flagged.png").write_bytes(b"an earlier audit's")
        written_page(audit_of(findings), tmp_path)
        assert not (tmp_path / "flagged.png").exists()


def test_the_page_explains_itself_in_the_order_of_its_links(page: str) -> None:
    links = re.findall(r'<a href="#(\w+)">', page.partition("</nav>")[0].partition("<nav")[2])
    assert links == re.findall(r'<section id="(\w+)">', page)
    assert links[0] == "reading"
    reading = text_of(page.partition('id="reading"')[2].partition("</section>")[0])
    assert all(f"{kind} {meaning}" in reading for kind, meaning in MEANINGS.items())
    assert all(word in reading for word in ("Distance", "Similarity", "p-value", "Flagged"))


def test_flagged_pictures_beyond_what_is_shown_are_counted_and_stay_in_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "MAX_FLAGGED", 4)
    page = page_of(audit_of([copy(index) for index in range(9)]), tmp_path)
    assert "the nearest 4 of the 9 flagged ones" in text_of(page)
    assert len(rows_of(page)) == 9


def test_pictures_stop_where_their_room_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_STRIP_BYTES", 60_000)
    audit = audit_of([copy(index, kind="crop") for index in range(30)])
    page = page_of(audit, tmp_path)
    uris = re.findall(r'src="(data:image/webp[^"]+)"', page)
    assert 0 < len(uris) < 30
    assert sum(map(len, uris)) <= 60_000
    assert len(rows_of(page)) == 30


def test_the_table_keeps_every_pair_when_its_rows_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dogsgan.audit.page.MAX_ROWS", 3)
    monkeypatch.setattr(report, "MAX_UNFLAGGED", 5)
    page = page_of(audit_of([finding(index) for index in range(9)]), tmp_path)
    assert len(rows_of(page)) == 5
    assert "The nearest 5 of 9" in text_of(page)


@pytest.mark.parametrize("side", [16, 64, 300])
def test_a_strip_has_three_pictures_of_any_size_and_the_pixels_of_small_ones(side: int) -> None:
    pair = drawn_pair(copy(1), side=side)
    made = report.strip(pair)
    shown = min(side, report.SIDE_PX)
    assert made.height == shown
    assert made.enlarged == (side <= 64)
    pixels = decoded(made.uri)
    assert pixels.shape == (made.height, made.width, 4)
    if side <= report.SIDE_PX:
        assert np.array_equal(pixels[:, :side, :3], pair.generated)
        assert np.array_equal(pixels[:, -side:, :3], pair.difference)
    assert (pixels[:, shown, 3] == 0).all()


def decoded(uri: str) -> np.ndarray:
    import base64
    import io

    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGBA"))


def test_strips_are_png_where_pillow_has_no_webp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report.features, "check", lambda name: False)
    made = report.strip(drawn_pair(copy(1)))
    assert made.uri.startswith("data:image/png;base64,")
    assert decoded(made.uri).shape == (made.height, made.width, 4)


def test_the_contact_sheet_has_a_tile_for_each_flagged_picture(mixed: Audit, tmp_path: Path) -> None:
    written_page(mixed, tmp_path)
    sheet = np.asarray(Image.open(tmp_path / "flagged.png"))
    generated = drawn_pair(copy(0)).generated
    assert np.array_equal(sheet[2 : 2 + 128 : 2, 2 : 2 + 128 : 2], generated)


def test_pairs_that_cannot_be_drawn_cost_their_own_pictures_only(
    page: str, mixed: Audit, tmp_path: Path
) -> None:
    def broken(finding: Finding) -> Pair:
        if finding.index in (0, 5):
            raise OSError("no picture")
        return drawn_pair(finding)

    warning = write_report(mixed, tmp_path, pair_of=broken).warnings[-1]
    assert warning == (
        f"2 pair(s) of pictures are not shown, the first: {copy(0).name} is left out (OSError: no picture)"
    )
    assert json.loads((tmp_path / "audit.json").read_text())["warnings"][-1] == warning
    without = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert without.count("data:image/") == page.count("data:image/") - 2
    with Image.open(tmp_path / "flagged.png") as sheet:
        assert sheet.width == 3 * 128 + 8 + 4, "one tile"


@pytest.mark.parametrize(
    ("function", "file", "is_asked_for"),
    [
        ("render_page", "report.html", True),
        ("write_neighbours", "neighbours.csv", True),
        ("save_grid", "flagged.png", False),
        ("strip", None, False),
        ("tile", None, False),
    ],
)
def test_a_part_of_the_report_that_fails_costs_itself_only(
    function: str,
    file: str | None,
    is_asked_for: bool,
    mixed: Audit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An earlier audit's file does not stay in its place."""

    def failing(*args: object, **options: object) -> None:
        raise MemoryError

    for name in ("report.html", "neighbours.csv", "flagged.png", "audit.json"):
        (tmp_path / name).write_bytes(b"an earlier audit's")
    monkeypatch.setattr(report, function, failing)
    written = write_report(mixed, tmp_path, pair_of=drawn_pair)
    said = list(written.failed if is_asked_for else written.warnings)
    assert len(said) == len(written.warnings + written.failed) == 1
    assert "is left out (MemoryError)" in said[0]
    values = json.loads((tmp_path / "audit.json").read_text())
    assert (values["flagged"], values["warnings"]) == (2, said)
    assert values["report"] == (None if file == "report.html" else str(tmp_path / "report.html"))
    missing = {"report.html", "neighbours.csv", "flagged.png"} - {path.name for path in tmp_path.iterdir()}
    assert missing == ({file} if file else {"flagged.png"} if function in ("tile", "strip") else set())


def test_charts_that_fail_cost_themselves_only(
    page: str,
    mixed: Audit,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Matplotlib without a font, without memory, or another version of it."""

    def failing(*args: object, **options: object) -> None:
        raise RuntimeError("no font")

    monkeypatch.setattr(page_module, "histogram", failing)
    without = page_of(mixed, tmp_path)
    assert rows_of(without) == rows_of(page)
    assert without.count("<figcaption>") == 0 < page.count("<figcaption>")
    assert "the page's charts is left out (RuntimeError: no font)" in capsys.readouterr().err


def test_two_classes_that_people_call_alike_stay_two(tmp_path: Path) -> None:
    folders = ["n02012849-crane", "n03126707-crane", "n02110958-pug"]
    page = page_of(
        audit_of([dataclasses.replace(copy(i), class_name=name) for i, name in enumerate(folders)]), tmp_path
    )
    choice = re.search(r'<select id="breed">(.*?)</select>', page, re.DOTALL)
    assert choice
    assert re.findall(r">([^<]+)</option>", choice[1]) == ["any", "n02012849-crane", "n03126707-crane", "pug"]
    assert {row[0]: row[10] for row in rows_of(page)} == {0: 0, 1: 1, 2: 2}
    assert [name for name in folders if f"· {name}</p>" in page] == folders[:2]


def test_the_same_audit_gives_the_same_bytes(mixed: Audit, tmp_path: Path) -> None:
    contents = []
    for _ in range(2):
        written_page(mixed, tmp_path)
        contents.append([path.read_bytes() for path in sorted(tmp_path.iterdir())])
    assert contents[0] == contents[1]


def test_bars_are_shares_of_all_values() -> None:
    values = np.random.default_rng(0).uniform(0.1, 0.4, 500)
    found = shares(values, np.array([0.1, 0.2, 0.4]))
    assert found.sum() == pytest.approx(1)
    assert found[0] == pytest.approx((values < 0.2).mean())


def test_a_histogram_is_drawn_for_light_and_dark_and_told_in_words() -> None:
    values = np.append(np.random.default_rng(0).uniform(0.1, 0.4, 500), np.nan)
    chart = histogram("title", values, null=values / 2, flagged=values[:3], marks=[Mark(0.7, "far", "flag")])
    assert chart is not None
    assert chart.text.startswith("title. 500 generated, median ")
    assert "500 real among themselves" in chart.text
    assert "3 flagged" in chart.text
    assert chart.text.endswith(". far.")
    light, dark = decoded(chart.light), decoded(chart.dark)
    assert light.shape == dark.shape == (544, 960, 4)
    ink = light[..., :3][light[..., 3] > 250].mean(), dark[..., :3][dark[..., 3] > 250].mean()
    assert (light[0, 0, 3], dark[0, 0, 3]) == (0, 0), "the page's own background"
    assert ink[0] != ink[1]


def test_equal_values_and_nothing_to_draw_are_no_error() -> None:
    none = np.array([])
    assert histogram("title", none, null=none, flagged=none) is None
    chart = histogram("title", np.zeros(5), null=none, flagged=none)
    assert chart is not None
    assert "real" not in chart.text


def test_the_sentence_on_the_threshold_of_2019_counts_right(shared_data: Path) -> None:
    with (shared_data / "scored_submissions.csv").open(newline="") as file:
        labelled = [row for row in csv.DictReader(file) if row["labels"] in ("mgan", "sup", "aug", "ae")]
    passed = sum(float(row["distance_public"]) >= 0.1 for row in labelled)
    assert (len(labelled), passed) == (249, 246)
