"""Each picture is read once, decoded once and goes once through the network: counted."""

import dataclasses
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dogsgan import pictures
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features import networks
from dogsgan.features import sides as sides_module
from dogsgan.features.networks import FeatureNetwork, open_network
from dogsgan.features.sides import real_sides_of
from dogsgan.features.timm_networks import Classifier
from dogsgan.scoring import per_class
from dogsgan.scoring import score as score_of

SIZE = 16
PICTURES = 9


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    random = np.random.RandomState(0)
    for side, shape in (("generated", (SIZE, SIZE, 3)), ("real", (21, 30, 3))):
        for index in range(PICTURES):
            folder = tmp_path / side / f"class-{index % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(random.randint(0, 256, shape).astype(np.uint8)).save(
                folder / f"{side}-{index}.png"
            )
    return tmp_path / "generated", tmp_path / "real"


class Counts:
    """How often each picture is read, decoded and shown to the network, by the name of its file."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads, self.decodes, self.passes = Counter(), Counter(), 0
        read, decode, features = Source.read, pictures.decode, FeatureNetwork.features

        def counted_read(source, image):  # type: ignore[no-untyped-def]
            self.reads[image.name] += 1
            return read(source, image)

        def counted_decode(content, name):  # type: ignore[no-untyped-def]
            self.decodes[name] += 1
            return decode(content, name)

        def counted_features(network, batch):  # type: ignore[no-untyped-def]
            self.passes += len(batch)
            return features(network, batch)

        monkeypatch.setattr(Source, "read", counted_read)
        monkeypatch.setattr(pictures, "decode", counted_decode)
        monkeypatch.setattr(FeatureNetwork, "features", counted_features)

    def of(self, side: str) -> tuple[set[int], set[int]]:
        names = [f"class-{i % 2}/{side}-{i}.png" for i in range(PICTURES)]
        return {self.reads[name] for name in names}, {self.decodes[name] for name in names}


@pytest.mark.parametrize("network", ["stand-in", "auto"])
@pytest.mark.parametrize("scored", [score_of, per_class])
def test_a_score_reads_decodes_and_shows_each_picture_once(scored, network, sides, tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "auto_network", lambda *args, **options: ("stand-in", None))
    options = {"network": network, "device": "cpu", "cache_dir": tmp_path / "cache"}
    cold = Counts(monkeypatch)
    first = scored(*sides, **options)
    assert cold.of("generated") == ({1}, {1})
    assert cold.of("real") == ({1}, {1})
    assert cold.passes == 2 * PICTURES
    monkeypatch.undo()
    monkeypatch.setattr(networks, "auto_network", lambda *args, **options: ("stand-in", None))
    warm = Counts(monkeypatch)
    assert scored(*sides, **options) == first
    assert warm.of("generated") == ({1}, {1})
    assert warm.of("real") == ({1}, {0}), "cached real pictures are hashed only"
    assert warm.passes == PICTURES


def test_recognition_cuts_its_real_crops_in_the_same_pass(sides, tmp_path, monkeypatch):
    weight = torch.randn(1000, 288, generator=torch.Generator().manual_seed(0))
    with_classes = dataclasses.replace(
        open_network("stand-in", device="cpu"), classifier=Classifier(weight, torch.zeros(1000))
    )
    for scored in (score_of, per_class):
        options = {"network": "stand-in", "cache_dir": tmp_path / scored.__name__}
        for reads, decodes, passes in (({1}, {1}, 3), ({1}, {0}, 1)):  # cold, then warm
            monkeypatch.undo()
            monkeypatch.setattr(sides_module, "open_network", lambda *args, **options: with_classes)
            counts = Counts(monkeypatch)
            found = scored(*sides, **options)
            recognition = getattr(found, "score", found).recognition
            assert recognition.real.pictures == PICTURES
            assert counts.of("generated") == ({1}, {1})
            assert counts.of("real") == (reads, decodes)
            assert counts.passes == passes * PICTURES
        for kept in (tmp_path / scored.__name__ / "guesses").iterdir():
            kept.unlink()
        monkeypatch.undo()
        monkeypatch.setattr(sides_module, "open_network", lambda *args, **options: with_classes)
        counts = Counts(monkeypatch)
        again = scored(*sides, **options)
        assert counts.of("real") == ({1}, {1}), "features are kept, guesses are not"
        assert getattr(again, "score", again).recognition.real == recognition.real


class Corners:
    """A consumer: the corner of every picture, or why there is none."""

    def __init__(self) -> None:
        self.taken: dict[int, object] = {}

    def view(self, image, picture):  # type: ignore[no-untyped-def]
        if picture.pixels.shape[0] < 20:
            raise DogsganError("too small")
        return picture.pixels[0, 0]

    def take(self, row, made):  # type: ignore[no-untyped-def]
        self.taken[row] = made


def test_networks_and_consumers_share_a_pass(sides, tmp_path, monkeypatch):
    (sides[1] / "class-0" / "real-0.png").write_bytes(b"no picture")
    Image.new("RGB", (12, 12)).save(sides[1] / "class-0" / "real-2.png")
    source, network = open_source(sides[1]), open_network("stand-in", device="cpu")
    larger = dataclasses.replace(network, identity="another", real_px=24)
    counts, corners = Counts(monkeypatch), Corners()
    found, warnings = real_sides_of(
        source, [network, larger], size_px=SIZE, cache_dir=tmp_path, consumers=[corners]
    )
    assert counts.of("real") == ({1}, {1})
    assert counts.passes == 2 * (PICTURES - 1)
    assert [side.count for side in found] == [PICTURES - 1] * 2
    assert "1 real picture(s) cannot be read" in warnings[0]
    assert [str(made) for made in list(corners.taken.values())[1:2]] == ["too small"]
    assert isinstance(corners.taken[0], DogsganError)
    assert list(corners.taken) == list(range(PICTURES))
    np.testing.assert_array_equal(
        corners.taken[8], np.asarray(Image.open(sides[1] / source.images[8].name))[0, 0]
    )
    for each, kept in zip([network, larger], found, strict=True):  # as each alone
        [alone], _ = real_sides_of(source, [each], size_px=SIZE, cache_dir=tmp_path / each.identity[:4])
        np.testing.assert_array_equal(alone.features, kept.features)


def test_generated_pictures_are_read_with_their_pixels(sides):
    source = open_source(sides[0])
    read = pictures.read_generated(source)
    assert read.names == tuple(image.name for image in source.images)
    assert read.pixels.shape == (PICTURES, SIZE, SIZE, 3)
    np.testing.assert_array_equal(read.pixels[4], np.asarray(Image.open(sides[0] / read.names[4])))


def test_large_sets_are_mapped(sides, monkeypatch):
    small = pictures.read_generated(open_source(sides[0])).pixels
    monkeypatch.setattr(pictures, "_IN_MEMORY_BYTES", 100)
    mapped = pictures.read_generated(open_source(sides[0])).pixels
    assert isinstance(mapped, np.memmap)
    np.testing.assert_array_equal(mapped, small)
