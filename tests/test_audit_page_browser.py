"""The page as a person meets it, in headless Chromium: filters, order, keys, strange names, any screen."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_audit import audit_of, copy, finding, written_page

from dogsgan.audit.report import write_report
from dogsgan.audit.result import Pair

Opened = Callable[..., Any]

HOSTILE = (
    '<img src=x onerror="document.title=1">.png',
    "</script><script>document.title='broken'</script>.png",
    "\"'><svg onload=document.title=1>.png",
    "<!--<script>.png",
    "javascript:alert(1)//.png",
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of 12 copies, one of them accepted, and 120 honest pictures."""
    findings = [copy(index, allowed=index == 5) for index in range(12)]
    findings += [finding(index) for index in range(12, 132)]
    return written_page(audit_of(findings), tmp_path_factory.mktemp("report"))


def visible(page: Any) -> list[str]:
    """Return the names of the pairs that can be seen, in their order on the page."""
    names: list[str] = page.locator(".pair:visible h3").all_text_contents()
    return names


def chooser(page: Any, name: str) -> Any:
    return page.get_by_role("combobox", name=name, exact=True)


def choose(page: Any, name: str, option: str) -> None:
    chooser(page, name).select_option(option)


def search(page: Any) -> Any:
    return page.get_by_role("searchbox", name="Name", exact=True)


def numbers(page: Any, label: str) -> list[float]:
    """Return a number of every visible pair, in their order on the page."""
    cells = page.locator(f".pair:visible dl div:has(dt:text-is('{label}')) dd").all_text_contents()
    return [float(cell) for cell in cells]


def test_it_opens_on_the_flagged_pairs_nearest_first(opened: Opened, written: Path) -> None:
    page = opened(written)
    assert page.locator("h1").inner_text() == "11 of 132 pictures copy training data."
    assert visible(page) == [f"{index:05d}.png" for index in range(12) if index != 5]
    assert "11 pictures fit, 11 of them shown as pairs" in page.locator("[role=status]").inner_text()
    loaded = page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert loaded


def test_filters_by_kind_and_breed_and_name_leave_the_right_pairs(opened: Opened, written: Path) -> None:
    page = opened(written)
    choose(page, "Kind", "crop")
    assert visible(page) == ["00002.png", "00006.png", "00010.png"]
    choose(page, "Breed", "Chihuahua")
    assert visible(page) == ["00006.png"]
    assert page.locator(".rows tbody tr").count() == 1
    choose(page, "Kind", "any")
    assert visible(page) == ["00000.png", "00003.png", "00006.png", "00009.png"]
    search(page).fill("0009")
    assert visible(page) == ["00009.png"]
    search(page).fill("no such picture")
    assert visible(page) == []
    assert page.get_by_text("No pair fits this choice.").is_visible()


def test_a_blend_is_one_kind_whatever_it_blends(opened: Opened, written: Path) -> None:
    page = opened(written)
    kinds = page.locator("#kind option").all_inner_texts()
    assert kinds == ["any", "blend", "crop", "exact", "flip"]


def test_accepted_and_all_pictures_can_be_shown(opened: Opened, written: Path) -> None:
    page = opened(written)
    choose(page, "Show", "accepted")
    assert visible(page) == ["00005.png"]
    choose(page, "Show", "all")
    assert len(visible(page)) == 132
    assert "132 pictures fit, 132 of them shown" in page.locator("[role=status]").inner_text()


@pytest.mark.parametrize(
    ("key", "label", "falling"),
    [("distance", "distance", False), ("p-value", "p-value", False), ("similarity", "similarity", True)],
)
def test_sorting_sorts(opened: Opened, written: Path, key: str, label: str, falling: bool) -> None:
    page = opened(written)
    choose(page, "Show", "all")
    choose(page, "Order", key)
    values = numbers(page, label)
    assert len(values) == 132
    assert values == sorted(values, reverse=falling)
    page.get_by_role("button", name="Reverse").click()
    values = numbers(page, label)
    assert values == sorted(values, reverse=not falling)


