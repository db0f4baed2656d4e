"""The labels file of a submission: it comes back as it was, and what is none is refused in one line."""

import io
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tiny import RECIPE

from dogsgan import stages
from dogsgan.errors import DogsganError
from dogsgan.models.sampling import BATCH, Sampler
from dogsgan.submission.labels import read_labels, write_labels

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@given(labels=st.dictionaries(TEXT, TEXT, min_size=1, max_size=8))
def test_labels_come_back_as_they_were(labels, tmp_path_factory):
    file = tmp_path_factory.mktemp("labels") / "labels.csv"
    write_labels(file, labels.items())
    assert read_labels(file) == labels
    assert list(read_labels(file)) == list(labels)


def test_the_file_is_a_plain_table(tmp_path):
    file = tmp_path / "labels.csv"
    write_labels(file, [("00000.png", "dhole"), ("00001.png", 'a "b", c'), ("00002.png", "=1+1")])
    assert file.read_bytes() == (
        b'name,class\r\n00000.png,dhole\r\n00001.png,"a ""b"", c"\r\n00002.png,\'=1+1\r\n'
    )


def test_what_editors_add_does_not_count(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes("\ufeffName,Class\n\na.png,Möpse\n\n".encode())
    assert read_labels(file) == {"a.png": "Möpse"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "begins with ''"),
        (b"a.png,cat\n", "begins with 'a.png,cat'"),
        (b"name;class\na.png;cat\n", "its first line should be name,class"),
        (b"name,class\n", "names no picture"),
        (b"name,class\na.png\n", "line 2 of .* has 1 cells, expected 2"),
        (b"name,class\na.png,cat,1\n", "line 2 of .* has 3 cells"),
        (b"name,class\na.png,\n", "line 2 of .* has an empty class"),
        (b"name,class\n,cat\n", "line 2 of .* has an empty name"),
        (b"name,class\na.png,cat\nb.png,cat\na.png,cat\n", "line 4 of .* names a.png a second time"),
        (b'name,class\na.png,"cat\n', "is no CSV"),
        ("name,class\na.png,Möpse\n".encode("latin-1"), "not text in UTF-8"),
        ("name,class\na.png,cat\n".encode("utf-16"), "not text in UTF-8"),
        (b"\x89PNG\r\n\x1a\n\0\0", "not text in UTF-8"),
    ],
)
def test_what_is_no_labels_file_is_refused_in_one_line(content, message, tmp_path):
    file = tmp_path / "labels.csv"
    file.write_bytes(content)
    with pytest.raises(DogsganError, match=message) as refusal:
        read_labels(file)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    with pytest.raises(DogsganError, match="no such labels file"):
        read_labels(tmp_path / "none.csv")
    with pytest.raises(DogsganError, match="cannot be read"):
        read_labels(tmp_path)


def test_nothing_half_written_stays(tmp_path):
    def labels():
        yield "a.png", "cat"
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_labels(tmp_path / "labels.csv", labels())
    assert not list(tmp_path.iterdir())


GREY_OF = {
    "pug": 10,
    "beagle": 90,
    "dhole": 230,
}  # in the order of the generator's classes, not the alphabet's


class _GreyOfTheClass(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.place = torch.nn.Parameter(torch.zeros(1))  # on some device, as weights are

    def forward(self, z, labels):
        levels = torch.tensor(list(GREY_OF.values()))[labels]
        return (levels / 127.5 - 1).view(-1, 1, 1, 1).expand(-1, 3, 32, 32)


def test_each_label_is_the_class_of_the_picture_it_names(tmp_path, monkeypatch):
    sampler = Sampler(_GreyOfTheClass(), RECIPE, tuple(GREY_OF), 0)
    monkeypatch.setattr(Sampler, "open", lambda *_, **__: sampler)
    pictures, labels, count = tmp_path / "images.zip", tmp_path / "labels.csv", BATCH + 6
    stages.generate(tmp_path / "run", pictures, count=count, labels=labels)

    with zipfile.ZipFile(pictures) as archive:
        painted = {
            name: np.unique(np.asarray(Image.open(io.BytesIO(archive.read(name))))).tolist()
            for name in archive.namelist()
        }
    assert len(painted) == count
    assert painted == {name: [GREY_OF[class_name]] for name, class_name in read_labels(labels).items()}


def test_labels_that_cannot_be_written_cost_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setattr(
        Sampler, "open", lambda *_, **__: Sampler(_GreyOfTheClass(), RECIPE, tuple(GREY_OF), 0)
    )

    def full(*_):
        raise DogsganError(f"cannot write {labels}: the disk is full")

    labels = tmp_path / "labels.csv"
    monkeypatch.setattr(stages, "write_labels", full)
    report = stages.generate(tmp_path / "run", tmp_path / "images.zip", count=4, labels=labels)
    assert len(report.failed) == 1
    assert str(labels) in report.failed[0]
    with zipfile.ZipFile(tmp_path / "images.zip") as archive:
        assert len(archive.namelist()) == 4
