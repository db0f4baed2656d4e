"""What travels to a GPU arrives whole, and what it found comes back: everything but the card itself."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import RECIPE, crop_set

SCRIPTS = Path(__file__).parents[1] / "scripts"
sys.path.append(str(SCRIPTS))

import gpu_packing as packing  # noqa: E402
import gpu_proof  # noqa: E402
from bench_training import built_as_biggan, of_equal_size  # noqa: E402

from dogsgan.data.sources import open_source  # noqa: E402
from dogsgan.models import build_networks, outline_networks, parameter_count  # noqa: E402
from dogsgan.models.generator_file import read_generator, save_generator  # noqa: E402
from dogsgan.presets import preset  # noqa: E402


def test_crops_arrive_in_class_folders_and_some_are_held_out(tmp_path):
    crops = crop_set(tmp_path / "set")
    counts = packing.pack_crops(tmp_path / "set", tmp_path)
    assert counts == {"crops.zip": 28, "held-out.zip": 2}
    sources = [open_source(tmp_path / name) for name in counts]
    assert {image.class_name for image in sources[0].images} == set(crops.class_names)
    names = [image.name.rpartition("/")[2] for source in sources for image in source.images]
    assert sorted(names) == sorted(f"{index}.webp" for index in range(30))
    with zipfile.ZipFile(tmp_path / "crops.zip") as archive:
        name = archive.namelist()[0]
        picture = np.asarray(Image.open(io.BytesIO(archive.read(name))).convert("RGB"))
    index = int(Path(name).stem)
    assert (
        np.abs(picture.astype(int) - crops.pictures[index]).mean() < 20
    )  # the noise of these is hard to code


def test_what_does_not_arrive_as_it_was_sent_is_named(tmp_path):
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    assert packing.note_contents(tmp_path, {}) == 3
    assert packing.check_contents(tmp_path) == []
    (tmp_path / "a").write_text("A")
    (tmp_path / "b").unlink()
    assert packing.check_contents(tmp_path) == ["a is missing or damaged", "b is missing or damaged"]


def test_modules_that_are_missing_there_are_brought(tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "BROUGHT", {"tqdm": "tqdm", "defusedxml": "defusedxml"})
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert packing.pack_modules(tmp_path, python=here) == []
    (tmp_path / packing.MODULES / "defusedxml.zip").unlink()
    assert packing.bring_missing_modules(tmp_path, tmp_path / "none") == []
    site = tmp_path / "site"
    assert packing.bring_missing_modules(tmp_path, site, hidden=("tqdm", "defusedxml")) == ["tqdm"]
    code = "import tqdm, tqdm.auto; print(tqdm.__file__); import defusedxml"
    found = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(site)}, capture_output=True, text=True
    )
    assert found.stdout.strip() == str(site / "tqdm" / "__init__.py")
    assert "No module named 'defusedxml'" in found.stderr


def test_results_come_back_in_parts_the_most_important_first(tmp_path):
    files = {f"{name}.bin": tmp_path / name for name in ("log", "generator", "pictures", "note")}
    for size, path in zip((100, 70_000, 40_000, 10), files.values(), strict=True):
        path.write_bytes(np.random.default_rng(size).bytes(size))
    out = tmp_path / "out"
    out.mkdir()
    assert packing.send_parts(files, out, part_bytes=25_000) == ["pictures.bin"]
    parts = sorted(out.iterdir())
    assert [part.stat().st_size <= 25_000 for part in parts] == [True] * len(parts)
    assert 1 < len(parts) <= packing.MOST_PARTS
    assert packing.receive_parts(out, tmp_path / "back") == ["log.bin", "generator.bin", "note.bin"]
    assert (tmp_path / "back" / "generator.bin").read_bytes() == files["generator.bin"].read_bytes()
    parts[1].unlink()
    with pytest.raises(SystemExit, match="some are missing"):
        packing.receive_parts(out, tmp_path / "again")


def test_generator_and_pictures_come_back(tmp_path):
    generator = build_networks(RECIPE, class_count=3).generator
    whole, half, back = (tmp_path / f"{name}.safetensors" for name in ("whole", "half", "back"))
    save_generator(
        whole, generator, recipe=RECIPE, class_names=("a", "b", "c"), images_seen=7, halflife_images=1
    )
    packing.halve_generator(whole, half)
    packing.restore_generator(half, back)
    assert half.stat().st_size < 0.7 * whole.stat().st_size
    (ours, described), (theirs, expected) = read_generator(back), read_generator(whole)
    assert described == expected
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        torch.testing.assert_close(ours[name], tensor, rtol=1e-3, atol=1e-5)

    pictures = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for index, picture in enumerate(pictures):
            content = io.BytesIO()
            Image.fromarray(picture).save(content, "PNG")
            archive.writestr(f"{index}.png", content.getvalue())
    assert packing.shrink_pictures(tmp_path / "images.zip", tmp_path / "small.zip", most_bytes=1400) == 2
    packing.restore_pictures(tmp_path / "small.zip", tmp_path / "back.zip")
    with zipfile.ZipFile(tmp_path / "back.zip") as archive:
        assert archive.namelist() == ["0.png", "1.png"]
        again = [np.asarray(Image.open(io.BytesIO(archive.read(name)))) for name in archive.namelist()]
    assert (np.stack(again) == pictures[:2]).all()


def test_bigganpytorchs_layout_has_as_many_parameters_and_twice_its_width_at_the_top():
    recipe = preset("dogs-sagan-cpu")
    ours, other = outline_networks(recipe, class_count=120), of_equal_size(recipe)
    with built_as_biggan():
        theirs = outline_networks(other, class_count=120)
    counts = [sum(map(parameter_count, networks)) for networks in (ours, theirs)]
    assert counts[1] == pytest.approx(counts[0], rel=0.05)  # a width more or less
    assert theirs.generator.to_picture.in_channels == 2 * other.model.generator_width
    assert not theirs.generator._forward_pre_hooks  # each layer iterates by itself


def test_a_step_that_fails_hangs_or_is_to_be_killed_is_told_from_one_that_went_well(tmp_path):
    proof = gpu_proof.Proof(tmp_path, tmp_path, tmp_path, "cpu", False, gpu_proof.time.monotonic() + 60, {})

    def run(name, code, **options):
        return proof.step(name, sys.executable, "-c", code, **{"limit_s": 30, **options})

    assert run("well", "print('yes')") == "yes\n"
    assert run("wrong", "print(1); raise ValueError('no such card')") is None
    sleeping = "import time; print('begun', flush=True); time.sleep(60)"
    assert run("slow", sleeping, limit_s=1) in ("", "begun\n")
    assert run("killed", sleeping, kill_when=lambda: bool((tmp_path / "killed.out").read_text())) == "begun\n"
    proof.ends_at = 0.0
    assert run("late", "") is None
    results = {row["step"]: row["result"] for row in json.loads((tmp_path / "results.json").read_text())}
    assert results["well"] == "well"
    assert results["wrong"] == "FAILED: ValueError: no such card"
    assert results["slow"].startswith("FAILED: killed at its limit of 1 s")
    assert results["killed"] == "killed, as planned"
    assert results["late"] == "left out: no time left"
    assert proof.failed
