"""Drawn dogs: genuine layout and format, exact boxes, repeatable bytes."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dogsgan.data.drawn import competition
from dogsgan.data.drawn.competition import annotation_text, draw_competition, draw_picture
from dogsgan.data.drawn.dogs import BREEDS, POSES, Pen, draw_dog
from dogsgan.data.layouts.annotated import parse_annotation
from dogsgan.data.pictures import decode_picture
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=50, seed=1)


def test_it_is_the_competitions_layout(drawn: Path) -> None:
    source = open_source(drawn)
    assert source.kind == "competition"
    assert len(source.images) == 50
    assert {image.class_name for image in source.images} == {breed.name for breed in BREEDS}
    assert source.skipped == []
    assert all(image.problem is None for image in source.images)
    assert any(len(image.boxes) > 1 for image in source.images)
    for image in source.images:
        assert decode_picture(source.read(image), image.name).size == image.annotated_size


def test_annotations_look_genuine(drawn: Path, shared_data: Path) -> None:
    genuine = (
        shared_data / "generative-dog-images-mini/annotation/Annotation/n02085620-Chihuahua/n02085620_1765"
    ).read_text()
    with zipfile.ZipFile(drawn) as archive:
        name = next(name for name in archive.namelist() if name.startswith("annotation/"))
        text = archive.read(name).decode()
    assert "." not in name.rsplit("/", 1)[-1]
    assert not text.startswith("<?xml")

    def shape(content: str) -> list[str]:
        return [line.split(">")[0] for line in content.split("</object>")[0].splitlines()]

    assert shape(text) == shape(genuine)


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    first = draw_competition(tmp_path / "a.zip", images=12, seed=5).read_bytes()
    assert draw_competition(tmp_path / "b.zip", images=12, seed=5).read_bytes() == first
    assert draw_competition(tmp_path / "c.zip", images=12, seed=6).read_bytes() != first


def test_a_folder_holds_what_the_zip_holds(tmp_path: Path) -> None:
    archive = open_source(draw_competition(tmp_path / "a.zip", images=6))
    folder = open_source(draw_competition(tmp_path / "a", images=6))
    assert folder.images == archive.images
    assert [folder.read(image) for image in folder.images] == [
        archive.read(image) for image in archive.images
    ]


def test_boxes_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a black scene and no grain, a lone dog's box holds every pixel that is not black, no more."""

    def black(name: str, size: tuple[int, int], horizon: int, rng: np.random.Generator) -> Image.Image:
        return Image.new("RGB", size)

    monkeypatch.setattr(competition, "draw_scene", black)
    monkeypatch.setattr(competition, "add_light", lambda picture, rng: picture)
    checked = 0
    for index in range(30):
        drawn = draw_picture(index)
        if len(drawn.boxes) != 1 or drawn.breed.name == "n00000009-Night_retriever":
            continue
        rows, columns = np.nonzero(np.asarray(drawn.picture).max(axis=2))
        box = drawn.boxes[0]
        assert (box.xmin, box.ymin) == (columns.min(), rows.min())
        assert (box.xmax, box.ymax) == (columns.max() + 1, rows.max() + 1)
        checked += 1
    assert checked > 15


@pytest.mark.parametrize("breed", BREEDS, ids=lambda breed: breed.name)
def test_every_breed_has_every_pose_and_they_differ(breed: object) -> None:
    seen = set()
    for pose in POSES:
        pen = Pen((300, 300), origin=(100, 280), scale=120, mirrored=False, tilt=0.0)
        draw_dog(pen, breed, pose, np.random.default_rng(0))  # type: ignore[arg-type]
        box = pen.layer.getbbox()
        assert box is not None
        assert min(box[2] - box[0], box[3] - box[1]) > 60
        seen.add(pen.layer.tobytes())
    assert len(seen) == len(POSES)


def test_every_dog_has_a_box_of_some_size() -> None:
    for index in range(60):
        drawn = draw_picture(index)
        annotation = parse_annotation(annotation_text(drawn, "x").encode(), "x")
        assert annotation.boxes == tuple(drawn.boxes)
        assert drawn.boxes
        for box in drawn.boxes:
            assert 0 <= box.xmin < box.xmax <= drawn.picture.width
            assert 0 <= box.ymin < box.ymax <= drawn.picture.height
            assert max(box.width, box.height) >= 30


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DogsganError, match="0 pictures"):
        draw_competition(tmp_path / "a.zip", images=0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("precious")
    with pytest.raises(DogsganError, match="not an empty folder"):
        draw_competition(tmp_path / "mine", images=2)
    assert (tmp_path / "mine/file").exists()
