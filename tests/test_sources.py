"""Sources: every layout is told apart without being told, and nothing in them can do harm."""

import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dogsgan.crops import Box
from dogsgan.data import pictures as picture_limits
from dogsgan.data.class_names import breed_name
from dogsgan.data.cropset import write_crop_set
from dogsgan.data.layouts import detect_layout
from dogsgan.data.layouts.layout import common_folder
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError

POODLE, PUG = "n02113624-toy_poodle", "n02110958-pug"


def jpeg(side: int = 40, shade: int = 90) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 10, 200)).save(buffer, format="JPEG")
    return buffer.getvalue()


def annotation(*boxes: tuple[int, int, int, int], side: int = 40) -> bytes:
    tags = ("xmin", "ymin", "xmax", "ymax")
    objects = ""
    for box in boxes:
        corners = "".join(f"<{tag}>{value}</{tag}>" for tag, value in zip(tags, box, strict=True))
        objects += f"<object><bndbox>{corners}</bndbox></object>"
    size = f"<size><width>{side}</width><height>{side}</height></size>"
    return f"<annotation>{size}{objects}</annotation>".encode()


DOGS = {  # breed and stem: both layouts are made from this
    (POODLE, "n02113624_1"): annotation((1, 2, 30, 39)),
    (POODLE, "n02113624_2"): annotation((0, 0, 9, 9), (5, 5, 20, 20)),
    (PUG, "n02110958_7"): annotation((3, 3, 40, 40)),
}


def competition(prefix: str = "") -> dict[str, bytes]:
    files = {f"{prefix}all-dogs/all-dogs/{stem}.jpg": jpeg() for _, stem in DOGS}
    return files | {f"{prefix}annotation/Annotation/{b}/{s}": c for (b, s), c in DOGS.items()}


def stanford(prefix: str = "") -> dict[str, bytes]:
    files = {f"{prefix}Images/{breed}/{stem}.jpg": jpeg() for breed, stem in DOGS}
    return files | {f"{prefix}Annotation/{b}/{s}": c for (b, s), c in DOGS.items()}


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def zip_up(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def facts(source: Source) -> list[tuple[str, str | None, tuple[Box, ...]]]:
    return [(image.name.rsplit("/")[-1], image.class_name, image.boxes) for image in source.images]


EXPECTED = [
    ("n02110958_7.jpg", PUG, (Box(3, 3, 40, 40),)),
    ("n02113624_1.jpg", POODLE, (Box(1, 2, 30, 39),)),
    ("n02113624_2.jpg", POODLE, (Box(0, 0, 9, 9), Box(5, 5, 20, 20))),
]


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (competition(), "competition"),
        (competition("generative-dog-images/"), "competition"),
        (competition("kaggle/input/generative-dog-images/"), "competition"),
        (stanford(), "stanford"),
        (stanford("stanford-dogs/"), "stanford"),
        ({k.replace("all-dogs/all-dogs", "all-dogs"): v for k, v in competition().items()}, "competition"),
        (competition() | {"other/readme.md": b"x", "other/cat.png": b"x"}, "competition"),
        (competition() | {"__MACOSX/all-dogs/._x.jpg": b"x", ".DS_Store": b"x"}, "competition"),
    ],
)
def test_layouts_are_detected(files: dict[str, bytes], kind: str, as_zip: bool, tmp_path: Path) -> None:
    source = open_source(zip_up(tmp_path / "x.zip", files) if as_zip else lay_out(tmp_path / "x", files))
    assert source.kind == kind
    assert facts(source) == EXPECTED
    assert source.skipped == []
    assert source.read(source.images[0]) == jpeg()
    assert source.decode(source.images[0]).tobytes() == Image.open(io.BytesIO(jpeg())).tobytes()
    assert "3 pictures, 4 boxes, 2 breeds" in source.description


def test_pictures_without_boxes(tmp_path: Path) -> None:
    files = {"a/1.png": jpeg(), "2.JPG": jpeg(), "notes.txt": b"x", ".hidden.png": b"x", "Thumbs.db": b"x"}
    for source in (
        open_source(lay_out(tmp_path / "f", files)),
        open_source(zip_up(tmp_path / "f.zip", files)),
    ):
        assert source.kind == "pictures"
        assert [(image.name, image.class_name, image.boxes) for image in source.images] == [
            ("2.JPG", None, ()),
            ("a/1.png", None, ()),
        ]
        assert [item.name for item in source.skipped] == ["notes.txt"]


