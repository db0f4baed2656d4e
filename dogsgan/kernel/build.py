"""A recipe ─▶ the folder that is pushed to Kaggle: one code file with everything in it, and its metadata."""

import ast
import base64
import contextlib
import hashlib
import inspect
import io
import json
import lzma
import os
import re
import textwrap
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import dogsgan.config
from dogsgan.competition import COUNT, SLUG
from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, write_json, write_text
from dogsgan.kernel.folder import METADATA_FILE, Settings, resolve
from dogsgan.presets import preset

PACKAGE = Path(dogsgan.__file__).resolve().parent
MAX_BYTES = 1_000_000  # Kaggle refuses a larger code file
PLACEHOLDER_USER = "YOUR-KAGGLE-NAME"
CPU_PRESET = "dogs-best-cpu"
T4_MEMORY_GB = 15.0  # what its 16 leave to a process
ACCELERATOR = "NvidiaTeslaT4"  # what the client calls a pair of T4; a P100 is no longer to be had
_LINE = 108  # characters


@dataclass(frozen=True)
class BuildReport:
    """What was built: the folder, its code file, how large that is, and the kernel's name on Kaggle."""

    folder: Path
    code_file: str
    bytes: int
    modules: int
    id: str
    recipe: str
    cpu_recipe: str
    budget: str
    continue_from: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**vars(self), "folder": str(self.folder)}

    def summary(self) -> str:
        """Return a few lines for people, with what to do next."""
        lines = [
            f"{self.folder / self.code_file}: {self.bytes / 1e3:.0f} kB with {self.modules} modules; trains "
            f"{self.recipe} (on a CPU {self.cpu_recipe}) and ends within {self.budget}",
            f"{self.folder / METADATA_FILE}: {self.id}, two T4, no internet",
        ]
        if self.continue_from:
            lines += [f"it goes on with the run that {self.continue_from} left, by that run's recipe"]
        if self.id.startswith(PLACEHOLDER_USER):
            lines += [f"before it is pushed: build again with --user, or change {PLACEHOLDER_USER} there"]
        return "\n".join([*lines, f"try it here: dogsgan kernel rehearse {self.folder}"])


def build_kernel(
    recipe: Recipe,
    out: Path,
    *,
    cpu_recipe: Recipe | None = None,  # where no GPU works; chosen by size if None
    budget: str = "9h",
    count: int = COUNT,
    seed: int = 0,
    truncation: float = 1.0,
    images: int | None = None,
    as_notebook: bool = False,
    user: str | None = None,  # on Kaggle; from the client's configuration if None
    slug: str | None = None,  # in the kernel's address; the folder's name if None
    datasets: tuple[str, ...] = (),  # OWNER/NAME, attached beside the competition's data
    continue_from: str | Path | None = None,  # the kernel whose run goes on, by its own recipe
    gpu_memory_gb: float = T4_MEMORY_GB,  # what a step of the whole batch has to fit: the other GPU may fail
) -> BuildReport:
    """Write `kernel-metadata.json` and one code file to `out`. The same arguments give the same bytes.

    Raises:
        DogsganError: the recipe cannot be built or sampled or does not fit the GPU, the kernel or Kaggle
            would refuse a value, the file would be too large, or a kernel would continue itself.
    """
    from dogsgan.models import outline_networks  # only here: torch takes seconds
    from dogsgan.training.cost import check_fits

    out = Path(out)
    slug = slug or out.resolve().name.lower()
    if not re.fullmatch(r"[a-z0-9](-?[a-z0-9]){4,49}", slug):
        raise DogsganError(
            f"{slug!r} cannot be a kernel's address: name the folder, or give --slug, with 5 to 50 small "
            "letters, digits and single hyphens"
        )
    identifier, earlier = f"{_user(user)}/{slug}", str(resolve(continue_from)[0]) if continue_from else None
    if earlier == identifier:
        raise DogsganError(
            f"{earlier} cannot go on with itself, because its next version replaces what it left: name the "
            "folder otherwise, or give --slug"
        )
    cpu_recipe = replace(cpu_recipe or _cpu_recipe(recipe), data=recipe.data)
    values: dict[str, tuple[Any, str]] = {
        "BUDGET": (budget, "from the first line to the last; 9h is what Kaggle grants"),
        "COUNT": (count, "pictures in images.zip; the competition takes 10000"),
        "SEED": (seed, "another seed, other pictures of the same generator"),
        "TRUNCATION": (truncation, "below 1: noise beyond twice this is drawn again (1: none)"),
        "IMAGES": (images, "training ends after so many real images; None: when the time is up"),
        "CONTINUE_FROM": (earlier, "OWNER/SLUG, attached: its run goes on, by its own recipe"),
        "RECIPE": (recipe, "What is trained where a GPU works."),
        "CPU_RECIPE": (cpu_recipe, "What is trained where none does. Its data are those of RECIPE."),
    }
    # What would cost the kernel its run there is refused here.
    plain = {name: value for name, (value, _) in values.items()}
    Settings.from_values({**plain, "RECIPE": recipe.to_json(), "CPU_RECIPE": cpu_recipe.to_json()})
    for used in (recipe, cpu_recipe):
        outline_networks(used, class_count=2)
    check_fits(recipe, memory_gb=gpu_memory_gb)
    modules = package_sources()
    package, sha256 = pack(modules)
    packed = f'PACKAGE_SHA256 = "{sha256}"\nPACKAGE = """\n{package}\n"""\n'
    title = slug.replace("-", " ")
    text = _notebook(title, values, packed) if as_notebook else _script(title, values, packed)
    size = len(text.encode())
    if size > MAX_BYTES:
        raise DogsganError(f"the code file would have {size:,} bytes and Kaggle takes {MAX_BYTES:,}")
    code_file, other = f"{slug}.py", f"{slug}.ipynb"
    if as_notebook:
        code_file, other = other, code_file
    metadata = _metadata(identifier, code_file, as_notebook=as_notebook, datasets=datasets, earlier=earlier)
    (out / other).unlink(missing_ok=True)  # one code file, whichever it was before
    write_text(out / code_file, text)
    write_json(out / METADATA_FILE, metadata)
    return BuildReport(
        out, code_file, size, len(modules), identifier, recipe.name, cpu_recipe.name, budget, earlier
    )


