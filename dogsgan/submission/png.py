"""Parser of an untrusted PNG: every chunk and checksum, and its pixels within a limit."""

import struct
import zlib
from dataclasses import dataclass

from dogsgan.data.pictures import PNG_SIGNATURE, decode_picture
from dogsgan.errors import DogsganError

_OTHER_FORMATS = {
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\1\0": "icon",
}
_COLOURS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")  # text and colour profiles may hide bombs of their own


_OPTIONAL = 0x20  # in the first letter of a chunk's kind: a reader that does not know it may pass over it


class DamagedPng(Exception):
    """The bytes are not a sound PNG. The text says how."""


@dataclass(frozen=True)
class Png:
    """What a PNG's header says, the chunks that its pixels need, and how many bytes follow its end."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    chunks: tuple[tuple[bytes, bytes], ...]
    trailing: int

    @property
    def mode(self) -> str:
        """The kind of pixels, in words: `8-bit RGB` is what the competition takes."""
        return f"{self.depth}-bit {_COLOURS[self.colour]}"

    def pixels(self) -> bytes:
        """Return the pixels as RGB, row by row. The caller has made sure that width and height are small.

        Raises:
            DamagedPng: the packed pixels are damaged, too few or too many.
        """
        self._check_packed_pixels()
        try:  # with the reader that scores, audits and crops use: what it refuses is not ok here
            image = decode_picture(self._minimal(), "")
        except DogsganError as error:
            raise DamagedPng("its pixels cannot be decoded") from error
        if image.size != (self.width, self.height):
            raise DamagedPng("it says two sizes")
        return image.tobytes()

    def _check_packed_pixels(self) -> None:
        row = 1 + (self.width * self.depth * _SAMPLES[self.colour] + 7) // 8
        most = row * self.height
        if self.interlaced:
            most = 2 * most + 64  # seven passes have more, shorter rows; the decoder counts those
        packed = b"".join(data for kind, data in self.chunks if kind == b"IDAT")
        inflater = zlib.decompressobj()
        try:
            rows = inflater.decompress(packed, most + 1)
        except zlib.error as error:
            raise DamagedPng("its packed pixels are damaged") from error
        if len(rows) > most or (len(rows) < most and not self.interlaced):
            raise DamagedPng("it holds more or fewer pixels than it says")
        if not inflater.eof or inflater.unused_data:
            raise DamagedPng("its packed pixels do not end where they should")

    def _minimal(self) -> bytes:
        return PNG_SIGNATURE + b"".join(_chunk(kind, data) for kind, data in self.chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def picture_format(contents: bytes) -> str | None:
    """Return the picture format that the first bytes belong to, or None if it is none of the known ones."""
    if contents.startswith(PNG_SIGNATURE):
        return "PNG"
    if contents.startswith(b"RIFF") and contents[8:12] == b"WEBP":
        return "WebP"
    return next((name for magic, name in _OTHER_FORMATS.items() if contents.startswith(magic)), None)


def parse_png(contents: bytes) -> Png:
    """Walk through all chunks of a PNG, without unpacking anything.

    Raises:
        DamagedPng: it is cut short, a checksum is wrong, or the header makes no sense.
    """
    kept = []
    view = memoryview(contents)
    position = len(PNG_SIGNATURE)
    while True:
        if position + 12 > len(view):
            raise DamagedPng("it is cut short")
        length = int.from_bytes(view[position : position + 4])
        end = position + 12 + length
        if end > len(view):
            raise DamagedPng("it is cut short")
        kind = bytes(view[position + 4 : position + 8])
        if zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            raise DamagedPng("a checksum is wrong")
        if kind not in _KEPT and not kind[0] & _OPTIONAL:
            raise DamagedPng(f"it has a part of unknown kind {kind!r} without which it cannot be read")
        if kind in _KEPT:
            kept.append((kind, bytes(view[position + 8 : end - 4])))
        position = end
        if kind == b"IEND":
            break
    return Png(*_header(kept[0]), tuple(kept), trailing=len(view) - position)


def _header(first: tuple[bytes, bytes]) -> tuple[int, int, int, int, bool]:
    kind, data = first
    if kind != b"IHDR" or len(data) != 13:
        raise DamagedPng("its header is missing")
    width, height, depth, colour, packing, filtering, interlace = struct.unpack(">IIBBBBB", data)
    sensible = width and height and depth in (1, 2, 4, 8, 16) and colour in _COLOURS
    if not sensible or packing or filtering or interlace > 1:
        raise DamagedPng("its header makes no sense")
    return width, height, depth, colour, bool(interlace)
