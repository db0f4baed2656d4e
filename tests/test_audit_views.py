"""The forms in which training pictures could have been copied."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from copied import training_views
from drawn_pictures import drawn_pictures
from PIL import Image
from tiny import crop_set

from dogsgan.config import DataRecipe
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def test_every_form_of_the_competitions_pictures(shared_data: Path, tmp_path: Path) -> None:
    source = open_source(shared_data / "generative-dog-images-mini")
    views = training_views(source, size_px=32, folder=tmp_path)
    assert views.forms == ("whole", "square", "context", "center")
    assert views.pictures.shape == (len(views), 32, 32, 3)
    assert views.unreadable == ()
    counts = np.bincount(views.form, minlength=4)
    assert counts[0] == 510 == len(views.names)
    assert counts[1] > 510, "a square for each box"
    assert counts[1] >= counts[2] > 300, "context squares that are no other rectangle again"
    assert (np.diff(views.picture_index) >= 0).all()
    square = prepare(source, tmp_path / "set", DataRecipe(size_px=32, policy="square")).crop_set
    ours = views.pictures[views.form <= 1].astype(np.float32).reshape(-1, 32 * 32 * 3)  # whole ones too
    crops = np.asarray(square.pictures[::10]).reshape(-1, 32 * 32 * 3)
    apart = [np.abs(ours - crop).mean(axis=1).min() for crop in crops]
    assert np.mean(apart) < 2.5, "the same crops as prepare, but for how JPEGs are decoded: whole, fast DCT"
    assert np.max(apart) < 8


def test_pictures_without_boxes_are_whole_or_cut_in_the_middle(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "real.zip", "w") as file:
        file.writestr("square.png", png(drawn_pictures(1, size_px=48)[0]))
        file.writestr("wide.png", png(drawn_pictures(1, size_px=48)[0][:32]))
    views = training_views(open_source(tmp_path / "real.zip"), size_px=32, folder=tmp_path)
    found = [(views.names[p], views.forms[f]) for p, f in zip(views.picture_index, views.form, strict=True)]
    assert found == [("square.png", "whole"), ("wide.png", "whole"), ("wide.png", "center")]


def test_a_prepared_set_has_one_form(tmp_path: Path) -> None:
    prepared = crop_set(tmp_path / "set", count=5)
    views = training_views(open_source(prepared.path), size_px=32, folder=tmp_path)
    assert views.forms == ("crop",)
    assert (np.asarray(views.pictures) == np.asarray(prepared.pictures)).all()


def test_views_are_found_again_and_made_anew_for_another_size(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "real.zip", "w") as file:
        file.writestr("a.png", png(drawn_pictures(1, size_px=48)[0]))
    source = open_source(tmp_path / "real.zip")
    training_views(source, size_px=32, folder=tmp_path / "kept")
    [folder] = (tmp_path / "kept").iterdir()
    stamp = (folder / "views.u8").stat().st_mtime_ns
    training_views(source, size_px=32, folder=tmp_path / "kept")
    assert (folder / "views.u8").stat().st_mtime_ns == stamp
    training_views(source, size_px=16, folder=tmp_path / "kept")
    assert len(list((tmp_path / "kept").iterdir())) == 2


def test_what_cannot_be_read_is_left_out_and_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "real.zip", "w") as file:
        file.writestr("a.png", png(drawn_pictures(1)[0]))
        file.writestr("b.png", png(drawn_pictures(1)[0])[:200])
    views = training_views(open_source(tmp_path / "real.zip"), size_px=32, folder=tmp_path)
    assert views.names == ("a.png",)
    assert "b.png" in views.unreadable[0]


def test_nothing_readable_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "real.zip", "w") as file:
        file.writestr("b.png", b"\x89PNG no picture")
    with pytest.raises(DogsganError, match=r"no picture of .* can be read"):
        training_views(open_source(tmp_path / "real.zip"), size_px=32, folder=tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_damaged_views_are_refused_in_a_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "real.zip", "w") as file:
        file.writestr("a.png", png(drawn_pictures(1)[0]))
    source = open_source(tmp_path / "real.zip")
    training_views(source, size_px=32, folder=tmp_path / "kept")
    [folder] = (tmp_path / "kept").iterdir()
    (folder / "views.u8").write_bytes(b"short")
    with pytest.raises(DogsganError, match=r"is damaged .* remove it"):
        training_views(source, size_px=32, folder=tmp_path / "kept")
