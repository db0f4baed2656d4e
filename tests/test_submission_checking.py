"""images.zip ─▶ what the competition would say of it: one hostile zip for every kind of problem."""

import io
import random
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsgan.errors import DogsganError
from dogsgan.submission import CheckReport, check_submission, checking, write_submission
from dogsgan.submission.archive import MiB, is_unsafe_name
from dogsgan.submission.checking import MESSAGES

SIZE = 8
Entries = list[tuple[str, bytes]]


def picture(seed: int, *, mode: str = "RGB", size: tuple[int, int] = (SIZE, SIZE)) -> Image.Image:
    width, height = size
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, format_name: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format_name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def hand_made_png(packed: bytes, *, width: int = SIZE, height: int = SIZE, extra: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + extra + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def rows(seed: int, count: int = SIZE) -> bytes:
    generator = random.Random(seed)
    return b"".join(b"\0" + generator.randbytes(3 * SIZE) for _ in range(count))


def good_entries(count: int = 4) -> Entries:
    return [(f"{index:05d}.png", encoded(picture(index))) for index in range(count)]


def write_zip(path: Path, entries: Entries, *, method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, contents in entries:
            info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
            info.filename = name  # past the constructor, which mends names
            info.compress_type = method
            archive.writestr(info, contents)
    return path


def check(path: Path, count: int = 4, *, channels: int = 3) -> CheckReport:
    report = check_submission(path, count=count, size_px=SIZE, channels=channels)
    assert report.ok == (not report.problems)
    lines = report.summary().split("\n")
    assert len(lines) == max(1, len(report.problems))
    assert all(line.isprintable() for line in lines)
    return report


def kinds(report: CheckReport) -> dict[str, int]:
    return {problem.kind: problem.count for problem in report.problems}


# What is sound


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_sound_zip_is_ok(tmp_path: Path, method: int) -> None:
    report = check(write_zip(tmp_path / "images.zip", good_entries(), method=method))
    assert (report.ok, report.count, report.problems) == (True, 4, ())
    form = {"size_px": SIZE, "channels": 3}
    assert report.to_json() == {"path": str(report.path), "ok": True, "count": 4, "problems": [], **form}


def test_names_are_free(tmp_path: Path) -> None:
    names = ["b.png", "Dog é.PNG", "no suffix", "named.jpg"]
    contents = [data for _, data in good_entries()]
    assert check(write_zip(tmp_path / "images.zip", list(zip(names, contents, strict=True)))).ok


@pytest.mark.parametrize("options", [{"optimize": True}, {"compress_level": 0}, {"dpi": (72, 72)}])
def test_any_encoders_png_is_ok(tmp_path: Path, options: dict[str, object]) -> None:
    entries = [(f"{index}.png", encoded(picture(index), **options)) for index in range(4)]
    assert check(write_zip(tmp_path / "images.zip", entries)).ok


def test_an_interlaced_png_is_ok(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", SIZE, SIZE, 8, 2, 0, 0, 1)
    widths = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2), (4, 4), (8, 4)]  # the seven passes at 8×8
    data = b"".join((b"\0" + random.Random(w).randbytes(3 * w)) * h for w, h in widths)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    entries = [*good_entries(3), ("interlaced.png", b"\x89PNG\r\n\x1a\n" + body)]
    assert check(write_zip(tmp_path / "images.zip", entries)).ok


def test_what_the_writer_writes_of_real_dogs_is_ok(tmp_path: Path, shared_data: Path) -> None:
    files = sorted((shared_data / "generative-dog-images-mini").rglob("*.jpg"))[:40]
    batch = np.stack([np.asarray(Image.open(file).convert("RGB").resize((64, 64))) for file in files])
    path = write_submission([batch], tmp_path / "images.zip", count=40).path
    report = check_submission(path, count=40)
    assert report.ok, report.summary()


def test_the_competition_wants_10000_pictures_of_64_px(tmp_path: Path) -> None:
    report = check_submission(write_zip(tmp_path / "images.zip", good_entries()))
    assert kinds(report) == {"count": 9996, "size": 4}
    assert "4 instead of 10000" in report.summary()
    assert "8×8 instead of 64×64" in report.summary()


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"count": 2}, "as asked for: 64×64 px, 8-bit RGB"),
        ({"count": 2, "size_px": 28}, "28×28 px, 8-bit RGB"),
        ({"count": 2, "channels": 1}, "64×64 px, 8-bit grey"),
    ],
)
def test_only_what_the_competition_wants_is_said_to_be_for_it(
    tmp_path: Path, form: dict[str, int], said: str
) -> None:
    side, channels = form.get("size_px", 64), form.get("channels", 3)
    batch = np.random.default_rng(0).integers(0, 256, (2, side, side, channels), dtype=np.uint8)
    report = check_submission(write_submission([batch], tmp_path / "a.zip", count=2).path, **form)
    assert report.ok, report.summary()
    assert said in report.summary()
    assert "would take" not in report.summary()


