"""The score of a zip, a folder or a prepared set against real pictures or statistics files, end to end."""

import dataclasses
import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import crop_set

from dogsgan import score as scorer
from dogsgan.errors import DogsganError
from dogsgan.features import networks
from dogsgan.features import sides as sides_module
from dogsgan.features.sides import Side
from dogsgan.metrics.frechet import statistics_of
from dogsgan.pictures import tf1_resize
from dogsgan.score import score_sides
from dogsgan.scoring import (
    Score,
    features_of,
    frechet_distance_of_features,
    memorization_distance,
    open_network,
    score,
)


def drawn(count: int, *, seed: int, size: int = 64) -> np.ndarray:
    """Return smooth random pictures, N×size×size×3."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(picture).resize((size, size))) for picture in coarse])


def write_zip(path: Path, pictures: np.ndarray, *, image_format: str = "PNG") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for index, picture in enumerate(pictures):
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, format=image_format)
            archive.writestr(f"{index:05d}.{image_format.lower()}", buffer.getvalue())
    return path


@pytest.fixture
def generated(tmp_path: Path) -> Path:
    return write_zip(tmp_path / "images.zip", drawn(30, seed=1))


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """A folder of pictures of several sizes, so that each is resized whole."""
    folder = tmp_path / "real"
    folder.mkdir()
    for index in range(20):
        picture = drawn(1, seed=100 + index, size=80)[0][:, : 60 + index]
        Image.fromarray(picture).save(folder / f"{index:02d}.png")
    return folder


def stand_in(generated: Path, real: Path, tmp_path: Path, **changes) -> Score:  # type: ignore[no-untyped-def]
    return score(generated, real, network="stand-in", device="cpu", cache_dir=tmp_path / "cache", **changes)


def test_the_score_is_that_of_its_parts(generated: Path, real: Path, tmp_path: Path) -> None:
    result = stand_in(generated, real, tmp_path)
    network = open_network("stand-in", device="cpu")
    whole = [tf1_resize(np.asarray(Image.open(file)), 64) for file in sorted(real.iterdir())]
    ours, theirs = features_of(drawn(30, seed=1), network), features_of(np.stack(whole), network)
    assert result.fid == pytest.approx(frechet_distance_of_features(ours, theirs), rel=1e-6)
    assert result.distance == pytest.approx(memorization_distance(ours, theirs), rel=1e-6)
    assert result.mifid == pytest.approx(result.fid)
    assert (result.generated, result.real) == (30, 20)


def test_json_and_text_say_whose_score_it_is(generated: Path, real: Path, tmp_path: Path) -> None:
    result = stand_in(generated, real, tmp_path)
    values = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert {"network", "epsilon", "fid", "distance", "mifid", "generated", "real"} <= values.keys()
    assert values["competition"] is False
    assert values["percentile_2019"] is None
    assert "NOT the competition's score" in values["note"]
    assert "NOT the competition's score" in result.summary()


def test_few_pictures_are_warned_of_with_the_bias(generated: Path, real: Path, tmp_path: Path) -> None:
    result = stand_in(generated, real, tmp_path)
    assert "30 generated pictures are fewer than the network's 288 features" in result.warnings[0]
    assert "too high by about" in result.warnings[0]
    assert "20 real pictures are fewer" in result.warnings[1]


def test_equal_sides_score_zero(generated: Path, tmp_path: Path) -> None:
    result = stand_in(generated, generated, tmp_path)
    assert result.fid == pytest.approx(0.0, abs=1e-9)
    assert result.distance == pytest.approx(0.0, abs=1e-9)


def test_real_features_are_cached_by_contents(
    generated: Path, real: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stand_in(generated, real, tmp_path)
    extracted = []
    original = sides_module._extracted
    monkeypatch.setattr(sides_module, "_extracted", lambda *args: extracted.append(args) or original(*args))
    assert stand_in(generated, real, tmp_path) == first
    assert extracted == []
    changed = real / "00.png"
    pixels = np.array(Image.open(changed))
    pixels[0, 0, 0] ^= 255
    Image.fromarray(pixels).save(changed)
    assert stand_in(generated, real, tmp_path).fid != first.fid
    assert len(extracted) == 1
    for file in (tmp_path / "cache" / "features").iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    stand_in(generated, real, tmp_path)
    assert len(extracted) == 2, "a damaged cache is computed anew"


def test_saved_statistics_give_the_same_score(generated: Path, real: Path, tmp_path: Path) -> None:
    saved = tmp_path / "real.npz"
    first = stand_in(generated, real, tmp_path, save_stats=saved)
    again = stand_in(generated, saved, tmp_path)
    assert (again.fid, again.distance, again.mifid) == (first.fid, first.distance, first.mifid)
    with np.load(saved, allow_pickle=False) as arrays:
        assert set(arrays) == {"m", "s", "features", "mu", "sigma"}
        np.testing.assert_array_equal(arrays["s"], arrays["sigma"])
        covariance = np.cov(arrays["features"].astype(np.float64), rowvar=False)
        np.testing.assert_allclose(arrays["s"], covariance, rtol=1e-9, atol=1e-12)


def test_pytorch_fid_reads_the_saved_file_and_agrees(generated: Path, real: Path, tmp_path: Path) -> None:
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    saved = tmp_path / "real.npz"
    stand_in(generated, real, tmp_path, save_stats=saved)
    mean, covariance = fid_score.compute_statistics_of_path(str(saved), None, 1, 288, "cpu")
    assert mean.shape == (288,)
    assert covariance.shape == (288, 288)


def test_statistics_without_features_give_only_the_frechet_distance(
    generated: Path, real: Path, tmp_path: Path
) -> None:
    saved, bare = tmp_path / "real.npz", tmp_path / "bare.npz"
    first = stand_in(generated, real, tmp_path, save_stats=saved)
    with np.load(saved) as arrays:
        np.savez(bare, mu=arrays["mu"], sigma=arrays["sigma"])
    result = stand_in(generated, bare, tmp_path)
    assert result.fid == pytest.approx(first.fid, rel=1e-9)
    assert (result.distance, result.mifid, result.real) == (None, None, None)
    assert any("has no features" in warning for warning in result.warnings)
    assert "no MiFID" in result.summary()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"m": np.zeros(3), "s": np.eye(3)}, "is of another network"),
        ({"mu": np.zeros(288)}, "needs m and s, or mu and sigma"),
        ({"m": np.full(288, np.nan), "s": np.eye(288)}, "NaN or infinite values in its mean"),
        ({"m": np.zeros(288), "s": np.eye(288), "features": np.zeros((5, 3))}, "is of another network"),
        ({"m": np.array([None] * 288), "s": np.eye(288)}, "cannot be read"),
        ({"m": np.array(["x"] * 288), "s": np.eye(288)}, "not floating-point"),
    ],
)
def test_unusable_statistics_files(
    arrays: dict[str, np.ndarray], message: str, generated: Path, tmp_path: Path
) -> None:
    file = tmp_path / "bad.npz"
    np.savez(file, **arrays)  # type: ignore[arg-type]
    with pytest.raises(DogsganError, match=message):
        stand_in(generated, file, tmp_path)
    file.write_bytes(b"PK nonsense")
    with pytest.raises(DogsganError, match="cannot be read"):
        stand_in(generated, file, tmp_path)


def test_generated_pictures_that_do_not_fit_are_refused(real: Path, tmp_path: Path) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for index, size in enumerate((64, 64, 48)):
        Image.fromarray(drawn(1, seed=index, size=size)[0]).save(mixed / f"{index}.png")
    with pytest.raises(DogsganError, match=r"2.png in .* is 48×48 px, expected 64×64"):
        stand_in(mixed, real, tmp_path)
    (mixed / "2.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(DogsganError, match=r"2.png"):
        stand_in(mixed, real, tmp_path)
    with pytest.raises(DogsganError, match="a score needs at least 2"):
        stand_in(write_zip(tmp_path / "one.zip", drawn(1, seed=0)), real, tmp_path)


def test_unreadable_real_pictures_are_counted(generated: Path, real: Path, tmp_path: Path) -> None:
    (real / "05.png").write_bytes(b"")
    for _ in range(2):  # the second time from the cache
        result = stand_in(generated, real, tmp_path)
        assert result.real == 19
        assert "1 real picture(s) cannot be read and were left out" in result.warnings


def test_what_is_not_png_is_warned_of(real: Path, tmp_path: Path) -> None:
    jpegs = write_zip(tmp_path / "jpegs.zip", drawn(5, seed=1), image_format="JPEG")
    assert "5 generated pictures are not PNG" in stand_in(jpegs, real, tmp_path).warnings[0]


def test_other_sizes_are_compared_at_their_own_size(real: Path, tmp_path: Path) -> None:
    small = write_zip(tmp_path / "small.zip", drawn(6, seed=1, size=32))
    assert stand_in(small, real, tmp_path).generated == 6


def sides(count: int, *, real: int, copied: bool = False) -> tuple[Side, Side]:
    random = np.random.RandomState(0)
    there = np.abs(random.randn(real, 6)).astype(np.float32)
    here = there[:count] * 2 if copied else np.abs(random.randn(count, 6)).astype(np.float32)
    return tuple(Side(statistics_of(rows), rows) for rows in (here, there))  # type: ignore[return-value]


def competition_network(epsilon: float = 0.1) -> networks.FeatureNetwork:
    network = open_network("stand-in", device="cpu")
    return dataclasses.replace(network, name="public", competition=True, epsilon=epsilon)


def test_the_percentile_needs_the_competitions_counts() -> None:
    full = score_sides(*sides(10_000, real=20_000), competition_network())
    assert full.percentile_2019 is not None
    assert "submissions of 2019" in full.summary()
    assert full.warnings == ()
    few = score_sides(*sides(9_999, real=20_000), competition_network())
    assert few.percentile_2019 is None
    assert "the competition scored 10,000 pictures, these are 9,999" in few.warnings


def test_copies_are_penalised() -> None:
    result = score_sides(*sides(500, real=600, copied=True), competition_network())
    assert result.distance == pytest.approx(0.0, abs=1e-6)
    assert result.mifid is not None
    assert result.mifid > 1e5 * result.fid
    assert "penalised" in result.summary()


def test_a_network_of_the_competition_refuses_other_sizes(real: Path, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    network = dataclasses.replace(competition_network(), required_px=64)
    monkeypatch.setattr(sides_module, "open_network", lambda *args, **options: network)
    small = write_zip(tmp_path / "small.zip", drawn(6, seed=1, size=32))
    with pytest.raises(DogsganError, match="are 32×32 px: the network public scores 64×64"):
        score(small, real, cache_dir=tmp_path)


def test_a_cache_that_cannot_be_written_loses_nothing(generated: Path, real: Path, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert stand_in(generated, real, tmp_path).real == 20


def test_the_cache_is_keyed_by_the_network(real: Path, tmp_path: Path) -> None:
    from dogsgan.data.sources import open_source

    network = open_network("stand-in", device="cpu")
    other = dataclasses.replace(network, identity="another")
    source = open_source(real)
    sides_module.real_side_of(source, network, size_px=64, cache_dir=tmp_path)
    assert sides_module.feature_file(tmp_path, source, network, size_px=64).path().is_file()
    assert not sides_module.feature_file(tmp_path, source, network, size_px=32).is_likely()
    assert not sides_module.feature_file(tmp_path, source, other, size_px=64).is_likely()


@pytest.mark.parametrize("device", ["mps", "cpu"])
def test_sums_in_float64_are_left_to_the_cpu_where_the_device_has_none(device: str) -> None:
    features = np.random.RandomState(0).rand(5, 3).astype(np.float32)
    side = Side(statistics=statistics_of(features), features=features)
    network = dataclasses.replace(open_network("stand-in", device="cpu"), device=torch.device(device))
    assert scorer._on(side, network).device.type == "cpu"


def test_a_prepared_set_that_changed_is_not_scored_by_what_is_cached(generated: Path, tmp_path: Path) -> None:
    crops = crop_set(tmp_path / "set", count=12, size_px=64)
    first = stand_in(generated, crops.path, tmp_path)
    assert stand_in(generated, crops.path, tmp_path).fid == first.fid
    content = bytearray((crops.path / "pictures.npy").read_bytes())
    content[-5000:] = bytes(5000)
    (crops.path / "pictures.npy").write_bytes(content)
    with pytest.raises(DogsganError, match="changed since it was written: prepare it again"):
        stand_in(generated, crops.path, tmp_path)


def test_other_pictures_under_the_same_names_sizes_and_times_are_scored_anew(
    generated: Path, real: Path, tmp_path: Path
) -> None:
    for file in real.iterdir():
        file.write_bytes(file.read_bytes().ljust(60_000, b"\0"))
        os.utime(file, ns=(10**18, 10**18))
    first = stand_in(generated, real, tmp_path)
    for file in real.iterdir():
        with Image.open(file) as picture:
            Image.fromarray(255 - np.asarray(picture)).save(file, "PNG")
        file.write_bytes(file.read_bytes().ljust(60_000, b"\0"))
        os.utime(file, ns=(10**18, 10**18))
    assert stand_in(generated, real, tmp_path).fid != first.fid
