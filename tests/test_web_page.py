"""Self-contained pages: what a page's policy allows, and strangers' texts in it."""

import base64
import hashlib
import html
import re
import sys
from pathlib import Path

import pytest

from dogsgan.web_page import data_url, render_page


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the templates' folder of a package that can be imported."""
    templates = tmp_path / "a_package_with_a_page" / "template"
    templates.mkdir(parents=True)
    (templates.parent / "__init__.py").touch()
    (templates / "page.html").write_text(
        '<meta content="{{ policy }}"><style>{{ style }}</style><script>{{ script }}</script>'
        "<p>{{ text }}</p><p>{{ text|shown }}</p><p>{{ 12345|number }} {{ 0.123456|significant }}</p>"
    )
    (templates / "page.css").write_text("p > b { color: red }")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "a_package_with_a_page", raising=False)
    return templates


def rendered(text: str) -> tuple[str, dict[str, str]]:
    """Return a page and its policy: what each directive allows."""
    page = render_page("a_package_with_a_page", "page", {"text": text}, filters={})
    found = re.search('content="([^"]+)"', page)
    assert found
    return page, dict(re.findall(r"([\w-]+) ([^;]+)", html.unescape(found[1])))


def hash_of(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_a_page_allows_its_own_style_and_script_and_nothing_else(package: Path) -> None:
    expected = {
        "default-src": "'none'",
        "img-src": "data:",
        "style-src": hash_of("p > b { color: red }"),
        "script-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
    }
    page, policy = rendered("")
    assert policy == expected
    assert "<style>p > b { color: red }</style>" in page
    (package / "page.js").write_text("1 < 2")
    page, policy = rendered("")
    assert policy == expected | {"script-src": hash_of("1 < 2")}
    assert "<script>1 < 2</script>" in page


@pytest.mark.usefixtures("package")
def test_a_strangers_text_stays_text() -> None:
    page, _ = rendered("<b>\x1b{{ 7 * 7 }}")
    assert "<p>&lt;b&gt;\\x1b{{ 7 * 7 }}</p>" in page
    assert "<b>" not in page
    assert "<p>12,345 0.1235</p>" in page


def test_a_data_url_holds_the_picture() -> None:
    assert data_url(b"\x89PNG", "png") == "data:image/png;base64,iVBORw=="