# Grey pictures: the same rules with their own kind of pixels


def grey_entries(count: int = 4) -> Entries:
    return [(f"{index:05d}.png", encoded(picture(index, mode="L"))) for index in range(count)]


@pytest.mark.parametrize("side", [8, 28, 32, 64])
def test_what_the_writer_writes_of_grey_pictures_is_ok_where_grey_is_wanted(
    tmp_path: Path, side: int
) -> None:
    batch = np.random.default_rng(side).integers(0, 256, (3, side, side, 1), dtype=np.uint8)
    path = write_submission([batch], tmp_path / "images.zip", count=3).path
    report = check_submission(path, count=3, size_px=side, channels=1)
    assert report.ok, report.summary()
    in_colour = check_submission(path, count=3, size_px=side)
    assert kinds(in_colour) == {"mode": 3}
    assert "save it as RGB" in in_colour.summary()
    assert "--grey" in in_colour.summary()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1", "LA", "I;16"])
def test_where_grey_is_wanted_nothing_else_will_do(tmp_path: Path, mode: str) -> None:
    other = encoded(
        picture(9, mode="L").convert("I").convert("I;16") if mode == "I;16" else picture(9, mode=mode)
    )
    report = check(write_zip(tmp_path / "images.zip", [*grey_entries(3), ("9.png", other)]), channels=1)
    assert kinds(report) == {"mode": 1}
    assert "save it as grey with 8 bits" in report.summary()


def test_grey_pictures_are_looked_at_as_closely(tmp_path: Path) -> None:
    plain = encoded(Image.new("L", (SIZE, SIZE), 7))
    again = encoded(picture(0, mode="L"), compress_level=0)
    cut = encoded(picture(9, mode="L"))[:-20]
    entries = [*grey_entries(3), ("plain.png", plain), ("again.png", again), ("cut.png", cut)]
    report = check(write_zip(tmp_path / "images.zip", entries), count=6, channels=1)
    assert kinds(report) == {"unreadable": 1, "same-pixels": 1, "one-colour": 1}
    assert [problem.refused for problem in report.problems] == [True, False, False]


@pytest.mark.parametrize("channels", [0, 2, 4, -1])
def test_other_channels_are_refused(tmp_path: Path, channels: int) -> None:
    with pytest.raises(DogsganError, match=r"3 \(RGB\) or 1 \(grey\)"):
        check_submission(tmp_path / "images.zip", channels=channels)


# One entry that is wrong, and the one kind of problem it makes


def flipped(contents: bytes, place: int) -> bytes:
    changed = bytearray(contents)
    changed[place] ^= 1
    return bytes(changed)


