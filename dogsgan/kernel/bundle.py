"""The package packed as text, so that a kernel is one code file."""

import base64
import hashlib
import io
import lzma
import zipfile
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent
LINE = 108
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same bytes on any day


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
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3  # Unix, whatever this runs on: the same bytes everywhere
            archive.writestr(entry, source.encode())
    packed = lzma.compress(buffer.getvalue(), preset=9)
    text = base64.b85encode(packed).decode()
    lines = [text[start : start + LINE] for start in range(0, len(text), LINE)]
    return "\n".join(lines), hashlib.sha256(packed).hexdigest()