def test_sorting_by_name_and_by_the_tables_heading(opened: Opened, written: Path) -> None:
    page = opened(written)
    choose(page, "Show", "all")
    heading = page.get_by_role("columnheader", name="Picture", exact=True)
    heading.get_by_role("button").click()
    assert visible(page) == sorted(visible(page))
    assert heading.get_attribute("aria-sort") == "ascending"
    assert chooser(page, "Order").input_value() == "name"
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert page.locator(".rows tbody tr a, .rows tbody tr span").first.inner_text() == "00131.png"


def test_the_table_is_drawn_piece_by_piece_to_its_end(opened: Opened, written: Path) -> None:
    page = opened(written)
    choose(page, "Show", "all")
    rows = page.locator(".rows tbody tr")
    assert rows.count() < 132
    for _ in range(10):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.wait_for_timeout(100)
    assert rows.count() == 132
    assert page.get_by_role("button", name="Show more").count() == 0


def test_a_row_leads_to_its_pair(opened: Opened, written: Path) -> None:
    page = opened(written)
    page.locator(".rows").get_by_role("link", name="00010.png").click()
    assert page.locator("#pair-10").evaluate("pair => pair === document.activeElement")


def focused(page: Any) -> str:
    name: str = page.evaluate("document.activeElement.id")
    return name


def test_keys_go_through_the_pairs(opened: Opened, written: Path) -> None:
    page = opened(written)
    for key, pair in (("j", 0), ("j", 1), ("ArrowRight", 2), ("k", 1), ("ArrowLeft", 0), ("k", 0)):
        page.keyboard.press(key)
        assert focused(page) == f"pair-{pair}"
    search(page).focus()
    page.keyboard.press("j")
    assert search(page).input_value() == "j"


def test_the_tab_key_reaches_every_control_then_one_pair_and_shows_where_it_is(
    opened: Opened, written: Path
) -> None:
    page = opened(written)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the pairs"
    page.locator("#show").focus()
    for name in ("kind", "breed", "sort", "reverse", "text", "pair-0"):
        page.keyboard.press("Tab")
        assert focused(page) == name
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Tab")
    assert "pair" not in focused(page)


def test_every_control_and_picture_has_a_name(opened: Opened, written: Path) -> None:
    page = opened(written)
    nameless = page.evaluate(
        """[...document.querySelectorAll('input, select, button')]
            .filter(e => !e.labels?.length && !e.textContent.trim()).map(e => e.outerHTML)"""
    )
    assert nameless == []
    assert page.locator("img:not([alt]), svg:not([aria-label])").count() == 0


def test_hostile_names_stay_text(opened: Opened, tmp_path: Path) -> None:
    findings = [
        dataclasses.replace(
            copy(index), name=name, nearest=name, kind=f"blend of {name} and {name}", class_name=name
        )
        for index, name in enumerate(HOSTILE)
    ]
    page = opened(written_page(audit_of(findings), tmp_path))
    assert visible(page) == list(HOSTILE)
    assert page.locator(".rows tbody a.file").all_inner_texts() == list(HOSTILE)
    assert page.title() == "5 of 5 pictures copy training data"
    search(page).fill("</SCRIPT>")
    assert visible(page) == [HOSTILE[1]]
    search(page).fill("")
    choose(page, "Breed", HOSTILE[0])
    assert visible(page) == [HOSTILE[0]]


def test_the_policy_stops_script_that_does_get_in(browser: Any, tmp_path: Path, written: Path) -> None:
    planted = tmp_path / "planted.html"
    text = written.read_text(encoding="utf-8")
    planted.write_text(text.replace("<main>", "<main><script>document.title='broken'</script>"), "utf-8")
    page = browser.new_page()
    page.goto(planted.as_uri())
    assert page.title() == "11 of 132 pictures copy training data"
    page.close()