BAD_ENTRIES: dict[str, tuple[str, tuple[str, bytes]]] = {
    "wider": ("size", ("9.png", encoded(picture(9, size=(9, 8))))),
    "higher": ("size", ("9.png", encoded(picture(9, size=(8, 9))))),
    "grey": ("mode", ("9.png", encoded(picture(9, mode="L")))),
    "RGBA": ("mode", ("9.png", encoded(picture(9, mode="RGBA")))),
    "palette": ("mode", ("9.png", encoded(picture(9, mode="P")))),
    "bilevel": ("mode", ("9.png", encoded(picture(9, mode="1")))),
    "JPEG named .png": ("format", ("9.png", encoded(picture(9), "JPEG"))),
    "WebP named .png": ("format", ("9.png", encoded(picture(9), "WEBP"))),
    "GIF": ("format", ("9.gif", encoded(picture(9), "GIF"))),
    "BMP": ("format", ("9.bmp", encoded(picture(9), "BMP"))),
    "TIFF": ("format", ("9.tif", encoded(picture(9), "TIFF"))),
    "JPEG without suffix": ("format", ("9", encoded(picture(9), "JPEG"))),
    "empty": ("unreadable", ("9.png", b"")),
    "noise": ("unreadable", ("9.png", b"these are no pixels")),
    "signature only": ("unreadable", ("9.png", b"\x89PNG\r\n\x1a\n")),
    "cut short": ("unreadable", ("9.png", encoded(picture(9))[:-20])),
    "without its end": ("unreadable", ("9.png", encoded(picture(9))[:-12])),
    "a flipped bit in the pixels": ("unreadable", ("9.png", flipped(encoded(picture(9)), -20))),
    "a flipped bit in a checksum": ("unreadable", ("9.png", flipped(encoded(picture(9)), -14))),
    "a flipped bit in the note": (
        "unreadable",
        ("9.png", flipped(hand_made_png(zlib.compress(rows(9)), extra=chunk(b"tEXt", b"a\0b")), 43)),
    ),
    "too few rows": ("unreadable", ("9.png", hand_made_png(zlib.compress(rows(9, SIZE - 1))))),
    "too many rows": ("unreadable", ("9.png", hand_made_png(zlib.compress(rows(9, SIZE + 1))))),
    "packed pixels cut": ("unreadable", ("9.png", hand_made_png(zlib.compress(rows(9))[:-30]))),
    "packed checksum cut": ("unreadable", ("9.png", hand_made_png(zlib.compress(rows(9))[:-4]))),
    "hidden after the pixels": ("unreadable", ("9.png", hand_made_png(zlib.compress(rows(9)) + b"x" * 9))),
    "no such filter": ("unreadable", ("9.png", hand_made_png(zlib.compress(b"\7" * 8 * 25)))),
    "no pixels": ("unreadable", ("9.png", hand_made_png(b""))),
    "trailing garbage": ("trailing", ("9.png", encoded(picture(9)) + b"\0")),
    "in a folder": ("folder", ("images/9.png", encoded(picture(9)))),
    "one colour": ("one-colour", ("9.png", encoded(Image.new("RGB", (SIZE, SIZE), (7, 8, 9))))),
    "same file": ("same-bytes", ("9.png", good_entries()[0][1])),
    "same pixels": ("same-pixels", ("9.png", encoded(picture(0), compress_level=0))),
    "parent folder": ("unsafe-name", ("..\\9.png", encoded(picture(9)))),
    "drive": ("unsafe-name", ("C:9.png", encoded(picture(9)))),
    "name used twice": ("duplicate-name", ("00000.png", encoded(picture(9)))),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_one_bad_entry_is_one_problem(tmp_path: Path, case: str) -> None:
    kind, entry = BAD_ENTRIES[case]
    report = check(write_zip(tmp_path / "images.zip", [*good_entries(3), entry]))
    assert kinds(report) == {kind: 1}
    (problem,) = report.problems
    assert entry[0] in problem.example
    assert problem.refused == (kind not in ("same-bytes", "same-pixels", "one-colour"))
    assert report.to_json()["problems"][0]["kind"] == kind
    assert kind in report.summary()


def test_a_name_that_starts_with_nul(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "images.zip", [*good_entries(3), ("Q9.png", encoded(picture(9)))])
    path.write_bytes(path.read_bytes().replace(b"Q9.png", b"\x009.png"))
    report = check(path)
    assert kinds(report) == {"unsafe-name": 1}
    assert report.problems[0].example == "\\x009.png"


@pytest.mark.parametrize("name", ["../9.png", "a/../../9.png", "/9.png", "//host/9.png"])
def test_a_name_that_climbs_out_of_its_folder(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "images.zip", [*good_entries(3), (name, encoded(picture(9)))])
    assert kinds(check(path)) == {"unsafe-name": 1, "folder": 1}


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "a/..", "/x", "a\\b", "C:x", "c:/x", "//host/share/x", "x\0.png"]
)
def test_unsafe_names(name: str) -> None:
    assert is_unsafe_name(name)


