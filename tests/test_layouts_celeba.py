"""CelebA: folders and zips are known by their names, the split file is found, and its split alone counts."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from test_sources import lay_out, zip_up

from dogsgan.config import DataRecipe
from dogsgan.data.layouts.celeba import parse_split_file
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError


def face(index: int) -> bytes:
    """A picture of CelebA's size: a white square of 160 px in its middle, grey around it."""
    pixels = np.full((218, 178, 3), 90, np.uint8)
    pixels[29:189, 9:169] = 255
    pixels[0, 0] = index
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="JPEG", quality=95)
    return buffer.getvalue()


FACES = {f"{index:06d}.jpg": face(index) for index in range(1, 7)}
PARTITION = {1: 0, 2: 0, 3: 2, 4: 1, 5: 0, 6: 2}
TXT = "".join(f"{index:06d}.jpg {part}\n" for index, part in PARTITION.items()).encode()
CSV = b"image_id,partition\r\n" + TXT.replace(b" ", b",").replace(b"\n", b"\r\n")
EXPECTED = {"": [1, 2, 5], "@train": [1, 2, 5], "@valid": [4], "@test": [3, 6], "@all": [1, 2, 3, 4, 5, 6]}


def below(folder: str) -> dict[str, bytes]:
    return {f"{folder}/{name}": content for name, content in FACES.items()}


LAYOUTS = {
    "Kaggle": below("img_align_celeba/img_align_celeba")
    | {"list_eval_partition.csv": CSV, "list_attr_celeba.csv": b"image_id,Smiling\n"},
    "torchvision": below("celeba/img_align_celeba")
    | {"celeba/list_eval_partition.txt": TXT, "celeba/list_attr_celeba.txt": b"x"},
    "original": below("Img/img_align_celeba") | {"Eval/list_eval_partition.txt": TXT, "README.txt": b"x"},
    "split file inside": below("img_align_celeba") | {"img_align_celeba/list_eval_partition.txt": TXT},
}


@pytest.mark.parametrize("asked", EXPECTED)
@pytest.mark.parametrize("as_zip", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_split_that_is_asked_for_is_taken(layout: str, as_zip: bool, asked: str, tmp_path: Path) -> None:
    files = LAYOUTS[layout]
    path = zip_up(tmp_path / "faces.zip", files) if as_zip else lay_out(tmp_path / "faces", files)
    source = open_source(Path(f"{path}{asked}"))
    assert source.kind == "celeba"
    assert [image.name for image in source.images] == [f"{index:06d}.jpg" for index in EXPECTED[asked]]
    assert {image.class_name for image in source.images} == {None}
    assert source.skipped == []
    assert source.read(source.images[0]) == FACES[source.images[0].name]
    if asked != "@all":
        assert f"{len(EXPECTED[asked])} of 6, {asked[1:] or 'train'} by list_eval" in source.description


@pytest.mark.parametrize("split_file", ["list_eval_partition.txt", "../Eval/list_eval_partition.txt"])
@pytest.mark.parametrize("as_zip", [False, True])
def test_the_split_file_may_lie_beside(as_zip: bool, split_file: str, tmp_path: Path) -> None:
    folder = tmp_path / "Img"
    folder.mkdir()
    if as_zip:
        path = zip_up(folder / "img_align_celeba.zip", below("img_align_celeba"))
    else:
        path = lay_out(folder / "img_align_celeba", FACES)
    (folder / split_file).parent.mkdir(exist_ok=True)
    (folder / split_file).write_bytes(TXT)
    source = open_source(path)
    assert [image.name for image in source.images] == ["000001.jpg", "000002.jpg", "000005.jpg"]


def test_without_a_split_file_all_are_taken_and_that_is_said(tmp_path: Path) -> None:
    path = zip_up(tmp_path / "img_align_celeba.zip", FACES)
    assert len(open_source(path).images) == 6
    assert "no list_eval_partition" in open_source(path).description
    with pytest.raises(DogsganError, match="put it beside"):
        open_source(Path(f"{path}@test"))


def test_pngs_are_listed_as_jpgs(tmp_path: Path) -> None:
    files = {name.replace("jpg", "png"): content for name, content in below("img_align_celeba").items()}
    source = open_source(lay_out(tmp_path, files | {"list_eval_partition.txt": TXT}))
    assert [image.name for image in source.images] == ["000001.png", "000002.png", "000005.png"]


def test_what_folder_and_split_file_do_not_share_is_listed(tmp_path: Path) -> None:
    files = below("img_align_celeba") | {"img_align_celeba/more/9.jpg": face(9)}
    del files["img_align_celeba/000002.jpg"], files["img_align_celeba/000003.jpg"]
    source = open_source(lay_out(tmp_path, files | {"list_eval_partition.txt": TXT}))
    assert [image.name for image in source.images] == ["000001.jpg", "000005.jpg"]
    assert [(item.name, item.reason, item.detail) for item in source.skipped] == [
        ("more/9.jpg", "not in the split file", ""),
        ("list_eval_partition.txt", "lists pictures that are not there", "2, the first is 000002"),
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "lists no picture"),
        (b"image_id,partition\n", "lists no picture"),
        (TXT + b"000009.jpg 3\n", "line 7"),
        (TXT + b"000009.jpg\n", "line 7"),
        (TXT + b"000001.jpg 1\n", "line 7: 000001.jpg is in two"),
        (b"\xff\xfe\0\x1b[2J 1 2", "line 1"),
        (b"000077.jpg 0\n", "none of the 6"),
        (TXT * 250_000, "larger than any genuine"),
    ],
)
@pytest.mark.parametrize("as_zip", [False, True])
def test_a_broken_split_file_is_refused_in_one_line(
    content: bytes, said: str, as_zip: bool, tmp_path: Path
) -> None:
    files = below("img_align_celeba") | {"list_eval_partition.txt": content}
    path = zip_up(tmp_path / "faces.zip", files) if as_zip else lay_out(tmp_path / "faces", files)
    with pytest.raises(DogsganError) as caught:
        open_source(path)
    assert said in str(caught.value)
    assert "list_eval_partition.txt" in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.binary(max_size=60))
def test_any_split_file_is_read_or_refused(content: bytes) -> None:
    try:
        partitions = parse_split_file(content, "x")
    except DogsganError:
        return
    assert set(partitions.values()) <= {"0", "1", "2"}


def test_the_usual_crops_are_cut_from_the_middle(tmp_path: Path) -> None:
    lay_out(tmp_path / "img_align_celeba", FACES)
    for policy, rectangle in (
        ("center-160", (9, 29, 169, 189)),
        ("center-108", (35, 55, 143, 163)),
        ("center", (0, 20, 178, 198)),
        ("square", (0, 20, 178, 198)),
    ):
        crop_set = prepare(
            tmp_path / "img_align_celeba", tmp_path / policy, DataRecipe(policy=policy)
        ).crop_set
        assert crop_set.origin(0).rectangle == rectangle
        assert crop_set.origin(0).policy == policy
        assert len(crop_set) == 6
        assert (crop_set.pictures[0] > 200).all() == (policy in ("center-160", "center-108"))
