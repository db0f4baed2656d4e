"""One format, one opinion: what `check` calls ok every other part reads, and what one refuses check names."""

import io
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_submission_checking import SIZE, chunk, encoded, flipped, good_entries, hand_made_png, picture, rows

from dogsgan.config import DataRecipe
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.pictures import PictureReader, as_it_is
from dogsgan.submission import check_submission

PIXELS = zlib.compress(rows(9))
PLAIN = hand_made_png(PIXELS)
SIGNATURE, IHDR, IEND = PLAIN[:8], PLAIN[8:33], PLAIN[-12:]
HUGE = zlib.compress(bytes(3 * 2**20))


def with_chunk(kind: bytes, data: bytes) -> bytes:
    return hand_made_png(PIXELS, extra=chunk(kind, data))


def header(*, compression: int = 0, filtering: int = 0, interlace: int = 0, depth: int = 8) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", SIZE, SIZE, depth, 2, compression, filtering, interlace))


def animated() -> bytes:
    frames = [picture(9), picture(10)]
    return encoded(frames[0], save_all=True, append_images=frames[1:])


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture(9), exif=exif)


SPLIT = SIGNATURE + IHDR + chunk(b"IDAT", PIXELS[:20]) + chunk(b"tEXt", b"a\0b") + chunk(b"IDAT", PIXELS[20:])
OK = {  # pictures that check takes
    "plain": PLAIN,
    "large text": with_chunk(b"zTXt", b"note\0\0" + HUGE),
    "large international text": with_chunk(b"iTXt", b"note\0\1\0\0\0" + HUGE),
    "large profile": with_chunk(b"iCCP", b"icc\0\0" + HUGE),
    "broken profile": with_chunk(b"iCCP", b"icc\0\0" + b"no zlib"),
    "unknown packing of a profile": with_chunk(b"iCCP", b"icc\0\7" + HUGE),
    "short chromaticities": with_chunk(b"cHRM", b"\0\0"),
    "short gamma": with_chunk(b"gAMA", b"\0"),
    "gamma": with_chunk(b"gAMA", struct.pack(">I", 100_000)),
    "short pixel size": with_chunk(b"pHYs", b"\0"),
    "short rendering intent": with_chunk(b"sRGB", b""),
    "empty text": with_chunk(b"tEXt", b""),
    "broken EXIF": with_chunk(b"eXIf", b"nonsense"),
    "private": with_chunk(b"prVt", b"x" * 99),
    "animated": animated(),
    "animation of no frames": with_chunk(b"acTL", bytes(8)),
    "frame without animation": with_chunk(b"fcTL", b"\0" * 26),
    "frames out of order": with_chunk(b"acTL", b"\0\0\0\2\0\0\0\0")[:-12] + chunk(b"fdAT", b"0009") + IEND,
    "text between the pixels": SPLIT + IEND,
    "pixels in many chunks": SIGNATURE + IHDR + b"".join(chunk(b"IDAT", bytes([b])) for b in PIXELS) + IEND,
    "an empty chunk of pixels": SIGNATURE + IHDR + chunk(b"IDAT", b"") + PLAIN[33:],
    "palette that is not used": with_chunk(b"PLTE", bytes(30)),
    "turned": turned(3),
    "one transparent colour": with_chunk(b"tRNS", bytes(6)),
}  # fmt: skip
NOT_OK = {  # pictures that check refuses; others may read them
    "16 bits": encoded(Image.fromarray((np.arange(64, dtype=np.uint16) * 999).reshape(8, 8))),
    "16 bits of colour": SIGNATURE + header(depth=16) + PLAIN[33:],
    "palette": encoded(picture(9, mode="P")),
    "alpha": encoded(picture(9, mode="RGBA")),
    "JPEG": encoded(picture(9), "JPEG"),
    "short transparency": with_chunk(b"tRNS", b"\0"),
    "unknown critical": with_chunk(b"QQQQ", b"\0"),
    "two headers": with_chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)),
    "another packing": SIGNATURE + header(compression=1) + PLAIN[33:],
    "another filtering": SIGNATURE + header(filtering=1) + PLAIN[33:],
    "another interlacing": SIGNATURE + header(interlace=2) + PLAIN[33:],
    "interlaced and cut": SIGNATURE + header(interlace=1) + chunk(b"IDAT", zlib.compress(bytes(30))) + IEND,
    "trailing": PLAIN + b"x",
    "cut": PLAIN[:-30],
    "no end": PLAIN[:-12],
    "wrong checksum of pixels": flipped(PLAIN, -14),
    "wrong checksum of text": flipped(with_chunk(b"tEXt", b"a\0b"), 43),
    "pixels cut": hand_made_png(PIXELS[:-30]),
    "empty": b"",
}  # fmt: skip
NAMES = {
    "no suffix": True,
    "a.dat": True,
    "a.PNG": True,
    ".a.png": False,
    "thumbs.db": False,
    "x" * 600: False,
}