@pytest.mark.parametrize("name", ["x.png", "a/b.png", "..x", "x..png", "a/..b", "…", "C.png", " "])
def test_safe_names(name: str) -> None:
    assert not is_unsafe_name(name)


@pytest.mark.parametrize(
    ("name", "contents"),
    [
        ("Thumbs.db", b"\xd0\xcf\x11\xe0"),
        ("read.me", b""),
        (".DS_Store", b"\0\0\0\1Bud1"),
        ("a.html", b"<img>"),
    ],
)
def test_a_stray_file_is_no_picture(tmp_path: Path, name: str, contents: bytes) -> None:
    report = check(write_zip(tmp_path / "images.zip", [*good_entries(), (name, contents)]))
    assert (kinds(report), report.count) == ({"stray": 1}, 4)


def test_a_folder_entry_is_no_picture(tmp_path: Path) -> None:
    report = check(write_zip(tmp_path / "images.zip", [("images/", b""), *good_entries()]))
    assert (kinds(report), report.count) == ({"folder": 1}, 4)


def test_a_symbolic_link_is_stray(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "images.zip", good_entries())
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("9.png")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert kinds(check(path)) == {"stray": 1}


@pytest.mark.parametrize(("count", "missing"), [(3, 1), (7, 3)])
def test_a_wrong_count_says_by_how_much(tmp_path: Path, count: int, missing: int) -> None:
    report = check(write_zip(tmp_path / "images.zip", good_entries(4)), count=count)
    assert kinds(report) == {"count": missing}
    assert f"4 instead of {count}" in report.summary()


def test_equal_pictures_are_counted_without_the_first(tmp_path: Path) -> None:
    entries = [*good_entries(1), *[(f"again{index}.png", good_entries(1)[0][1]) for index in range(3)]]
    report = check(write_zip(tmp_path / "images.zip", entries))
    assert kinds(report) == {"same-bytes": 3}
    assert report.problems[0].example == "again0.png (as 00000.png)"


def test_each_kind_has_its_own_line(tmp_path: Path) -> None:
    entries = [*good_entries(2), ("a.png", b""), ("b.png", b"-"), ("c.txt", b"")]
    report = check(write_zip(tmp_path / "images.zip", entries))
    assert kinds(report) == {"stray": 1, "unreadable": 2}
    assert report.summary().splitlines()[1] == (
        f"{report.path}: unreadable (2): {MESSAGES['unreadable']}, e.g. a.png (empty)"
    )


def test_a_name_cannot_break_the_line(tmp_path: Path) -> None:
    entries = [*good_entries(3), ("a\n\x1b[2J\u202e" + "y" * 300 + ".png", b"")]
    report = check(write_zip(tmp_path / "images.zip", entries))  # `check` looks at the lines
    assert len(report.problems[0].example) < 100


# The zip itself


