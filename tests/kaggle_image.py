"""Which modules Kaggle's Python image is counted on to have, and code that hides all others."""

import functools
import importlib.metadata
import re
from pathlib import Path

import dogsgan

IMAGE = ("torch", "torchvision", "timm", "numpy", "scipy", "pillow", "tqdm", "safetensors", "matplotlib")
"""Distributions that a kernel may import."""
OPTIONAL = ("defusedxml",)
"""Those that it uses where they are there."""
_TOOLS = ("pip", "setuptools", "packaging", "wheel")  # in every image, and torch imports some of them


@functools.cache
def foreign_modules(*, without: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the top-level modules installed here that the image is not counted on to have.

    Args:
        without: optional distributions to hide, too.
    """
    wanted = _with_requirements({*IMAGE, *OPTIONAL, *_TOOLS} - set(without))
    distributions = importlib.metadata.packages_distributions()
    foreign = (
        module
        for module, providers in distributions.items()
        if module != "dogsgan" and not wanted & {_normal(provider) for provider in providers}
    )
    return tuple(sorted(foreign))


def guard_code(*, without: tuple[str, ...] = ()) -> str:
    """Return code for `sitecustomize` that hides foreign modules and this package as it is installed."""
    return f"""\
import sys
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder

_FOREIGN = frozenset({foreign_modules(without=without)!r})
_OUTSIDE = {str(Path(dogsgan.__file__).resolve().parent)!r}


class _Image:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.partition(".")[0] in _FOREIGN:
            return None
        spec = PathFinder.find_spec(name, path, target)
        outside = name == "dogsgan" and spec is not None and str(spec.origin).startswith(_OUTSIDE)
        return None if outside else spec

    find_distributions = staticmethod(PathFinder.find_distributions)


sys.meta_path[:] = [BuiltinImporter, FrozenImporter, _Image]
"""


def _with_requirements(names: set[str]) -> set[str]:
    found: set[str] = set()
    waiting = [_normal(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        try:
            requirements = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        waiting += [_normal(_project(text)) for text in requirements if "extra ==" not in text]
    return found


def _project(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    return match.group() if match else ""


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
