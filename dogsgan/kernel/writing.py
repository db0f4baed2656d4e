"""The text of a kernel's script or notebook: a head that a person may edit, a main, the packed package."""

import ast
import inspect
import json
import textwrap
from typing import Any

import dogsgan.config
from dogsgan import __version__
from dogsgan.config import Recipe

LINE = 108

_IMPORTS = """\
import atexit
import base64
import hashlib
import lzma
import shutil
import sys
import tempfile
import time
from pathlib import Path

STARTED = time.monotonic()  # the budget counts from here
"""

_OPEN_PACKAGE = '''\
def open_package():
    """Write the packed package to a temporary zip, once its hash is verified, and import from there."""
    packed = base64.b85decode("".join(PACKAGE.split()))
    if hashlib.sha256(packed).hexdigest() != PACKAGE_SHA256:
        sys.exit("error: the package in this file was changed or cut short: build the kernel anew")
    for folder in (None, "/dev/shm", "."):  # the first that has room
        try:
            package = Path(tempfile.mkdtemp(prefix="dogsgan-package-", dir=folder), "dogsgan.zip")
            package.write_bytes(lzma.decompress(packed))
            break
        except OSError as error:
            problem = error
    else:
        sys.exit(f"error: no room for the package anywhere: {problem}")
    atexit.register(shutil.rmtree, package.parent, ignore_errors=True)
    sys.path.insert(0, str(package))
    return package
'''

_MAIN = '''\
def main():
    """Do everything; exit with 0 when images.zip is there and valid."""
    package = open_package()
    from dogsgan.kernel.main import open_kernel

    status = open_kernel(globals(), package=package, started=STARTED).work()
    if status:
        sys.exit(status)
'''

_OPEN_KERNEL = """\
package = open_package()
from dogsgan.errors import DogsganError
from dogsgan.kernel.main import open_kernel

kernel = open_kernel(globals(), package=package, started=STARTED)"""

_CROP = """\
try:
    kernel.find()
    kernel.crop()
except DogsganError as error:
    sys.exit(f"error: {error}")
kernel.show("crops")"""


def script(title: str, values: dict[str, Any], *, package: str, sha256: str) -> str:
    """Return the code file as a Python script."""
    parts = [
        f'"""{title}\n\n{_explanation(values)}\n"""\n',
        _IMPORTS,
        head(values),
        f"\n{_OPEN_PACKAGE}\n\n{_MAIN}\n",
        _packed(package, sha256),
        "main()\n",
    ]
    return "\n".join(parts)


def notebook(title: str, values: dict[str, Any], *, package: str, sha256: str) -> str:
    """Return the code file as a notebook, whose cells show crops, training grids, losses and samples."""
    cells: list[dict[str, Any]] = []
    for kind, text in (
        ("markdown", f"# {title}\n\n{_explanation(values)}"),
        ("code", f"{_IMPORTS}\n{head(values)}"),
        ("markdown", "The package, packed; its hash is verified before it is used."),
        ("code", f"{_OPEN_PACKAGE}\n\n{_packed(package, sha256)}\n{_OPEN_KERNEL}"),
        ("markdown", "## Crops"),
        ("code", _CROP),
        ("markdown", "## Training\n\nGrids of the averaged generator over time, and the losses."),
        ("code", 'kernel.train()\nkernel.show("training")'),
        ("markdown", "## Samples\n\nThe first pictures of `images.zip`."),
        ("code", 'kernel.sample()\nkernel.show("samples")'),
        ("markdown", "## What happened"),
        ("code", "status = kernel.finish()\nif status:\n    sys.exit(status)"),
    ):
        cells.append({"cell_type": kind, "id": f"cell-{len(cells):02}", "metadata": {}, "source": text})
        if kind == "code":
            cells[-1] |= {"execution_count": None, "outputs": []}
    kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python"}}
    document = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def code_of_notebook(text: str) -> str:
    """Return the code cells of a notebook as one script."""
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


def head(values: dict[str, Any]) -> str:
    """Return the values as Python that a person can read and edit, each with what it means."""
    lines = ["# What to do. Everything down to the functions may be edited here."]
    for name, (value, meaning) in values.items():
        if isinstance(value, Recipe):
            lines += ["", *_comment(meaning), f"{name} = {_recipe_literal(value)}"]
        else:
            lines += [f"{name} = {_literal(value)}  # {meaning}"]
    return "\n".join(lines) + "\n"


def _explanation(values: dict[str, Any]) -> str:
    recipe, count, earlier = (values[name][0] for name in ("RECIPE", "COUNT", "CONTINUE_FROM"))
    goes_on = f"Goes on with the run that {earlier} left, by its recipe; without that: " if earlier else ""
    paragraphs = (
        f"{goes_on}Trains the recipe {recipe.name} on the pictures of the competition Generative Dog Images "
        f"and writes {count:,} generated ones into images.zip, within the budget below. Built by dogsgan "
        f"{__version__}. Whatever stops the training, the last good generator is sampled; the last lines of "
        "the log say what happened.",
        "The values that follow may be edited. The package is packed behind them and its hash is verified at "
        "the start; it needs nothing but what Kaggle's Python image holds, and no internet.",
    )
    return "\n\n".join(textwrap.fill(paragraph, LINE) for paragraph in paragraphs)


def _packed(package: str, sha256: str) -> str:
    return f'PACKAGE_SHA256 = "{sha256}"\nPACKAGE = """\n{package}\n"""\n'


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, LINE, initial_indent="# ", subsequent_indent="# ")


def _recipe_literal(recipe: Recipe) -> str:
    meanings = field_meanings()
    lines = ["{", f'    "name": {_literal(recipe.name)},']
    for section, fields in recipe.to_json().items():
        if not isinstance(fields, dict):
            continue
        lines.append(f'    "{section}": {{')
        for name, value in fields.items():
            line = f'        "{name}": {_literal(value)},'
            meaning = meanings.get((section, name), "")
            if len(line) + len(meaning) + 4 <= LINE:
                line += f"  # {meaning}" if meaning else ""
            else:
                lines += [f"        {comment}" for comment in _comment(meaning)]
            lines.append(line)
        lines.append("    },")
    return "\n".join([*lines, "}"])


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def field_meanings() -> dict[tuple[str, str], str]:
    """Return what each (section, field) of a recipe means: the docstrings below the fields of `config`."""
    meanings = {}
    for node in ast.parse(inspect.getsource(dogsgan.config)).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Recipe"):
            for item, after in zip(node.body, node.body[1:], strict=False):
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name):
                    text = ast.get_docstring(ast.Module([after], []))
                    key = (node.name.removesuffix("Recipe").lower(), item.target.id)
                    meanings[key] = " ".join((text or "").split())
    return meanings
