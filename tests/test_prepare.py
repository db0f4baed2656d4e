"""Preparing: the right crops and labels, everything left out listed, the same bytes for any workers."""

import hashlib
import importlib
import io
import json
import os
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_layouts_idx import idx
from test_sources import PUG, annotation, competition, jpeg, lay_out, zip_up

from dogsgan.config import DataRecipe
from dogsgan.crops import Box
from dogsgan.data.cropset import CropSet
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.prepare import VERSION, PrepareReport, prepare
from dogsgan.data.sources import Source, open_source
from dogsgan.data.storage import FolderStorage
from dogsgan.errors import DogsganError
from dogsgan.pictures import read_generated

FILES = ("pictures.npy", "labels.npy", "origins.npy", "set.json", "skipped.json", "contact-sheet.png")


def png(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG", **options)
    return buffer.getvalue()


def contents(path: Path) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in FILES}


def one_dog(folder: Path, picture: bytes, annotated: bytes) -> Path:
    stem = "n02110958_1"
    files = {f"all-dogs/all-dogs/{stem}.jpg": picture, f"annotation/Annotation/{PUG}/{stem}": annotated}
    return lay_out(folder, files)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=24, seed=3)


def test_the_report_and_the_set_agree(drawn: Path, tmp_path: Path) -> None:
    report = prepare(drawn, tmp_path / "set", DataRecipe(size_px=32))
    crop_set = CropSet.open(tmp_path / "set")
    as_json = report.to_json()
    boxes = sum(len(image.boxes) for image in open_source(drawn).images)
    assert as_json["crops"] == len(crop_set) == boxes > 24
    assert (as_json["images"], as_json["breeds"], as_json["skipped"]) == (24, 10, 0)
    assert (as_json["policy"], as_json["size"], as_json["reused"]) == ("square", 32, False)
    assert crop_set.class_names[0] == "Russet spitz"
    for index in range(len(crop_set)):
        wnid = crop_set.origin(index).image[:9]
        assert crop_set.provenance["class_folders"][crop_set.labels[index]].startswith(wnid)
    assert "24 pictures" in report.summary()
    json.dumps(as_json)


def test_crops_are_the_pixels_of_their_rectangles(drawn: Path, tmp_path: Path) -> None:
    source = open_source(drawn)
    crop_set = prepare(source, tmp_path / "set", DataRecipe(size_px=32, policy="context:1,squash:1")).crop_set
    images = {image.name: image for image in source.images}
    for index in range(0, len(crop_set), 5):
        origin = crop_set.origin(index)
        picture = Image.open(io.BytesIO(source.read(images[origin.image])))
        expected = picture.crop(origin.rectangle).resize((32, 32), Image.Resampling.LANCZOS)
        assert np.abs(np.asarray(expected).astype(int) - crop_set.pictures[index]).mean() < 4