def read_by(path: Path, out: Path) -> tuple[int, int]:
    """Return how many pictures are cropped and how many are scored."""
    try:
        cropped = len(prepare(path, out, DataRecipe(size_px=SIZE, policy="whole")).crop_set)
        source = open_source(path)
        return cropped, sum(1 for _ in PictureReader(source).stream(as_it_is(source, SIZE)))
    except DogsganError:
        return 0, 0


@pytest.mark.parametrize(
    ("case", "ok"), [*((case, True) for case in OK), *((case, False) for case in NOT_OK)]
)
def test_check_says_what_others_read(case: str, ok: bool, tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in [*good_entries(3), ("9.png", (OK | NOT_OK)[case])]:
            archive.writestr(name, content)
    report = check_submission(path, count=4, size_px=SIZE)
    assert report.ok == ok, report.summary()
    read = read_by(path, tmp_path / "set")
    assert read[0] == read[1] or case == "two headers"  # which crops at any size
    if ok:
        assert read == (4, 4)


@pytest.mark.parametrize("name", NAMES)
def test_check_counts_the_names_that_others_find(name: str, tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in [*good_entries(3), (name, PLAIN)]:
            archive.writestr(entry, content)
    report = check_submission(path, count=4, size_px=SIZE)
    assert report.ok == NAMES[name]
    assert read_by(path, tmp_path / "set") == (report.count,) * 2 == (3 + NAMES[name],) * 2


def damaged(path: Path, change: str) -> None:
    content = bytearray(path.read_bytes())
    local, central = content.rindex(b"PK\x03\x04"), content.rindex(b"PK\x01\x02")
    if change == "other name":
        content[local + 30] ^= 1
    elif change == "a patch":
        content[central + 8] |= 0x20
    elif change == "masked":
        content[central + 9] |= 0x20
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("change", ["nothing", "other name", "a patch", "masked"])
def test_check_takes_the_zips_that_others_read(change: str, tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in good_entries(4):
            archive.writestr(name, content)
    damaged(path, change)
    report = check_submission(path, count=4, size_px=SIZE)
    assert report.ok == (change == "nothing")
    if report.ok:
        assert read_by(path, tmp_path / "set") == (4, 4)


def test_orientation_and_pixels_survive_what_is_left_out() -> None:
    from dogsgan.data.pictures import decode_picture

    noted = SIGNATURE + IHDR + chunk(b"zTXt", b"note\0\0" + HUGE) + turned(3)[33:]
    assert decode_picture(noted, "x").tobytes() == decode_picture(turned(3), "x").tobytes()
    assert decode_picture(turned(3), "x").rotate(180).tobytes() == picture(9).tobytes()
    with Image.open(io.BytesIO(animated())) as first:
        assert decode_picture(animated(), "x").tobytes() == first.convert("RGB").tobytes()