def patched(path: Path, index: int, **fields: int) -> Path:
    """Overwrite fields of the entry `index` in the table of contents."""
    places = {
        "flags": (8, "<H"),
        "method": (10, "<H"),
        "crc": (16, "<I"),
        "packed": (20, "<I"),
        "size": (24, "<I"),
    }
    places["offset"] = (42, "<I")
    data = bytearray(path.read_bytes())
    position = -1
    for _ in range(index + 1):
        position = data.index(b"PK\x01\x02", position + 1)
    for field, value in fields.items():
        place, layout = places[field]
        struct.pack_into(layout, data, position + place, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("bit", [0x1, 0x40, 0x2000])
def test_an_encrypted_entry(tmp_path: Path, bit: int) -> None:
    report = check(patched(write_zip(tmp_path / "images.zip", good_entries()), 2, flags=bit))
    assert kinds(report) == {"encrypted": 1}
    assert report.problems[0].example == "00002.png"


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packing_that_cannot_be_unpacked_within_a_limit(tmp_path: Path, method: int) -> None:
    assert kinds(check(write_zip(tmp_path / "images.zip", good_entries(), method=method))) == {"packing": 4}


@pytest.mark.parametrize(
    "fields",
    [
        {"crc": 1},
        {"size": 5},
        {"size": 5000},
        {"packed": 5},
        {"offset": 2**31},
        {"method": zipfile.ZIP_DEFLATED},
    ],
)
def test_a_table_of_contents_that_lies(tmp_path: Path, fields: dict[str, int]) -> None:
    path = patched(write_zip(tmp_path / "images.zip", good_entries()), 0, **fields)
    assert kinds(check(path)) == {"damaged-entry": 1}


def test_a_deflated_entry_with_something_behind_it(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "images.zip", good_entries(), method=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path) as archive:
        packed = archive.infolist()[3].compress_size
    assert kinds(check(patched(path, 3, packed=packed + 3))) == {"damaged-entry": 1}


def test_entries_that_share_their_bytes(tmp_path: Path) -> None:
    path = patched(
        write_zip(tmp_path / "images.zip", good_entries(), method=zipfile.ZIP_DEFLATED), 1, offset=0
    )
    assert kinds(check(path))["bomb"] == 1


def test_a_bomb_that_says_so(tmp_path: Path) -> None:
    bomb = ("bomb.png", bytes(30 * MiB))
    path = write_zip(tmp_path / "images.zip", [*good_entries(3), bomb], method=zipfile.ZIP_DEFLATED)
    report = check(path)
    assert kinds(report) == {"bomb": 1}
    assert "31,457,280 bytes" in report.summary()


def test_a_bomb_that_lies_is_not_unpacked(tmp_path: Path) -> None:
    entries = [*good_entries(3), ("bomb.png", bytes(30 * MiB))]
    path = write_zip(tmp_path / "images.zip", entries, method=zipfile.ZIP_DEFLATED)
    patched(path, 3, size=200, crc=zlib.crc32(bytes(200)))
    tracemalloc.start()
    assert kinds(check(path)) == {"bomb": 1}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * MiB


def test_many_small_bombs_stop_at_the_total(tmp_path: Path) -> None:
    entries = [(f"{index}.txt", bytes(MiB)) for index in range(200)]
    path = write_zip(tmp_path / "images.zip", entries, method=zipfile.ZIP_DEFLATED)
    report = check(path)
    assert kinds(report)["bomb"] == 1
    assert kinds(report)["stray"] < 100


def test_a_huge_table_of_contents_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(150):
            info = zipfile.ZipInfo(f"{index}.png")
            info.extra = struct.pack("<HH", 0x9999, 60_000) + bytes(60_000)
            archive.writestr(info, b"")
    assert kinds(check(path)) == {"bomb": 1}


def test_of_far_too_many_entries_some_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "EXAMINED", 50)
    path = write_zip(tmp_path / "images.zip", [(f"{index}.png", b"") for index in range(900)])
    report = check(path)
    assert (kinds(report)["count"], report.count) == (896, 900)
    assert kinds(report)["unreadable"] == 50


