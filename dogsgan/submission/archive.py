"""Reader of an untrusted zip: in place, within limits, never unpacking it under its own names."""

import io
import itertools
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PureWindowsPath

MiB = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")  # ends with the lengths of the name and of the extra field
_ENCRYPTED, _STRONGLY_ENCRYPTED, _MASKED = 0x1, 0x40, 0x2000
_PATCH, _UTF8_NAME = 0x20, 0x800
_DAMAGE = (  # what `zipfile` raises on bytes that are no sound zip
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    ValueError,  # a negative offset; a name that is not the UTF-8 it claims to be
    EOFError,
    OverflowError,
    NotImplementedError,
    IndexError,
)


class DamagedZip(Exception):
    """The file, or one entry, is not what the zip format says. The text says how."""


class TooLarge(Exception):
    """Reading on would take more than any genuine submission needs. The text says what is too large."""


class _BoundedFile(io.BufferedReader):
    """A file that hands out at most `limit` bytes at once: `zipfile` reads the contents table in one go."""

    def __init__(self, path: Path, *, limit: int) -> None:
        super().__init__(io.FileIO(path))
        self.limit = limit

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self.limit:
            raise TooLarge(f"its table of contents takes {size / MiB:.0f} MiB")
        return super().read(size)


class Archive:
    """The entries of a zip, and their contents one by one. Use it as a context manager.

    `directory_limit` bounds the table of contents, `entry_limit` each entry and `total_limit` all that is
    read, packed or not, in bytes.

    Raises:
        DamagedZip: it is not a zip, or its end is missing.
        TooLarge: its table of contents is over the limit.
    """

    def __init__(self, path: Path, *, directory_limit: int, entry_limit: int, total_limit: int) -> None:
        self.entry_limit = entry_limit
        self.total_limit = total_limit
        self.total = 0
        self._file = _BoundedFile(path, limit=directory_limit)
        try:
            with zipfile.ZipFile(self._file) as directory:
                self.entries = directory.infolist()
        except _DAMAGE as error:
            raise DamagedZip(_why_not_a_zip(self._file)) from error
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def overlapping(self) -> zipfile.ZipInfo | None:
        """Return an entry whose bytes another entry uses too: how a small file claims to hold a huge one."""
        ordered = sorted(self.entries, key=lambda entry: entry.header_offset)
        for entry, following in itertools.pairwise(ordered):
            end = entry.header_offset + _LOCAL_HEADER.size + len(entry.orig_filename) + entry.compress_size
            if end > following.header_offset:
                return following
        return None

    def read(self, entry: zipfile.ZipInfo) -> bytes:
        """Return the contents of one stored or deflated entry, with sizes and checksum verified.

        Sizes are not believed: no more than the limit is ever unpacked.

        Raises:
            DamagedZip: sizes, checksum or packed data are wrong.
            TooLarge: the entry, or all entries so far, are over the limit.
        """
        if max(entry.file_size, entry.compress_size) > self.entry_limit:
            raise TooLarge(f"it says it unpacks to {entry.file_size:,} bytes")
        packed = self._packed(entry)
        contents = packed if entry.compress_type == zipfile.ZIP_STORED else self._inflated(packed)
        self.total += max(len(contents), len(packed))
        if self.total > self.total_limit:
            raise TooLarge(f"everything so far unpacks to more than {self.total_limit // MiB} MiB")
        if len(contents) != entry.file_size:
            raise DamagedZip(f"holds {len(contents):,} bytes but says {entry.file_size:,}")
        if zlib.crc32(contents) != entry.CRC:
            raise DamagedZip("its checksum is wrong")
        return contents

    def _packed(self, entry: zipfile.ZipInfo) -> bytes:
        try:
            self._file.seek(entry.header_offset)
        except (ValueError, OSError) as error:
            raise DamagedZip("it lies outside the file") from error
        header = self._file.read(_LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size or not header.startswith(b"PK\x03\x04"):
            raise DamagedZip("its header is missing")
        *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        utf8 = int.from_bytes(header[6:8], "little") & _UTF8_NAME
        name = self._file.read(name_length).decode("utf-8" if utf8 else "cp437", errors="replace")
        if name != entry.orig_filename:
            raise DamagedZip(f"it is named {name[:80]!r} in one place and otherwise in another")
        self._file.seek(extra_length, io.SEEK_CUR)
        return self._file.read(entry.compress_size)  # fewer if the file ends: the sizes tell

    def _inflated(self, packed: bytes) -> bytes:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            contents = inflater.decompress(packed, self.entry_limit + 1)
        except zlib.error as error:
            raise DamagedZip("its packed data is damaged") from error
        if len(contents) > self.entry_limit:
            raise TooLarge(f"it unpacks to more than {self.entry_limit:,} bytes, whatever it says")
        if not inflater.eof or inflater.unused_data:
            raise DamagedZip("its packed data is damaged")
        return contents


def _why_not_a_zip(file: io.BufferedReader) -> str:
    with file:
        file.seek(0)
        start = file.read(4)
    if not start:
        return "it is empty"
    if start.startswith(b"PK"):
        return "it is a zip that is damaged or cut short"
    return "it is not a zip"


def is_encrypted(entry: zipfile.ZipInfo) -> bool:
    """Return whether the entry needs a password."""
    return bool(entry.flag_bits & (_ENCRYPTED | _STRONGLY_ENCRYPTED | _MASKED))


def is_patch(entry: zipfile.ZipInfo) -> bool:
    """Return whether the entry holds the difference to another file, which `zipfile` does not read."""
    return bool(entry.flag_bits & _PATCH)


def is_link(entry: zipfile.ZipInfo) -> bool:
    """Return whether the entry is a symbolic link instead of a file."""
    return entry.create_system == 3 and stat.S_ISLNK(entry.external_attr >> 16)


def is_unsafe_name(name: str) -> bool:
    r"""Return whether unpacking under this name could write outside the folder, on any system.

    So: `..`, a leading slash, a backslash, a drive letter, a NUL (where some programs cut), or nothing.
    """
    return (
        not name
        or "\\" in name
        or "\0" in name
        or name.startswith("/")
        or ".." in name.split("/")
        or bool(PureWindowsPath(name).drive)
    )
