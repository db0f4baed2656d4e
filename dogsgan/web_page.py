"""Self-contained HTML pages: a template, its style and script, and pictures, all in one file.

Values are untrusted: each goes through the template's autoescaping, and a content security policy forbids
whatever the page does not carry itself.
"""

import base64
import hashlib
from collections.abc import Callable, Mapping
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from dogsgan.errors import printable
from dogsgan.number_text import significant

_FILTERS: Mapping[str, Callable[..., Any]] = {
    "number": lambda value: f"{value:,}",
    "significant": lambda value: significant(value, 4),
    "shown": lambda value: printable(str(value)),
}
_JSON = {"separators": (",", ":"), "allow_nan": False, "ensure_ascii": False}


def render_page(
    package: str, name: str, values: Mapping[str, Any], *, filters: Mapping[str, Callable[..., Any]]
) -> str:
    """Return the HTML of `name`.html in the folder `template` of a package.

    The template is given `values`, and `policy`, `style` and `script`: the last two are `name`.css and
    `name`.js, empty where there is no such file. `filters` are those it has beside the ones of all pages.
    """
    folder = files(package) / "template"

    def part(suffix: str) -> str:
        file = folder / f"{name}.{suffix}"
        return file.read_text(encoding="utf-8") if file.is_file() else ""

    style, script = part("css"), part("js")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = _JSON
    environment.filters |= {**_FILTERS, **filters}
    return environment.from_string(part("html")).render(
        values, policy=_policy(style, script), style=Markup(style), script=Markup(script)
    )


def data_url(content: bytes, kind: str) -> str:
    """Return an encoded picture as a URL that holds it; `kind` is its format, as in `image/jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _policy(style: str, script: str) -> str:
    """Return a content security policy that allows this very style and script, pictures in place, no more."""
    return (
        f"default-src 'none'; img-src data:; style-src {_source(style)}; script-src {_source(script)}; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'"
    )


def _source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'" if text else "'none'"