def test_the_pictures_folder_alone_says_how_to_get_the_boxes(tmp_path: Path) -> None:
    lay_out(tmp_path, competition())
    source = open_source(tmp_path / "all-dogs")
    assert source.kind == "pictures"
    assert "annotation/" in source.description


def test_breeds_of_folders_count_only_when_all_pictures_have_one(tmp_path: Path) -> None:
    files = {f"Images/{POODLE}/1.jpg": jpeg(), f"Images/{PUG}/2.jpg": jpeg()}
    assert {i.class_name for i in open_source(lay_out(tmp_path, files)).images} == {POODLE, PUG}
    lay_out(tmp_path, {"3.jpg": jpeg()})
    assert {i.class_name for i in open_source(tmp_path).images} == {None}


CLASSES = {"daisy/1.jpg": jpeg(), "daisy/2.png": jpeg(), "rose & co/1.jpg": jpeg(), "n03/x.gif": jpeg()}


@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("prefix", ["", "flowers/", "a/b/"])
def test_folders_beside_each_other_are_classes(prefix: str, as_zip: bool, tmp_path: Path) -> None:
    files = {prefix + name: content for name, content in CLASSES.items()} | {f"{prefix}notes.txt": b"x"}
    source = open_source(zip_up(tmp_path / "x.zip", files) if as_zip else lay_out(tmp_path / "x", files))
    assert source.kind == "classes"
    assert [(image.name, image.class_name) for image in source.images] == [
        ("daisy/1.jpg", "daisy"),
        ("daisy/2.png", "daisy"),
        ("n03/x.gif", "n03"),
        ("rose & co/1.jpg", "rose & co"),
    ]
    assert "4 pictures without boxes in 3 class folders" in source.description
    assert [item.name for item in source.skipped] == [f"{prefix}notes.txt"]


@pytest.mark.parametrize(
    "names",
    [
        ["daisy/1.jpg", "rose/1.jpg", "3.jpg"],  # a picture in no class
        ["daisy/1.jpg", "rose/red/1.jpg"],  # one deeper than the other
        ["train/daisy/1.jpg", "train/rose/1.jpg", "test/rose/2.jpg"],  # every one deeper
        ["train/1.jpg", "Test/2.jpg", "val/3.jpg"],  # splits, not classes
        ["daisy/1.jpg", "daisy/2.jpg"],  # one folder only
    ],
)
def test_other_folders_are_not_classes(names: list[str], tmp_path: Path) -> None:
    source = open_source(lay_out(tmp_path, {name: jpeg() for name in names}))
    assert source.kind == "pictures"
    assert {image.class_name for image in source.images} == {None}
    assert ("splits" in source.description) == names[0].startswith("train/")


@given(st.lists(st.text(st.sampled_from("ab/"), min_size=1, max_size=8), min_size=1, max_size=6))
def test_the_common_folder_is_the_deepest_that_holds_all(names: list[str]) -> None:
    folder = common_folder(names)
    assert all(name.startswith(folder) for name in names)
    assert folder == "" or folder.endswith("/")
    rest = [name[len(folder) :] for name in names]
    heads = {name.partition("/")[0] for name in rest}
    assert len(heads) > 1 or any("/" not in name for name in rest)


def test_a_split_of_what_has_none_is_refused(tmp_path: Path) -> None:
    lay_out(tmp_path / "dogs", competition())
    write_crop_set(tmp_path / "set", np.zeros((1, 16, 16, 3), np.uint8))
    for name in ("dogs@test", "set@train"):
        with pytest.raises(DogsganError, match=r"no splits: leave out @t"):
            open_source(tmp_path / name)
    with pytest.raises(DogsganError, match="no split 'tset'"):
        open_source(tmp_path / "dogs@tset")
    with pytest.raises(DogsganError, match="no such file or folder"):
        open_source(tmp_path / "cats@test")


def test_a_name_with_an_at_sign_is_a_name_where_it_exists(tmp_path: Path) -> None:
    lay_out(tmp_path / "dogs", competition())
    lay_out(tmp_path / "dogs@test", {"1.jpg": jpeg()})
    assert open_source(tmp_path / "dogs@test").kind == "pictures"
    assert open_source(lay_out(tmp_path / "me@home", competition())).kind == "competition"