def test_a_picture_that_says_it_is_huge_is_not_decoded(tmp_path: Path) -> None:
    bomb = hand_made_png(zlib.compress(bytes(4 * MiB)), width=2**31 - 1, height=2**31 - 1)
    start = time.monotonic()
    assert kinds(check(write_zip(tmp_path / "images.zip", [*good_entries(3), ("9.png", bomb)]))) == {
        "size": 1
    }
    assert time.monotonic() - start < 2


def test_a_picture_with_a_bomb_in_its_text_or_pixels_is_not_unpacked(tmp_path: Path) -> None:
    zeros = zlib.compress(bytes(64 * MiB), 9)
    text = hand_made_png(zlib.compress(rows(9)), extra=chunk(b"zTXt", b"note\0\0" + zeros))
    pixels = hand_made_png(zeros)
    path = write_zip(tmp_path / "images.zip", [*good_entries(2), ("8.png", text), ("9.png", pixels)])
    tracemalloc.start()
    assert kinds(check(path)) == {"unreadable": 1}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6 * MiB


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "empty"),
        (b"PK", "damaged or cut short"),
        (b"not a zip at all", "not a zip"),
        (encoded(picture(1)), "not a zip"),
        (bytes(100_000), "not a zip"),
    ],
)
def test_what_is_no_zip(tmp_path: Path, contents: bytes, reason: str) -> None:
    path = tmp_path / "images.zip"
    path.write_bytes(contents)
    report = check(path)
    assert (kinds(report), report.count) == ({"not-a-zip": 1}, 0)
    assert reason in report.summary()


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_zip_that_is_cut_short(tmp_path: Path, kept: float) -> None:
    path = write_zip(tmp_path / "images.zip", good_entries())
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    report = check(path)
    assert kinds(report) == {"not-a-zip": 1}
    assert "cut short" in report.summary()


@pytest.mark.parametrize(
    ("name", "reason"), [("nowhere.zip", "not there"), (".", "a folder"), ("x" * 300, "File name too long")]
)
def test_a_path_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, reason: str) -> None:
    with pytest.raises(DogsganError, match=reason) as caught:
        check_submission(tmp_path / name)
    assert name in str(caught.value) or str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(("count", "size_px"), [(0, 64), (10, 0), (-1, 64)])
def test_senseless_numbers_are_refused(tmp_path: Path, count: int, size_px: int) -> None:
    with pytest.raises(DogsganError, match="1 or more"):
        check_submission(tmp_path / "images.zip", count=count, size_px=size_px)


def test_every_kind_of_problem_has_a_test() -> None:
    tested = {kind for kind, _ in BAD_ENTRIES.values()}
    elsewhere = {"not-a-zip", "bomb", "encrypted", "packing", "damaged-entry", "stray", "count"}
    assert tested | elsewhere == set(MESSAGES)


# Whatever the bytes


@st.composite
def damages(draw: st.DrawFn) -> list[tuple[int, bytes, int]]:
    """Places (in millionths of the file), what is written there, and how much is cut there."""
    one = st.tuples(st.integers(0, 999_999), st.binary(max_size=8), st.integers(0, 40))
    return draw(st.lists(one, min_size=1, max_size=6))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    folder = tmp_path_factory.mktemp("sound")
    methods = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    return {m: write_zip(folder / f"{m}.zip", good_entries(), method=m).read_bytes() for m in methods}


@given(damage=damages(), method=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
@settings(max_examples=300, deadline=2000)
def test_no_damage_makes_it_fall_over(
    sound: dict[int, bytes],
    tmp_path_factory: pytest.TempPathFactory,
    damage: list[tuple[int, bytes, int]],
    method: int,
) -> None:
    data = bytearray(sound[method])
    for share, written, cut in damage:
        place = share * len(data) // 1_000_000
        data[place : place + max(cut, len(written))] = written
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(data)
    report = check(path)
    assert {problem.kind for problem in report.problems} <= MESSAGES.keys()