def test_no_screen_scrolls_sideways(opened: Opened, tmp_path: Path) -> None:
    long = "a_name_that_goes_on_and_on_" * 12 + ".png"
    findings = [dataclasses.replace(copy(0), name=long, nearest=long, kind=f"blend of {long} and {long}")]
    findings += [copy(index, class_name=f"{long}-{index}") for index in range(1, 6)]
    audit = dataclasses.replace(audit_of(findings), generated_path=Path(long), warnings=(long,))
    page = opened(written_page(audit, tmp_path))
    for width in (320, 390, 768, 1024, 1920):
        page.set_viewport_size({"width": width, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") == width
        right = page.evaluate(
            """Math.max(...[...document.querySelectorAll('main *, header *')]
                .filter(e => !e.closest('thead')).map(e => e.getBoundingClientRect().right))"""
        )
        assert right <= width


def luminance(colour: str) -> float:
    channels = [int(part) / 255 for part in colour.removeprefix("rgb(").rstrip(")").split(",")[:3]]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_the_light_and_in_the_dark(opened: Opened, written: Path, scheme: str) -> None:
    page = opened(written, color_scheme=scheme)
    paper = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (paper < 0.05) == (scheme == "dark")
    for place in ("h1", ".aside", ".pair .verdict b", ".source", "thead th", ".hint"):
        ink = luminance(page.locator(place).first.evaluate("element => getComputedStyle(element).color"))
        contrast = (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05)
        assert contrast >= 4.5, place


def test_paper_gets_all_flagged_pairs_and_no_controls(opened: Opened, written: Path) -> None:
    page = opened(written, color_scheme="dark")
    choose(page, "Kind", "crop")
    page.emulate_media(media="print")
    assert len(visible(page)) == 11
    assert page.locator(".controls, #every, nav").evaluate_all(
        "all => all.every(element => getComputedStyle(element).display === 'none')"
    )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_javascript_the_pairs_are_there(opened: Opened, written: Path) -> None:
    page = opened(written, java_script_enabled=False)
    assert page.locator(".pair").count() == 132
    assert page.locator(".pair").first.is_visible()
    assert not page.locator(".controls").is_visible()
    assert page.locator("noscript p").is_visible()


def test_pixels_are_enlarged_as_squares(opened: Opened, written: Path) -> None:
    page = opened(written)
    image = page.locator(".pair img").first
    image.scroll_into_view_if_needed()
    assert image.evaluate("image => getComputedStyle(image).imageRendering") == "pixelated"
    assert image.evaluate("image => image.clientWidth / image.naturalWidth") > 1.5


def test_a_clean_audit_opens_on_the_nearest(opened: Opened, tmp_path: Path) -> None:
    audit = audit_of([finding(index) for index in range(20)])
    page = opened(written_page(audit, tmp_path))
    assert page.locator("h1").inner_text() == "None of 20 pictures is found to copy training data."
    assert chooser(page, "Show").input_value() == "all"
    assert len(visible(page)) == 20
    page.emulate_media(media="print")
    assert len(visible(page)) == 20


def noisy_pair(index: int) -> Pair:
    """Return pictures that no encoder makes small."""
    return Pair(*np.random.default_rng(index).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8))


def test_ten_thousand_flagged_pictures_open_fast_and_take_less_than_30_mb(
    opened: Opened, tmp_path: Path
) -> None:
    audit = audit_of([copy(index) for index in range(10_000)])
    write_report(audit, tmp_path, pair_of=lambda finding: noisy_pair(finding.index))
    began = time.monotonic()
    page = opened(tmp_path / "report.html")
    opening_s = time.monotonic() - began
    began = time.monotonic()
    choose(page, "Order", "name")
    search(page).fill("99.png")
    assert page.locator(".rows tbody tr").count() == 100
    choosing_s = time.monotonic() - began
    size = (tmp_path / "report.html").stat().st_size
    print(f"{size / 1e6:.1f} MB, opened in {opening_s:.2f} s, chosen in {choosing_s:.2f} s")
    assert size < 30_000_000
    assert opening_s < 10  # one or two where nothing else runs
    assert choosing_s < 5
