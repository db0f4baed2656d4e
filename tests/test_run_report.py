"""A run as a page and as a model card: what they show, of untrusted names, of half a run."""

import base64
import dataclasses
import io
import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest
import yaml
from PIL import Image
from tiny import RECIPE, crop_set

from dogsgan.cli import main
from dogsgan.data.cropset import CropSet
from dogsgan.data.sources import open_source
from dogsgan.models.sampling import Sampler
from dogsgan.reports.page import _breeds, write_page
from dogsgan.stages import generate, train_within
from dogsgan.training.deadline import Deadline
from dogsgan.training.record import RunRecord, render_card, write_card

Opened: TypeAlias = Callable[..., Any]
HOSTILE = "<script>alert(1)</script>"
STAGES = {
    "untrained": False,
    "prepare": {"crops": 30, "policy": "square", "images": 28, "breeds": 3},
    "check": {"count": 6, "ok": True},
    "score": {
        "network": "stand-in",
        "description": f"a network {HOSTILE}",
        "fid": 12.345678,
        "distance": 0.25,
        "generated": 6,
        "note": "NOT the competition's score",
        "metrics": {
            "fid": {"title": "Fréchet distance", "value": 12.345678, "std": None, "meaning": "How far."}
        },
        "recognition": {
            "classes": "dogs",
            "in_classes": 0.75,
            "first": 0.5,
            "real": {"in_classes": 0.98, "first": 0.9},
        },
        "warnings": ["too few"],
    },
    "audit": {
        "verdict": "2 of 6 pictures copy training data",
        "kinds": {"flip": 2},
        "statistics": {"recall": {"title": "Recall", "value": 0.5, "meaning": "Half."}},
        "distance": 0.25,
        "note": "not Kaggle's",
    },
    "notes": [f"a remark {HOSTILE}"],
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run, as `dogsgan run` leaves it, with a made-up report."""
    out = tmp_path_factory.mktemp("report") / "out"
    crops = crop_set(out / "crops")
    train_within(RECIPE, crops, out / "run", images=32, deadline=Deadline(None), device="cpu")
    generate(out / "run", out / "images.zip", count=6, labels=out / "labels.csv", device="cpu")
    (out / "report.json").write_text(json.dumps(STAGES))
    return out


class Page(HTMLParser):
    """The texts and pictures of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.captions: list[str] = []
        self._open = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._open = tag
        self.sources += [str(value) for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        if self._open == "figcaption" and data.strip():
            self.captions.append(data.strip())


def test_the_page_shows_every_part_and_asks_nobody_for_anything(out: Path) -> None:
    assert main(["report", str(out)]) == 0
    html = (out / "run.html").read_text(encoding="utf-8")
    page = Page(html)
    for said in ("12.35", "75.0%", "2 of 6 pictures copy training data", "flip", "too few", "model.z_dim"):
        assert said in html, said
    for caption in ("32 images seen", "training pictures, in the same places", "class 0", "class 2"):
        assert caption in page.captions
    assert all(source.startswith(("data:image/jpeg;base64,", "#")) for source in page.sources)
    assert "script" not in page.tags
    assert "default-src 'none'" in unescape(html)


def test_a_run_folder_alone_has_a_page_without_the_rest(out: Path, tmp_path: Path) -> None:
    alone = tmp_path / "run"
    alone.mkdir()
    for name in ("recipe.json", "log.jsonl"):
        (alone / name).write_bytes((out / "run" / name).read_bytes())
    (alone / "losses.png").write_bytes(b"not a picture")
    page = write_page(RunRecord.open(alone), tmp_path / "page.html")
    html = page.read_text(encoding="utf-8")
    assert "32 images" in html
    assert 'id="score"' not in html
    assert 'id="audit"' not in html


def test_a_page_replaces_a_page_and_nothing_else(
    out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(["report", str(out), "--out", str(tmp_path / "page.html")]) == 0
    (tmp_path / "images.zip").write_bytes(b"PK")
    assert main(["report", str(out), "--out", str(tmp_path / "images.zip")]) == 2
    assert "images.zip is there already and is no page" in capsys.readouterr().err
    assert (tmp_path / "images.zip").read_bytes() == b"PK"


def test_an_untrained_run_is_called_that(out: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.json").write_bytes((out / "run/recipe.json").read_bytes())
    (tmp_path / "report.json").write_text(json.dumps({"untrained": True}))
    html = write_page(RunRecord.open(tmp_path)).read_text(encoding="utf-8")
    assert "its pictures are noise" in html


@pytest.mark.parametrize("content", [None, "[]", "{", '{"score": {"fid": 1}}', '{"check": {"count": "x"}}'])
def test_what_is_no_run_is_one_line(
    content: str | None, out: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/recipe.json").write_bytes((out / "run/recipe.json").read_bytes())
        (tmp_path / "report.json").write_text(content)
    assert main(["report", str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert "bug" not in said


def test_the_card_says_what_the_report_says(out: Path) -> None:
    crops = CropSet.open(out / "crops")
    write_card(out / "run", crops)
    card = (out / "run/README.md").read_text(encoding="utf-8")
    front = yaml.safe_load(card.split("---")[1])
    assert (front["library_name"], front["generator"]) == ("dogsgan", "generator.safetensors")
    for said in (
        "| Fréchet distance | 12.35 |",
        "75.0% (real crops 98.0%)",
        "2 of 6 pictures",
        crops.fingerprint,
    ):
        assert said in card, said
    assert HOSTILE not in card
    [picture] = re.findall(r"!\[.*\]\((.*)\)", card)
    assert (out / "run" / picture).is_file()


@pytest.mark.parametrize(
    ("kind", "licence"),
    [
        ("competition", "Stanford Dogs: "),
        ("stanford", "Stanford Dogs: "),
        ("celeba", "CelebA: for research that is not commercial"),
        ("mnist", "MNIST is CC BY-SA 3.0"),
        ("classes", "not known to dogsgan"),
        (None, "not known to dogsgan"),
    ],
)
def test_the_card_tells_the_licence_of_the_data(kind: str | None, licence: str, out: Path) -> None:
    crops = dataclasses.replace(CropSet.open(out / "crops"), provenance={"kind": kind})
    card = render_card(RunRecord.open(out), crops)
    [line] = [line for line in card.splitlines() if line.startswith("- Licence: ")]
    assert licence in line


def test_a_card_that_somebody_wrote_stays(out: Path) -> None:
    path = out / "run/README.md"
    before = path.read_text(encoding="utf-8")
    path.write_text("# Mine\n")
    write_card(out / "run", CropSet.open(out / "crops"))
    assert path.read_text() == "# Mine\n"
    path.write_text(before)


def test_a_generator_is_found_by_its_card(out: Path) -> None:
    by_card = Sampler.open(out / "run/README.md", device="cpu").sample(2)
    assert (by_card == Sampler.open(out / "run", device="cpu").sample(2)).all()


def test_a_card_names_no_file_elsewhere(out: Path, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\ngenerator: ../../secret.safetensors\n---\n")
    with pytest.raises(Exception, match=re.escape(str(tmp_path / "secret.safetensors"))):
        Sampler.open(tmp_path / "README.md", device="cpu")


def test_the_breeds_are_the_submission_s_pictures(out: Path) -> None:
    strips = dict(_breeds(RunRecord.open(out)))
    assert list(strips) == ["class 0", "class 1", "class 2"]
    strip = Image.open(io.BytesIO(base64.b64decode(strips["class 1"].partition(",")[2])))
    assert strip.size == (2 * 32, 32)  # six pictures of three classes
    source = open_source(out / "images.zip")
    made = [np.asarray(Image.open(io.BytesIO(source.read(image)))) for image in source.images]
    shown = np.asarray(strip)[:, :32].astype(float)
    differences = [np.abs(shown - picture).mean() for picture in made]
    assert int(np.argmin(differences)) == 1  # JPEG changes it a little


# In a browser.


@pytest.fixture(scope="module")
def page_file(out: Path) -> Path:
    return write_page(RunRecord.open(out))


def test_every_section_is_reached_from_the_top(opened: Opened, page_file: Path) -> None:
    page = opened(page_file)
    links = page.locator("nav a")
    names = links.all_text_contents()
    assert names == ["Over time", "Training", "Score", "Breeds", "Audit", "Recipe"]
    for index, name in enumerate(names):
        links.nth(index).click()
        target = page.locator(f"section:target h2:text-is('{name}')")
        assert target.is_visible(), name
    pictures = page.locator("img")
    assert pictures.count() > 4
    assert page.evaluate("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    assert page.evaluate("[...document.images].every(image => image.alt !== '')")


def test_hostile_text_stays_text(opened: Opened, page_file: Path) -> None:
    page = opened(page_file)
    assert page.get_by_text(HOSTILE).count() == 2
    assert page.locator("script").count() == 0


@pytest.mark.parametrize("width", [320, 768, 1920])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_screen_scrolls_sideways(
    opened: Opened,
    page_file: Path,
    width: int,
    scheme: str,
) -> None:
    page = opened(page_file, width=width, color_scheme=scheme)
    page.locator("summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_long_word_does_not_widen_it(opened: Opened, out: Path, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/recipe.json").write_bytes((out / "run/recipe.json").read_bytes())
    (tmp_path / "report.json").write_text(json.dumps({**STAGES, "notes": ["x" * 3000]}))
    page = opened(write_page(RunRecord.open(tmp_path)), width=320)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
