"""The order of the packages: what each may import, at the top of a module or within a function."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import dogsgan

PACKAGE = Path(dogsgan.__file__).parent
ORDER = (
    *("__init__", "errors", "competition", "number_text", "tensors", "cores", "console", "crops"),
    *("progress", "device", "cache", "config", "blockwise", "files", "spreadsheet"),
    *("web_page", "data", "models", "presets", "submission", "training"),
    *("pictures", "metrics", "features", "recognition", "score", "per_class"),
    *("floor", "scoring", "audit"),
    *("stages", "reports", "choosing", "supervise", "pipeline", "demo", "kernel"),
    *("studies", "commands", "cli", "__main__"),
)
"""Modules and packages at the top of `dogsgan`, lowest first: each imports only what stands before it."""
SEEING = {
    "pictures",
    "metrics",
    "features",
    "recognition",
    "score",
    "per_class",
    "floor",
    "reports",
    "audit",
}


def modules() -> dict[str, Path]:
    """Return every module of the package by its dotted name."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts).removesuffix(".__init__")] = path
    return found


MODULES = modules()


@cache
def imported(name: str) -> frozenset[str]:
    """Return the modules of the package that a module imports anywhere in it.

    Of the package itself these are none: what its functions need is imported when they are called.
    """
    if name == "dogsgan":
        return frozenset()
    named = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            named |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            from_it = (f"{node.module}.{alias.name}" for alias in node.names)
            named |= {each if each in MODULES else node.module for each in from_it}
    return frozenset(named & MODULES.keys()) - {name}


def top(name: str) -> str:
    """Return the name at the top of the package by which the order knows a module."""
    return name.split(".")[1] if "." in name else "__init__"


def reached(name: str) -> set[str]:
    found, waiting = set(), [name]
    while waiting:
        current = waiting.pop()
        if current not in found:
            found.add(current)
            waiting += imported(current)
    return found


def test_every_module_has_its_place_in_the_order():
    assert {top(name) for name in MODULES} == set(ORDER)


def test_nothing_imports_upwards():
    place = {name: index for index, name in enumerate(ORDER)}
    upwards = [
        f"{name} imports {other}"
        for name in MODULES
        for other in imported(name)
        if place[top(other)] > place[top(name)]
    ]
    assert upwards == []


def test_no_modules_import_each_other():
    circles = [
        f"{name} and {other}"
        for name in MODULES
        for other in imported(name)
        if not name.startswith(f"{other}.") and not other.startswith(f"{name}.") and name in reached(other)
    ]
    assert circles == []


def test_the_package_itself_imports_no_module_of_it():
    statements = ast.parse(MODULES["dogsgan"].read_text(encoding="utf-8")).body
    at_once = [statement for statement in statements if isinstance(statement, (ast.Import, ast.ImportFrom))]
    assert not [statement for statement in at_once if "dogsgan" in ast.unparse(statement)]


@pytest.mark.parametrize("name", ["dogsgan.kernel.main", "dogsgan.supervise.worker", "dogsgan.stages"])
def test_generating_needs_nothing_that_sees(name):
    assert not {top(other) for other in reached(name)} & (SEEING | {"studies"})


@pytest.mark.parametrize("name", ["pipeline", "kernel.main", "commands.run"])
def test_who_supervises_training_has_no_torch(name):
    """It would take some hundred megabytes beside the children that train and sample."""
    code = f"import sys, dogsgan.{name}\nsys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
