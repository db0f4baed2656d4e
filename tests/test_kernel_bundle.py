"""What a kernel packs, the same bytes every time; what it reaches of that, Kaggle's image can import."""

import ast
import base64
import importlib
import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from kaggle_image import IMAGE, OPTIONAL, foreign_modules, guard_code
from packed import imported_names, reached_modules, unpack

from dogsgan.kernel.build import pack, package_sources

IMPORTED_AS = {"pillow": "PIL"}
ALLOWED = (
    {IMPORTED_AS.get(name, name) for name in (*IMAGE, *OPTIONAL)} | {"dogsgan"} | set(sys.stdlib_module_names)
)
NOT_OF_TENSORS = {"name", "index"}  # names here that new tensors happen to have: of files, of devices
RECORD = json.loads(Path(__file__).with_name("torch_2_6_names.json").read_text())


@pytest.fixture(scope="module")
def modules():
    return reached_modules()


def foreign_imports(source):
    return {name.split(".")[0] for name in imported_names(source)} - ALLOWED


def test_no_reached_module_imports_what_kaggle_s_image_may_lack(modules):
    assert {name: found for name, source in modules.items() if (found := foreign_imports(source))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import requests",
        "from pandas import DataFrame",
        "def f():\n    import psutil.x",
        "import dogsgan, cv2",
    ],
)
def test_an_import_outside_that_list_is_noticed(line):
    assert foreign_imports(line)


def test_a_kernel_reaches_nothing_that_sees(modules):
    packages = {name.split(".")[1] for name in modules if "." in name}
    assert {"data", "models", "training", "submission", "kernel"} <= packages
    assert "dogsgan.models.sampling" in modules
    assert not packages & {"pictures", "features", "metrics", "score", "audit", "studies", "cli", "pipeline"}
    assert not {name for name in modules if name.startswith("dogsgan.kernel.kaggle")}


def test_type_checking_imports_are_not_followed():
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cv2\nelse:\n    import json\n"
    assert set(imported_names(source)) == {"typing", "typing.TYPE_CHECKING", "json"}


def test_packing_twice_gives_the_same_text_and_unpacking_the_sources():
    sources = package_sources()
    text, sha256 = pack(sources)
    assert (text, sha256) == pack(package_sources())
    assert unpack(text) == sources
    assert "dogsgan/kernel/main.py" in unpack(text)


def unpacked(folder: Path) -> Path:
    text, _ = pack(package_sources())
    package = folder / "dogsgan.zip"
    package.write_bytes(lzma.decompress(base64.b85decode("".join(text.split()))))
    return package


def test_every_reached_module_can_be_imported_with_all_other_packages_hidden(modules, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(guard_code(without=OPTIONAL))
    package = unpacked(tmp_path)
    code = (
        "import importlib, sys\n"
        f"for name in {sorted(modules)!r}: importlib.import_module(name)\n"
        "import dogsgan, dogsgan.data.layouts.annotated as annotations\n"
        "assert annotations._defused_fromstring is None\n"
        "print(dogsgan.__file__)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert str(package) in done.stdout


@pytest.mark.parametrize("name", ["dogsgan", "hypothesis", "defusedxml"])
def test_the_guard_hides_the_installed_package_and_what_the_image_lacks(name, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(guard_code(without=OPTIONAL))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert f"No module named '{name}'" in done.stderr


def test_what_the_image_needs_itself_is_not_hidden():
    hidden = set(foreign_modules())
    assert "pytest" in hidden
    assert not hidden & {
        "torch",
        "torchgen",
        "PIL",
        "sympy",
        "networkx",
        "jinja2",
        "huggingface_hub",
        "functorch",
    }


# Torch 2.6: names in the sources are looked up in a record of that version's.


def torch_names(source: str) -> set[str]:
    """Return the dotted names of torch that a module uses, through whatever alias, and what it imports."""
    tree = ast.parse(source)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.name.split(".")[0] == "torch":
                    aliases[alias.asname or "torch"] = alias.name if alias.asname else "torch"
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "torch":
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    found = set(aliases.values()) - {"torch"}
    for node in ast.walk(tree):
        dotted = dotted_name(node)
        if dotted and dotted.split(".")[0] in aliases:
            first, _, rest = dotted.partition(".")
            found.add(f"{aliases[first]}.{rest}" if rest else aliases[first])
    return found - {"torch"}


def dotted_name(node: ast.AST) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        below = dotted_name(node.value)
        return below and f"{below}.{node.attr}"
    return None


def missing_in_record(name: str) -> str | None:
    """Return the part of a dotted name that the record lacks; a class's members are not looked at."""
    parts = name.split(".")
    for position in range(1, len(parts)):
        module = ".".join(parts[:position])
        if module not in RECORD:
            return None if position > 1 else module
        if parts[position] not in RECORD[module]:
            return ".".join(parts[: position + 1])
    return None


def newer_tensor_methods(source: str) -> set[str]:
    """Return attributes that a tensor has today and did not have then."""
    today = {name for name in dir(torch.Tensor) if not name.startswith("_")}
    used = {node.attr for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)}
    return (used & today) - set(RECORD["torch.Tensor"]) - set(RECORD["torch"]) - NOT_OF_TENSORS


def test_no_reached_module_uses_a_name_that_torch_2_6_lacks(modules):
    names = {name for source in modules.values() for name in torch_names(source)}
    assert len(names) > 60  # it does look
    assert sorted(filter(None, map(missing_in_record, names))) == []
    assert {name: found for name, source in modules.items() if (found := newer_tensor_methods(source))} == {}


@pytest.mark.parametrize(
    "source",
    [
        "import torch\ntorch.not_yet(1)",
        "from torch import nn\nnn.NotYet()",
        "from torch.nn import functional as F\nF.not_yet(1)",
        "from torch.optim import NotYet",
        "import torch\ntorch.backends.cudnn.not_yet = 1",
    ],
)
def test_a_newer_name_is_noticed(source):
    assert any(map(missing_in_record, torch_names(source)))


def test_the_record_is_of_2_6():
    """`torch.accelerator` came with 2.6, `torch.nn.functional.grouped_mm` and others after it."""
    assert "accelerator" in RECORD["torch"]
    newer = set(dir(importlib.import_module("torch.nn.functional"))) - set(RECORD["torch.nn.functional"])
    if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 10):
        assert {name for name in newer if not name.startswith("_")}