def test_bytes_are_the_same_for_any_number_of_workers(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dogsgan.data.prepare._IMAGES_PER_TASK", 1)  # so that tasks queue up and overtake
    for workers in (1, 2, 7):
        prepare(
            drawn,
            tmp_path / f"set{workers}",
            DataRecipe(size_px=16, policy="whole:1,context:2,square:1"),
            workers=workers,
        )
    assert contents(tmp_path / "set1") == contents(tmp_path / "set2") == contents(tmp_path / "set7")


def test_a_zip_and_its_folder_give_the_same_crops(tmp_path: Path) -> None:
    zipped = prepare(
        zip_up(tmp_path / "x.zip", competition()), tmp_path / "a", DataRecipe(policy="whole:1,square:1")
    )
    folder = prepare(
        lay_out(tmp_path / "x/input", competition()), tmp_path / "b", DataRecipe(policy="whole:1,square:1")
    )
    assert zipped.crop_set.fingerprint == folder.crop_set.fingerprint


def test_preparing_twice_reuses_and_any_difference_does_not(drawn: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    first = prepare(drawn, out, DataRecipe(size_px=16))
    before = {name: (out / name).stat().st_mtime_ns for name in FILES}
    again = prepare(drawn, out, DataRecipe(size_px=16), workers=1)
    assert again.reused
    assert again.to_json() | {"reused": False} == first.to_json()
    assert {name: (out / name).stat().st_mtime_ns for name in FILES} == before
    different: list[dict[str, object]] = [
        {"size_px": 24},
        {"policy": "whole"},
        {"boxes": "largest"},
        {"min_box_px": 1},
    ]
    for change in different:
        data = DataRecipe(**({"size_px": 16} | change))  # type: ignore[arg-type]
        assert not prepare(drawn, out, data).reused
    other = draw_competition(tmp_path / "other.zip", images=24, seed=4)
    prepare(drawn, out, DataRecipe(size_px=16))
    assert not prepare(other, out, DataRecipe(size_px=16)).reused


def unlike_in_contents_only(folder: Path, shade: int) -> Path:
    """Lay out pictures whose names, sizes in bytes and times of change are the same for every shade."""
    for name in ("daisy/1.bmp", "daisy/2.bmp", "rose/1.bmp"):
        buffer = io.BytesIO()
        Image.new("RGB", (20, 20), (shade, 10, 200)).save(buffer, format="BMP")
        lay_out(folder, {name: buffer.getvalue()})
        os.utime(folder / name, (10**9, 10**9))
    return folder


def test_other_pictures_of_the_same_names_sizes_and_times_are_prepared_anew(tmp_path: Path) -> None:
    first, second = (unlike_in_contents_only(tmp_path / str(shade), shade) for shade in (60, 200))
    assert open_source(first).fingerprint() != open_source(second).fingerprint()
    assert (prepare(first, tmp_path / "set", DataRecipe(size_px=16)).crop_set.pictures[..., 0] == 60).all()
    report = prepare(second, tmp_path / "set", DataRecipe(size_px=16))
    assert not report.reused
    assert (report.crop_set.pictures[..., 0] == 200).all()
    moved = first.rename(tmp_path / "elsewhere")
    os.utime(moved / "rose/1.bmp")
    prepare(moved, tmp_path / "set", DataRecipe(size_px=16))
    assert prepare(moved, tmp_path / "set", DataRecipe(size_px=16)).reused


def with_checksum(content: bytes, wanted: int) -> bytes:
    """Append four bytes that give the whole the CRC-32 `wanted`: linear equations over single bits."""
    base = zlib.crc32(content + bytes(4))
    effects = [(zlib.crc32(content + (1 << bit).to_bytes(4, "little")) ^ base, 1 << bit) for bit in range(32)]
    difference, tail = wanted ^ base, 0
    for column in range(32):
        value, bits = effects.pop(next(i for i, (v, _) in enumerate(effects) if v >> column & 1))
        effects = [(v ^ value, b ^ bits) if v >> column & 1 else (v, b) for v, b in effects]
        if difference >> column & 1:
            difference, tail = difference ^ value, tail ^ bits
    return content + tail.to_bytes(4, "little")


def test_a_zip_of_the_same_names_sizes_and_checksums_is_prepared_anew(tmp_path: Path) -> None:
    paths = []
    for shade in (60, 200):
        content = with_checksum(b"P6 20 20 255\n" + bytes([shade]) * 1200, 0xCAFE_F00D)
        paths.append(zip_up(tmp_path / f"{shade}.zip", {"a.ppm": content}))
    entries = [zipfile.ZipFile(path).infolist()[0] for path in paths]
    assert entries[0].CRC == entries[1].CRC == 0xCAFE_F00D
    prepare(paths[0], tmp_path / "set", DataRecipe(size_px=16))
    assert (prepare(paths[1], tmp_path / "set", DataRecipe(size_px=16)).crop_set.pictures == 200).all()


def test_each_picture_is_read_once_for_its_crops_and_its_hash(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: Counter[str] = Counter()
    really = Source.read

    def counted(self: Source, image: SourceImage) -> bytes:
        reads[image.name] += 1
        return really(self, image)

    monkeypatch.setattr(Source, "read", counted)
    monkeypatch.setattr("dogsgan.data.prepare.draw_contact_sheet", lambda *args: None)
    report = prepare(drawn, tmp_path / "set", DataRecipe(size_px=16))
    assert set(reads.values()) == {1}
    assert len(reads) == 24
    monkeypatch.undo()
    assert prepare(drawn, tmp_path / "set", DataRecipe(size_px=16)).reused
    assert report.crop_set.provenance["key"]


def test_a_set_that_changed_since_is_made_anew(drawn: Path, tmp_path: Path) -> None:
    prepare(drawn, tmp_path / "set", DataRecipe(size_px=16))
    whole = contents(tmp_path / "set")
    changed = bytearray(whole["pictures.npy"])
    changed[-1] ^= 1
    (tmp_path / "set/pictures.npy").write_bytes(changed)
    assert not prepare(drawn, tmp_path / "set", DataRecipe(size_px=16)).reused
    assert contents(tmp_path / "set") == whole


GOLDEN = {3: "f1f768b18773c5e5a7937a490c13d46b2aa60e3f1b6be0fff6bffb4e24dc5a2f"}
"""Of each `VERSION` the hash of what it makes of the pictures below."""


def test_outputs_change_only_with_the_version(tmp_path: Path) -> None:
    """Decoding, crops, borders, resizing and labels: where this fails, raise `VERSION` and add its hash.

    Else a set, a run or an audit that was made before would be taken for one of today.
    """
    ramp = np.arange(90 * 120 * 3, dtype=np.uint32).reshape(90, 120, 3)
    picture = ((ramp * ramp // 977) % 256).astype(np.uint8)
    stem = "n02110958_"
    exif = Image.Exif()
    exif[0x0112] = 6
    encodings = [
        png(picture),
        png(picture, exif=exif),
        png(np.dstack([picture, picture[..., :1]])),
        png(picture[..., 0].astype(np.uint16) * 257),
        jpeg(90),
    ]
    dogs = {f"all-dogs/all-dogs/{stem}{i}.jpg": content for i, content in enumerate(encodings)}
    dogs |= {
        f"annotation/Annotation/{PUG}/{stem}{i}": annotation((10, 5, 60, 45), (50, 40, 90, 80), side=90)
        for i in range(len(encodings))
    }
    digits = np.arange(3 * 28 * 28, dtype=np.uint32).reshape(3, 28, 28) ** 2 % 251
    names = {"train-images-idx3-ubyte": digits.astype(np.uint8), "train-labels-idx1-ubyte": np.arange(3)}
    sources = {
        "dogs": dogs,
        "digits": {name: idx(values.astype(np.uint8)) for name, values in names.items()},
        "classes": {f"n0211062{i}-a_class/{i}.png": encodings[i] for i in range(4)},
    }
    digest = hashlib.sha256()
    for name, files in sources.items():
        for policy in ("square", "context:1,squash:1", "whole", "center:1,center-40:1"):
            report = prepare(
                lay_out(tmp_path / name, files), tmp_path / "set", DataRecipe(size_px=40, policy=policy)
            )
            crop_set = report.crop_set
            digest.update(crop_set.fingerprint.encode() + repr(crop_set.origins.tolist()).encode())
            digest.update(json.dumps([item.reason for item in report.skipped]).encode())
    assert GOLDEN[VERSION] == digest.hexdigest()


def test_a_broken_set_is_made_anew(drawn: Path, tmp_path: Path) -> None:
    prepare(drawn, tmp_path / "set", DataRecipe(size_px=16))
    whole = contents(tmp_path / "set")
    for name in ("pictures.npy", "skipped.json", "contact-sheet.png"):
        (tmp_path / "set" / name).unlink()
        reused = prepare(drawn, tmp_path / "set", DataRecipe(size_px=16)).reused
        assert reused == (name == "contact-sheet.png"), "a lost sheet alone is drawn anew"
        assert contents(tmp_path / "set") == whole


def test_each_thing_left_out_is_listed(tmp_path: Path) -> None:
    files = competition()
    cases = {
        "n02110958_20": (
            jpeg(),
            annotation((9, 9, 9, 30), (30, 5, 10, 20), (90, 90, 95, 95), (1, 1, 30, 30)),
        ),
        "n02110958_21": (jpeg(), annotation((1, 1, 30, 8), (1, 1, 30, 30))),
        "n02110958_22": (b"", annotation((1, 1, 30, 30))),
        "n02110958_23": (jpeg()[:300], annotation((1, 1, 30, 30))),
        "n02110958_24": (jpeg(), b"<oops"),
        "n02110958_25": (jpeg(), annotation()),
    }
    for stem, (picture, annotated) in cases.items():
        files[f"all-dogs/all-dogs/{stem}.jpg"] = picture
        files[f"annotation/Annotation/{PUG}/{stem}"] = annotated
    files["all-dogs/all-dogs/n02110958_26.jpg"] = jpeg()
    files[f"annotation/Annotation/{PUG}/n02110958_27"] = annotation((1, 1, 30, 30))
    report = prepare(lay_out(tmp_path / "x", files), tmp_path / "set", DataRecipe(min_box_px=9))
    assert report.skipped_by_reason == {
        "annotation cannot be read": 1,
        "annotation without picture": 1,
        "annotation without a dog": 1,
        "box is empty or inverted": 2,
        "box is smaller than 9 px": 1,
        "box lies outside the picture": 1,
        "no annotation": 1,
        "picture cannot be read": 2,
    }
    listed = json.loads((tmp_path / "set/skipped.json").read_text())
    assert [item["name"] for item in listed] == [item.name for item in report.skipped]
    assert "2 × picture cannot be read" in report.summary()
    assert len(report.crop_set) == 4 + 2
    assert report.images == 3 + 2


def test_boxes_that_leave_the_picture_are_clamped(tmp_path: Path) -> None:
    source = one_dog(tmp_path / "x", jpeg(40), annotation((-5, 10, 99, 30)))
    crop_set = prepare(source, tmp_path / "set", DataRecipe()).crop_set
    assert crop_set.origin(0).box == Box(0, 10, 40, 30)
    assert crop_set.origin(0).rectangle == (0, 0, 40, 40)


def test_boxes_are_scaled_where_the_picture_has_another_size(tmp_path: Path) -> None:
    source = one_dog(tmp_path / "x", jpeg(80), annotation((10, 20, 20, 40), side=40))
    assert prepare(source, tmp_path / "set", DataRecipe()).crop_set.origin(0).box == Box(20, 40, 40, 80)


UPRIGHT = {5: (10, 50, 20, 80), 6: (40, 50, 50, 80), 7: (40, 10, 50, 40), 8: (10, 10, 20, 40)}


@pytest.mark.parametrize(
    ("orientation", "annotated"), [(orientation, None) for orientation in range(2, 9)] + list(UPRIGHT.items())
)
def test_boxes_turn_with_exif(
    orientation: int, annotated: tuple[int, int, int, int] | None, tmp_path: Path
) -> None:
    """The box is around the only bright spot, be it annotated in the picture as stored (None) or upright."""
    stored = np.zeros((60, 90, 3), np.uint8)
    stored[10:20, 50:80] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = png(stored, exif=exif)
    width, height = (90, 60) if annotated is None else (60, 90)
    text = annotation(annotated or (50, 10, 80, 20))
    text = text.replace(b"40</width>", b"%d</width>" % width).replace(b"40</height>", b"%d</height>" % height)
    crop_set = prepare(
        one_dog(tmp_path / "x", content, text), tmp_path / "set", DataRecipe(policy="squash", size_px=8)
    ).crop_set
    assert (crop_set.pictures[0] > 200).all()


def test_largest_takes_one_dog_per_picture(tmp_path: Path) -> None:
    source = one_dog(tmp_path / "x", jpeg(40), annotation((0, 0, 9, 9), (5, 5, 30, 30), (30, 30, 40, 40)))
    crop_set = prepare(source, tmp_path / "set", DataRecipe(boxes="largest")).crop_set
    assert [crop_set.origin(i).box for i in range(len(crop_set))] == [Box(5, 5, 30, 30)]


def test_every_dog_has_a_crop_but_the_whole_picture_is_taken_once(tmp_path: Path) -> None:
    boxes = [(0, 0, 40, 40), (1, 0, 40, 40), (2, 0, 40, 40), (3, 0, 39, 40)]
    source = one_dog(tmp_path / "x", jpeg(40), annotation(*boxes))
    assert len(prepare(source, tmp_path / "square", DataRecipe()).crop_set) == 4
    mixed = prepare(source, tmp_path / "mixed", DataRecipe(policy="whole:9,square:1")).crop_set
    taken = mixed.origins["policy"].tolist()
    assert taken.count("whole") == 1
    assert len(taken) < 4


def test_whole_takes_each_picture_once_and_needs_no_boxes(tmp_path: Path) -> None:
    files = competition() | {"all-dogs/all-dogs/n02110958_26.jpg": jpeg()}
    report = prepare(lay_out(tmp_path / "x", files), tmp_path / "set", DataRecipe(policy="whole"))
    assert len(report.crop_set) == report.images == 4
    assert report.skipped == ()
    assert report.crop_set.origin(0).rectangle == (0, 0, 40, 40)
    assert report.crop_set.labels.tolist() == [0, 0, 1, 1]


def test_pictures_without_boxes_are_cropped_as_a_whole(tmp_path: Path) -> None:
    wide = png(np.zeros((20, 50, 3), np.uint8))
    report = prepare(lay_out(tmp_path / "x", {"a.png": wide, "b.txt": b""}), tmp_path / "set", DataRecipe())
    assert report.crop_set.origin(0) == ("a.png", None, (15, 0, 35, 20), "square")
    assert report.crop_set.class_names == ()
    assert report.to_json()["breeds"] == 0
    assert report.skipped_by_reason == {"not a picture by its name": 1}


def test_a_set_inside_its_source_is_no_part_of_it(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a.png": jpeg()})
    assert not prepare(tmp_path, tmp_path / "set", DataRecipe()).reused
    assert prepare(tmp_path, tmp_path / "set", DataRecipe()).reused
    assert [image.name for image in open_source(tmp_path).images] == ["a.png"]


def test_a_breed_without_crops_has_no_label(tmp_path: Path) -> None:
    files = competition() | {
        "all-dogs/all-dogs/n01111111_1.jpg": b"broken",
        "annotation/Annotation/n01111111-broken_breed/n01111111_1": annotation((1, 1, 30, 30)),
    }
    report = prepare(lay_out(tmp_path / "x", files), tmp_path / "set", DataRecipe())
    assert report.crop_set.class_names == ("pug", "toy poodle")
    assert report.crop_set.labels.tolist() == [0, 1, 1, 1]


def test_a_prepared_set_can_be_prepared_again(drawn: Path, tmp_path: Path) -> None:
    first = prepare(drawn, tmp_path / "large", DataRecipe(size_px=64)).crop_set
    second = prepare(tmp_path / "large", tmp_path / "small", DataRecipe(size_px=16)).crop_set
    assert second.labels.tolist() == first.labels.tolist()
    assert second.class_names == first.class_names


@pytest.mark.parametrize(
    "arguments",
    [
        {"size_px": 4},
        {"size_px": 5000},
        {"policy": "round"},
        {"boxes": "some"},
        {"min_box_px": -1},
        {"workers": 0},
        {"workers": -3},
    ],
)
def test_arguments_that_make_no_sense_are_refused(
    arguments: dict[str, object], drawn: Path, tmp_path: Path
) -> None:
    arguments, workers = dict(arguments), arguments.get("workers")
    arguments.pop("workers", None)
    with pytest.raises(DogsganError) as caught:
        prepare(drawn, tmp_path / "set", DataRecipe(**arguments), workers=workers)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "set").exists()


def test_nothing_to_crop_is_an_error_that_says_why(tmp_path: Path) -> None:
    source = lay_out(tmp_path / "x", {"a.png": b"", "b.png": b""})
    with pytest.raises(DogsganError, match="2 × picture cannot be read"):
        prepare(source, tmp_path / "set", DataRecipe())
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize(
    "raised", [MemoryError, RecursionError, struct.error, SyntaxError, ZeroDivisionError, UserWarning]
)
@pytest.mark.parametrize("where", ["sources.open_picture", "cropping._scaled", "pictures._as_rgb"])
def test_nothing_that_one_picture_does_ends_the_set(
    where: str, raised: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = lay_out(tmp_path / "x", {f"{i}.png": jpeg(side=20 + i) for i in range(4)})
    module, _, name = where.partition(".")
    really = getattr(importlib.import_module(f"dogsgan.data.{module}"), name)

    def failing(first: bytes | Image.Image, *others: object, **options: object) -> object:
        picture = Image.open(io.BytesIO(first)) if isinstance(first, bytes) else first
        if picture.size == (22, 22):
            raise raised("one picture")
        return really(first, *others, **options)

    monkeypatch.setattr(f"dogsgan.data.{where}", failing)
    report = prepare(source, tmp_path / "set", DataRecipe(size_px=16))
    assert len(report.crop_set) == 3
    assert report.skipped_by_reason == {"picture cannot be read": 1}
    assert "one picture" in report.skipped[0].detail


def test_a_picture_that_changes_while_it_is_read_ends_the_set(tmp_path: Path) -> None:
    """Else the set would be reused for contents that it was not made of."""
    folder = unlike_in_contents_only(tmp_path / "pictures", 60)
    source = open_source(folder)
    source.fingerprint()
    path = folder / "rose/1.bmp"
    content = path.read_bytes()
    path.write_bytes(content + b"x")
    with pytest.raises(DogsganError, match=r"rose/1\.bmp in .* changed while it was read: run"):
        prepare(source, tmp_path / "set", DataRecipe())
    assert not (tmp_path / "set").exists()
    with pytest.raises(DogsganError, match="changed while it was read"):
        read_generated(source)
    path.write_bytes(content)
    assert len(prepare(source, tmp_path / "set", DataRecipe()).crop_set) == len(source.images)


def test_a_picture_that_is_away_only_for_its_crop_is_no_part_of_a_set_that_would_be_reused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network drive that fails for a moment: the set would be known as that of all pictures."""
    folder = lay_out(tmp_path / "x", {f"rose/{i}.bmp": jpeg(shade=i) for i in range(5)})
    read, failed = FolderStorage.start, []

    def failing_once(self: FolderStorage, name: str, most: int) -> bytes:
        if name.endswith("3.bmp") and not failed:
            failed.append(name)
            raise DogsganError("gone")
        return read(self, name, most)

    monkeypatch.setattr(FolderStorage, "start", failing_once)
    with pytest.raises(DogsganError, match=r"3\.bmp in .* changed while it was read: run"):
        prepare(folder, tmp_path / "set", DataRecipe())
    assert not (tmp_path / "set").exists()
    assert len(prepare(folder, tmp_path / "set", DataRecipe()).crop_set) == 5


def test_a_picture_that_is_gone_for_good_is_left_out_and_its_return_makes_another_set(tmp_path: Path) -> None:
    folder = lay_out(tmp_path / "x", {f"rose/{i}.bmp": jpeg(shade=i) for i in range(5)})
    source, path = open_source(folder), folder / "rose/3.bmp"
    content = path.read_bytes()
    path.unlink()
    report = prepare(source, tmp_path / "set", DataRecipe())
    assert [(item.name, item.reason) for item in report.skipped] == [("rose/3.bmp", "picture cannot be read")]
    path.write_bytes(content)
    again = prepare(folder, tmp_path / "set", DataRecipe())
    assert (again.reused, len(again.crop_set)) == (False, 5)


def test_a_picture_that_is_gone_for_the_contact_sheet_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("dogsgan.data.grids._original", failing)
    report = prepare(lay_out(tmp_path / "x", {"a.png": jpeg()}), tmp_path / "set", DataRecipe())
    assert (report.crop_set.path / "contact-sheet.png").is_file()


def test_a_contact_sheet_that_fails_costs_itself_only(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise RuntimeError("no font")

    out = tmp_path / "set"
    with monkeypatch.context() as patch:
        patch.setattr("dogsgan.data.prepare.draw_contact_sheet", failing)
        for reused in (False, True):
            report = prepare(drawn, out, DataRecipe(size_px=16))
            assert report.reused == reused
            assert report.to_json()["contact_sheet"] is None
            assert "look at" not in report.summary()
            said = capsys.readouterr().err
            assert f"{out / 'contact-sheet.png'} is left out (RuntimeError: no font)" in said
    report = prepare(drawn, out, DataRecipe(size_px=16))
    assert report.reused
    assert report.to_json()["contact_sheet"] == str(out / "contact-sheet.png")
    whole = prepare(drawn, tmp_path / "other", DataRecipe(size_px=16)).crop_set.path
    assert contents(out) == contents(whole)


def test_a_killed_prepare_leaves_nothing_under_the_final_name(drawn: Path, tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from dogsgan.data import prepare as p\n"
        "crop = p.crop_image\n"
        "def slow(*a): time.sleep(0.05); return crop(*a)\n"
        "p.crop_image = slow; print('go', flush=True); p.prepare(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", script, str(drawn), str(tmp_path / "set")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"go\n"
        time.sleep(0.5)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "set").exists()
    assert not prepare(drawn, tmp_path / "set", DataRecipe(size_px=16)).reused


def test_the_contact_sheet_shows_what_was_cut_out(tmp_path: Path) -> None:
    grey = png(np.full((100, 100, 3), 128, np.uint8))
    source = one_dog(tmp_path / "x", grey, annotation((30, 40, 70, 60), side=100))
    prepare(source, tmp_path / "set", DataRecipe())
    sheet = np.asarray(Image.open(tmp_path / "set/contact-sheet.png")).astype(int)
    green = (sheet == (60, 255, 90)).all(axis=2)
    red = (sheet == (255, 60, 60)).all(axis=2)
    rows, columns = np.nonzero(green | red)
    assert green.any()
    assert red.any()
    assert abs((columns.max() - columns.min() + 1) - 37) <= 1  # 40 px, drawn at 0.93 of their size
    assert abs((rows.max() - rows.min() + 1) - 37) <= 1


@pytest.fixture(scope="module")
def mini(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> PrepareReport:
    return prepare(
        shared_data / "generative-dog-images-mini",
        tmp_path_factory.mktemp("mini") / "set",
        DataRecipe(min_box_px=32),
    )


def test_the_real_quirks(mini: PrepareReport) -> None:
    assert mini.skipped_by_reason == {"box is smaller than 32 px": 11, "annotation without picture": 1}
    assert len(mini.crop_set) == 596 - 11
    assert len(mini.crop_set.class_names) == 120
    assert mini.crop_set.class_names[0] == "Chihuahua"
    rows = {str(row["image"]): row for row in mini.crop_set.origins}
    assert rows["n02098105_2063.jpg"]["box"].tolist() == [92, 42, 500, 328]  # annotated 11 px too wide
    small = [item.name for item in mini.skipped if item.reason.startswith("box")]
    assert "n02110806_3880.jpg" in small  # 17 × 23 px


def test_real_crops_differ_little_from_a_plain_loop(mini: PrepareReport, shared_data: Path) -> None:
    folder = shared_data / "generative-dog-images-mini/all-dogs/all-dogs"
    differences = []
    for index in range(0, len(mini.crop_set), 6):
        origin = mini.crop_set.origin(index)
        picture = Image.open(folder / origin.image).convert("RGB").crop(origin.rectangle)
        expected = np.asarray(picture.resize((64, 64), Image.Resampling.LANCZOS)).astype(int)
        differences.append(np.abs(expected - mini.crop_set.pictures[index]).mean())
    assert np.mean(differences) < 2
    assert max(differences) < 8


def test_the_real_pictures_give_the_same_set_in_stanfords_layout_and_in_a_zip(
    mini: PrepareReport, shared_data: Path, tmp_path: Path
) -> None:
    folder = shared_data / "generative-dog-images-mini"
    files = {}
    for file in sorted((folder / "annotation/Annotation").glob("*/*")):
        picture = folder / f"all-dogs/all-dogs/{file.name}.jpg"
        files[f"stanford/Annotation/{file.parent.name}/{file.name}"] = file.read_bytes()
        if picture.exists():
            files[f"stanford/Images/{file.parent.name}/{file.name}.jpg"] = picture.read_bytes()
    report = prepare(zip_up(tmp_path / "stanford.zip", files), tmp_path / "set", DataRecipe(min_box_px=32))
    assert report.crop_set.provenance["kind"] == "stanford"
    assert report.crop_set.fingerprint == mini.crop_set.fingerprint
    assert report.skipped_by_reason == mini.skipped_by_reason