def package_sources() -> dict[str, str]:
    """Return the source of every module of the package, by its path from the package's parent."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {path.relative_to(PACKAGE.parent).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def pack(sources: dict[str, str]) -> tuple[str, str]:
    """Return the sources as lines of base 85 text, and the sha256 of what the text decodes to.

    The same sources give the same text. Decoded and decompressed (LZMA) it is a zip that Python imports from.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, source in sources.items():
            entry = zipfile.ZipInfo(name)  # of 1980: the same bytes on any day
            entry.create_system = 3  # Unix, whatever this runs on: the same bytes everywhere
            archive.writestr(entry, source.encode())
    packed = lzma.compress(buffer.getvalue(), preset=9)
    text = base64.b85encode(packed).decode()
    lines = [text[start : start + _LINE] for start in range(0, len(text), _LINE)]
    return "\n".join(lines), hashlib.sha256(packed).hexdigest()


def _cpu_recipe(recipe: Recipe) -> Recipe:
    """Return what a CPU can train in hours: the recipe itself if it is no larger than the preset for that.

    Of another family than that preset there is no smaller one, and its networks are small.
    """
    small, model = preset(CPU_PRESET), recipe.model
    is_small = max(model.generator_width, model.discriminator_width) <= small.model.generator_width
    if is_small or model.architecture != small.model.architecture:
        return recipe
    return replace(small, model=replace(small.model, conditional=model.conditional))


def _metadata(
    identifier: str, code_file: str, *, as_notebook: bool, datasets: tuple[str, ...], earlier: str | None
) -> dict[str, Any]:
    """Return every field that the client sends, set on purpose."""
    for name in datasets:
        if not re.fullmatch(r"[\w-]+/[\w-]+", name):
            raise DogsganError(f"{name!r} names no dataset: write OWNER/NAME as in the address of its page")
    return {
        "id": identifier,
        "title": identifier.split("/")[1].replace("-", " "),  # makes the same address again
        "code_file": code_file,
        "language": "python",
        "kernel_type": "notebook" if as_notebook else "script",
        "is_private": True,
        "enable_gpu": True,
        "enable_tpu": False,
        "enable_internet": False,  # the competition's rule; left out, the client says true
        "machine_shape": ACCELERATOR,
        "docker_image_pinning_type": "original",  # a kernel that worked keeps the image it worked with
        "keywords": [],
        "dataset_sources": list(datasets),
        "competition_sources": [SLUG],
        "kernel_sources": [earlier] if earlier else [],
        "model_sources": [],
    }


def _user(name: str | None) -> str:
    """Return the user to build for: the one given, the client's, or a placeholder. No secret is read."""
    name = name or os.environ.get("KAGGLE_USERNAME") or _configured_user() or PLACEHOLDER_USER
    if not re.fullmatch(r"[\w-]+", name):
        raise DogsganError(f"{name!r} is not a Kaggle user name: write it as in the address of your profile")
    return name


def _configured_user() -> str | None:
    given = os.environ.get("KAGGLE_CONFIG_DIR")
    for folder in [given] if given else ["~/.kaggle", "~/.config/kaggle"]:
        path = Path(os.path.expanduser(folder), "kaggle.json")  # noqa: PTH111 (users without a home)
        with contextlib.suppress(DogsganError, KeyError, TypeError):  # it may not be there, or be anything
            if isinstance(name := read_json(path)["username"], str):
                return name
    return None


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


def _script(title: str, values: dict[str, Any], packed: str) -> str:
    """Return the code file as a Python script."""
    parts = [
        f'"""{title}\n\n{_explanation(values)}\n"""\n',
        _IMPORTS,
        _head(values),
        f"\n{_OPEN_PACKAGE}\n\n{_MAIN}\n",
        packed,
        "main()\n",
    ]
    return "\n".join(parts)


def _notebook(title: str, values: dict[str, Any], packed: str) -> str:
    """Return the code file as a notebook, whose cells show crops, training grids, losses and samples."""
    cells: list[dict[str, Any]] = []
    for kind, text in (
        ("markdown", f"# {title}\n\n{_explanation(values)}"),
        ("code", f"{_IMPORTS}\n{_head(values)}"),
        ("markdown", "The package, packed; its hash is verified before it is used."),
        ("code", f"{_OPEN_PACKAGE}\n\n{packed}\n{_OPEN_KERNEL}"),
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


def _head(values: dict[str, Any]) -> str:
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
        f"{dogsgan.__version__}. Whatever stops the training, the last good generator is sampled; the last "
        "lines of the log say what happened.",
        "The values that follow may be edited. The package is packed behind them and its hash is verified at "
        "the start; it needs nothing but what Kaggle's Python image holds, and no internet.",
    )
    return "\n\n".join(textwrap.fill(paragraph, _LINE) for paragraph in paragraphs)


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _LINE, initial_indent="# ", subsequent_indent="# ")


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
            if len(line) + len(meaning) + 4 <= _LINE:
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
