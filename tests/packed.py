"""The package as a kernel packs it, and the modules of it that a kernel can reach by imports."""

import ast
import base64
import io
import lzma
import zipfile
from collections.abc import Iterator

from dogsgan.kernel.build import package_sources

ENTRY_POINTS = ("dogsgan.kernel.main", "dogsgan.supervise.worker")


def unpack(text: str) -> dict[str, str]:
    """Return the files that `pack` put into a text, by name in the zip."""
    packed = base64.b85decode("".join(text.split()))
    with zipfile.ZipFile(io.BytesIO(lzma.decompress(packed))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def reached_modules() -> dict[str, str]:
    """Return the source of every module that a kernel may import, by dotted name, packages included."""
    sources = {
        name.removesuffix(".py").replace("/", ".").removesuffix(".__init__"): source
        for name, source in package_sources().items()
    }
    found: dict[str, str] = {}
    waiting = list(ENTRY_POINTS)
    while waiting:
        name = waiting.pop()
        if name in found or name not in sources:
            continue
        found[name] = sources[name]
        if name != "dogsgan":  # whose functions are for users, and import when they are called
            waiting += imported_names(found[name])
        waiting += [name.rsplit(".", level)[0] for level in range(1, name.count(".") + 1)]
    return dict(sorted(found.items()))


def imported_names(source: str) -> list[str]:
    """Return every dotted name that a module may import, as `a.b` and `a.b.c` for `from a.b import c`."""
    return [name for node in _running(ast.parse(source)) for name in _names_of(node)]


def _running(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module that run, so none below `if TYPE_CHECKING:`."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for other in node.orelse:
                yield other
                yield from _running(other)
            continue
        yield node
        yield from _running(node)


def _names_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module and not node.level:
        return [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []
