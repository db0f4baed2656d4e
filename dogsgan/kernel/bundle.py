"""The part of this package that a kernel needs, packed as text: exactly the modules that its own reach.

Nothing is listed by hand. The modules are found by following imports, those inside functions too, from the
kernel's entry points, so a room that a kernel does not use is not in it.
"""

import ast
import base64
import hashlib
import io
import lzma
import zipfile
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
ENTRY_POINTS = ("dogsgan.kernel.main", "dogsgan.supervise.worker", "dogsgan.kernel.showing")
LINE = 108
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes on any day


def packed_modules() -> dict[str, str]:
    """Return the source of every module that a kernel may import, by dotted name, packages included."""
    found: dict[str, str] = {}
    waiting = list(ENTRY_POINTS)
    while waiting:
        name = waiting.pop()
        path = _path_of(name)
        if name in found or path is None:
            continue
        found[name] = path.read_text(encoding="utf-8")
        waiting += imported_names(found[name])
        waiting += [name.rsplit(".", level)[0] for level in range(1, name.count(".") + 1)]
    return dict(sorted(found.items()))


def imported_names(source: str) -> list[str]:
    """Return every dotted name that a module may import, as `a.b` and `a.b.c` for `from a.b import c`."""
    return [name for node in _running(ast.parse(source)) for name in _names_of(node)]


def pack(modules: dict[str, str]) -> tuple[str, str]:
    """Return the modules as lines of base 85 text, and the sha256 of what the text decodes to.

    The same modules give the same text. Decoded and decompressed (LZMA) it is a zip that Python imports from.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, source in modules.items():
            entry = zipfile.ZipInfo(_name_in_zip(name), _EPOCH)
            entry.create_system = 3  # Unix, whatever this runs on: the same bytes everywhere
            archive.writestr(entry, source.encode())
    packed = lzma.compress(buffer.getvalue(), preset=9)
    text = base64.b85encode(packed).decode()
    lines = [text[start : start + LINE] for start in range(0, len(text), LINE)]
    return "\n".join(lines), hashlib.sha256(packed).hexdigest()


def unpack(text: str) -> dict[str, str]:
    """Return the files that `pack` put into a text, by name in the zip: what a test compares."""
    packed = base64.b85decode("".join(text.split()))
    with zipfile.ZipFile(io.BytesIO(lzma.decompress(packed))) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


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


def _path_of(name: str) -> Path | None:
    """Return the file of a module of this package; None for anything else."""
    top, *parts = name.split(".")
    if top != PACKAGE.name:
        return None
    path = PACKAGE.joinpath(*parts)
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _name_in_zip(name: str) -> str:
    path = _path_of(name)
    assert path is not None
    return path.relative_to(PACKAGE.parent).as_posix()