def test_stanford_pictures_of_one_name_in_two_breeds_keep_their_own_boxes(tmp_path: Path) -> None:
    files = {f"Images/{breed}/1.jpg": jpeg() for breed in (POODLE, PUG)}
    files |= {
        f"Annotation/{POODLE}/1": annotation((1, 1, 9, 9)),
        f"Annotation/{PUG}/1": annotation((2, 2, 8, 8)),
    }
    source = open_source(lay_out(tmp_path, files))
    assert [(image.name, image.class_name, image.boxes) for image in source.images] == [
        (f"{PUG}/1.jpg", PUG, (Box(2, 2, 8, 8),)),
        (f"{POODLE}/1.jpg", POODLE, (Box(1, 1, 9, 9),)),
    ]


def test_a_prepared_set_is_a_source(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)
    write_crop_set(tmp_path / "set", pictures, [1, 0, 1], class_names=["pug", "poodle"])
    source = open_source(tmp_path / "set")
    assert source.kind == "crop-set"
    assert source.images[0].class_name == "poodle"
    assert (np.asarray(Image.open(io.BytesIO(source.read(source.images[2])))) == pictures[2]).all()
    assert (np.asarray(source.decode(source.images[2])) == pictures[2]).all()
    assert source.crop_set is not None


def test_each_thing_left_out_has_its_reason(tmp_path: Path) -> None:
    files = competition() | {
        f"annotation/Annotation/{PUG}/n02110958_8": annotation((1, 1, 5, 5)),
        f"annotation/Annotation/{POODLE}/n02110958_7": annotation((1, 1, 5, 5)),
        f"annotation/Annotation/{PUG}/n02110958_9": b"<broken",
        "all-dogs/all-dogs/n02110958_9.jpg": jpeg(),
        "all-dogs/all-dogs/n02110958_5.jpg": jpeg(),
        "all-dogs/all-dogs/n09999999_5.jpg": jpeg(),
        "all-dogs/all-dogs/list.csv": b"",
    }
    source = open_source(lay_out(tmp_path, files))
    assert sorted((item.reason, item.name.rsplit("/")[-1]) for item in source.skipped) == [
        ("annotation cannot be read", "n02110958_9"),
        ("annotation without picture", "n02110958_8"),
        ("not a picture by its name", "list.csv"),
        ("second annotation of the same picture", "n02110958_7"),
    ]
    unboxed = {image.name: (image.class_name, image.problem) for image in source.images if image.problem}
    assert unboxed == {
        "n02110958_5.jpg": (PUG, "no annotation"),
        "n02110958_9.jpg": (PUG, "annotation cannot be read"),
        "n09999999_5.jpg": (None, "no annotation"),
    }


def test_a_hostile_zip_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dogsgan.data.sources.MAX_PICTURE_BYTES", 10_000)
    path = tmp_path / "hostile.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../climbed.png", jpeg())
        archive.writestr("/etc/absolute.png", jpeg())
        archive.writestr("bomb.png", bytes(1_000_000))
        archive.writestr("fine.png", jpeg())
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("fine.png", b"other")
        archive.writestr("x" * 600 + ".png", jpeg())
    before = set(tmp_path.rglob("*"))
    source = open_source(path)
    read = {image.name: source.read(image) for image in source.images if image.name != "bomb.png"}
    assert read == {"../../climbed.png": jpeg(), "/etc/absolute.png": jpeg(), "fine.png": jpeg()}
    with pytest.raises(DogsganError, match=r"bomb\.png"):
        source.read(next(image for image in source.images if image.name == "bomb.png"))
    assert [item.reason for item in source.skipped] == ["same name twice in the zip", "name too long"]
    assert set(tmp_path.rglob("*")) == before
    assert picture_limits.MAX_PICTURE_BYTES > 10_000


def test_a_size_that_lies_is_found_out(tmp_path: Path) -> None:
    path = zip_up(tmp_path / "lies.zip", {"a.png": jpeg()})
    content = path.read_bytes().replace(len(jpeg()).to_bytes(4, "little"), (9).to_bytes(4, "little"))
    path.write_bytes(content)
    source = open_source(path)
    with pytest.raises(DogsganError, match=r"a\.png"):
        source.read(source.images[0])


def test_encrypted_entries_are_listed(tmp_path: Path) -> None:
    path = zip_up(tmp_path / "e.zip", {"a.png": jpeg(), "b.png": jpeg()})
    content = bytearray(path.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 8] |= 1
    path.write_bytes(bytes(content))
    source = open_source(path)
    assert [(item.name, item.reason) for item in source.skipped] == [("b.png", "encrypted in the zip")]


@pytest.mark.parametrize("make", ["missing", "empty", "texts", "no-zip", "cut", "nul"])
def test_what_is_no_source_says_so_in_one_line(make: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    if make == "empty":
        path.mkdir()
    elif make == "texts":
        lay_out(path, {"a.txt": b"x", "inner.zip": b"x"})
    elif make == "no-zip":
        path.write_bytes(b"hello")
    elif make == "cut":
        content = zip_up(tmp_path / "whole.zip", competition()).read_bytes()
        path.write_bytes(content[: len(content) // 2])
    elif make == "nul":
        path = tmp_path / "a\0b"
    with pytest.raises(DogsganError) as caught:
        open_source(path)
    assert "\n" not in str(caught.value)
    if make in ("empty", "texts"):
        assert "looked for" in str(caught.value)
    if make == "texts":
        assert "inner.zip" in str(caught.value)


@settings(deadline=None, max_examples=60)
@given(at=st.integers(0, 2000), junk=st.binary(min_size=1, max_size=6), cut=st.booleans())
def test_damaged_zips_raise_nothing_but_one_line(
    at: int, junk: bytes, cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("z") / "x.zip"
    content = zip_up(
        path, {"a.png": b"abc" * 50, "Annotation/n00000001-a/a": annotation((1, 1, 5, 5))}
    ).read_bytes()
    at %= len(content)
    path.write_bytes(content[:at] + junk + (b"" if cut else content[at + len(junk) :]))
    try:
        source = open_source(path)
        for image in source.images:
            source.read(image)
    except DogsganError:
        pass


def test_odd_files_in_a_folder_do_not_hang(tmp_path: Path) -> None:
    lay_out(tmp_path, {"a.png": jpeg()})
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path)
    source = open_source(tmp_path)
    assert [image.name for image in source.images] == ["a.png", "gone.png", "pipe.png"]
    for image in source.images[1:]:
        with pytest.raises(DogsganError, match=image.name):
            source.read(image)


def test_the_fingerprint_is_of_the_contents_not_of_the_place(tmp_path: Path) -> None:
    first = zip_up(tmp_path / "a.zip", competition())
    second = Path(shutil.copy(first, tmp_path / "b.zip"))
    assert open_source(first).fingerprint() == open_source(second).fingerprint()
    changed = zip_up(
        tmp_path / "c.zip", competition() | {"all-dogs/all-dogs/n02110958_7.jpg": jpeg(shade=91)}
    )
    assert open_source(first).fingerprint() != open_source(changed).fingerprint()
    moved_box = {f"annotation/Annotation/{PUG}/n02110958_7": annotation((3, 3, 40, 39))}
    boxed = zip_up(tmp_path / "d.zip", competition() | moved_box)
    assert open_source(first).fingerprint() != open_source(boxed).fingerprint()
    folder = lay_out(tmp_path / "f", competition())
    before = open_source(folder).fingerprint()
    assert open_source(folder).fingerprint() == before
    lay_out(folder, {"all-dogs/all-dogs/n02110958_7.jpg": jpeg(shade=92)})
    assert open_source(folder).fingerprint() != before


@given(st.lists(st.text(st.sampled_from("aA./n1jpgIimesxml-d"), max_size=30), max_size=12))
def test_any_listing_has_a_layout_or_none(names: list[str]) -> None:
    layout = detect_layout(sorted(names))
    if layout is not None:
        assert layout.pictures
        assert set(layout.pictures) <= set(names)


def test_breed_names_for_people() -> None:
    assert breed_name("n02085620-Chihuahua") == "Chihuahua"
    assert breed_name("n02116738-African_hunting_dog") == "African hunting dog"
    assert breed_name("n02086240-Shih-Tzu") == "Shih-Tzu"
    assert breed_name("rose_red") == "rose_red"  # `rose red` may be another class


def test_the_real_folder_holds_what_is_known_of_it(shared_data: Path) -> None:
    mini = shared_data / "generative-dog-images-mini"
    source = open_source(mini)
    assert (source.kind, len(source.images)) == ("competition", 510)
    assert sum(len(image.boxes) for image in source.images) == 596
    assert len({image.class_name for image in source.images}) == 120
    assert [(item.name.rsplit("/")[-1], item.reason) for item in source.skipped] == [
        ("n02105855_2933", "annotation without picture")
    ]
    sheepdogs = [image for image in source.images if image.class_name == "n02105855-Shetland_sheepdog"]
    assert sheepdogs  # whose annotations say %s for folder and file
    assert all(image.boxes and image.name.startswith("n02105855_") for image in sheepdogs)
