"""Whatever the bytes, a person sees one line that names the file, and finds no half-written file.

`scripts/fuzz.py` runs these same laws over far more examples.
"""

import contextlib
import io
import json
import os
import random
import shutil
import signal
import struct
import tracemalloc
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import save_file

from dogsgan.config import DataRecipe, Recipe
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.layouts.annotated import parse_annotation
from dogsgan.data.pictures import decode_picture
from dogsgan.data.prepare import prepare
from dogsgan.data.sources import open_source
from dogsgan.data.storage import open_storage
from dogsgan.errors import DogsganError
from dogsgan.features.sides import load_statistics
from dogsgan.features.weights import read_weights
from dogsgan.models.generator_file import GENERATOR_FILE, read_generator
from dogsgan.models.sampling import Sampler
from dogsgan.submission import check_submission
from dogsgan.training import checkpoint
from dogsgan.training.run_folder import RECIPE_FILE, check_same_recipe, checkpoints
from dogsgan.training.state import TrainingState

EXAMPLES = int(os.environ.get("DOGSGAN_FUZZ_EXAMPLES", "25"))
SECONDS = 20  # that anything may take; a hang is a failure too
fuzzed = settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
pytestmark = pytest.mark.filterwarnings("ignore")


class Hang(BaseException):
    """Not an Exception, so that no handler mistakes it for damage."""


@contextlib.contextmanager
def one_line_at_most(*named: str | Path, folder: Path | None = None) -> Iterator[None]:
    """Let only a DogsganError pass as handled: printable, one line, with one of the names in it, and in time.

    `folder` must hold no file that was begun and not finished.
    """

    def too_long(*_: object) -> None:
        raise Hang(f"still running after {SECONDS} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    except DogsganError as error:
        text = str(error)
        assert text.isprintable(), repr(text)
        assert len(text) < 1500, text
        assert any(str(name) in text for name in named), text
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    if folder is not None:
        assert not [path for path in folder.rglob("*") if path.name.endswith((".partial", ".old"))]


Damage = list[tuple[int, bytes, int]]
# Places in millionths of the content, what is written there, and how much is cut there.
damages = st.lists(
    st.tuples(st.integers(0, 999_999), st.binary(max_size=8), st.integers(0, 300)), min_size=1, max_size=5
)


def damaged(content: bytes, damage: Damage) -> bytes:
    data = bytearray(content)
    for place, written, cut in damage:
        start = place * len(data) // 1_000_000
        data[start : start + max(cut - 200, len(written))] = written
    return bytes(data)


# Annotations

GENUINE = b"""<annotation>
	<folder>02085620</folder>
	<filename>n02085620_7</filename>
	<size><width>250</width><height>188</height><depth>3</depth></size>
	<segment>0</segment>
	<object><name>Chihuahua</name><pose>Unspecified</pose>
		<bndbox><xmin>71</xmin><ymin>1</ymin><xmax>192</xmax><ymax>180</ymax></bndbox></object>
</annotation>"""
numbers = st.one_of(
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(["", " 7 ", "1e999", "-1e9", "nan", "١٢", "1_0", "0x10", "9" * 5000, "7\0", "&#65;"]),
    st.text(max_size=6),
)
BILLION_LAUGHS = b"""<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;&x;">]><annotation>&y;</annotation>"""
OUTSIDE = b"""<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation>&x;</annotation>"""


@fuzzed
@given(damages)
def test_damaged_annotations(damage: Damage) -> None:
    with one_line_at_most("n02085620_7"):
        parse_annotation(damaged(GENUINE, damage), "n02085620_7")


@fuzzed
@given(st.binary(max_size=200))
@example(b"")
@example(BILLION_LAUGHS)
@example(OUTSIDE)
@example(b"<a>" * 80_000)
@example(b"<annotation>" + b"<object/>" * 20_000 + b"</annotation>")
@example(b"<?xml version='1.0' encoding='no-such'?><annotation/>")
@example(b"<?xml version='1.0' encoding='hex'?><annotation/>")
@example(b"\xff\xfe<\0a\0")
@example(b"<annotation " + b" ".join(b"a%d='x'" % i for i in range(20_000)) + b"/>")
def test_any_bytes_as_annotation(content: bytes) -> None:
    with one_line_at_most("n02085620_7"):
        parse_annotation(content, "n02085620_7")


@fuzzed
@given(st.lists(numbers, min_size=6, max_size=6))
def test_any_numbers_in_an_annotation(values: list[str]) -> None:
    genuine = (b"250", b"188", b"71", b"1", b"192", b"180")
    content = GENUINE
    for old, new in zip(genuine, values, strict=True):
        content = content.replace(b">" + old + b"<", b">" + new.encode(errors="replace") + b"<", 1)
    with one_line_at_most("n02085620_7"):
        annotation = parse_annotation(content, "n02085620_7")
        assert all(isinstance(value, int) for box in annotation.boxes for value in vars(box).values())


# Pictures


def encoded(image: Image.Image, format_name: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format=format_name, **options)
    return buffer.getvalue()


def noise(seed: int, size: int = 24) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def with_exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


PICTURES = {
    "jpeg": encoded(noise(1), "JPEG"),
    "progressive": encoded(noise(2), "JPEG", progressive=True, exif=with_exif(6)),
    "cmyk": encoded(noise(3).convert("CMYK"), "JPEG"),
    "png": encoded(noise(4), "PNG"),
    "palette": encoded(noise(5).convert("P"), "PNG", transparency=3),
    "alpha": encoded(noise(6).convert("RGBA"), "PNG"),
    "deep": encoded(noise(7).convert("I;16"), "PNG"),
    "gif": encoded(noise(8), "GIF", save_all=True, append_images=[noise(9)]),
    "bmp": encoded(noise(10), "BMP"),
    "webp": encoded(noise(11), "WEBP"),
    "tiff": encoded(noise(12), "TIFF", compression="tiff_lzw"),
    "tiff-jpeg": encoded(noise(12), "TIFF", compression="jpeg"),
    "floats": encoded(noise(13).convert("F"), "TIFF"),
    "ppm": encoded(noise(14), "PPM"),
}


@fuzzed
@given(st.sampled_from(sorted(PICTURES)), damages, st.sampled_from([None, (4, 4), (1000, 2)]))
def test_damaged_pictures(kind: str, damage: Damage, min_size: tuple[int, int] | None) -> None:
    with one_line_at_most("a-dog.jpg"):
        picture = decode_picture(damaged(PICTURES[kind], damage), "a-dog.jpg", min_size=min_size)
        assert picture.mode == "RGB"


@pytest.mark.parametrize("kind", sorted(PICTURES))
def test_pictures_cut_short_anywhere(kind: str) -> None:
    content = PICTURES[kind]
    for end in {*range(0, len(content), max(1, len(content) // 40)), len(content) - 1}:
        with one_line_at_most("a-dog.jpg"):
            decode_picture(content[:end], "a-dog.jpg")


@fuzzed
@given(
    st.binary(max_size=100),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0", b"P6 "]),
)
def test_any_bytes_as_picture(content: bytes, start: bytes) -> None:
    with one_line_at_most("a-dog.jpg"):
        decode_picture(start + content, "a-dog.jpg")


def png_of_size(width: int, height: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(2**31 - 1, 2**31 - 1), (2**31 - 1, 1), (60_000, 60_000), (0, 5)])
def test_a_picture_of_a_size_that_cannot_be(size: tuple[int, int]) -> None:
    with one_line_at_most("a-dog.jpg"):
        decode_picture(png_of_size(*size, zlib.compress(bytes(1000))), "a-dog.jpg")


# Sources and prepare


@pytest.fixture(scope="module")
def competition_zip(tmp_path_factory: pytest.TempPathFactory) -> dict[int, bytes]:
    """A small zip in the competition's layout, stored and deflated."""
    made = {}
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as archive:
            for index in range(3):
                breed = f"n0208562{index}-Breed_{index}"
                annotation = GENUINE.replace(b"250", b"24").replace(b"188", b"24").replace(b"71", b"2")
                archive.writestr(f"all-dogs/all-dogs/n0208562{index}_7.jpg", encoded(noise(index), "JPEG"))
                archive.writestr(f"annotation/Annotation/{breed}/n0208562{index}_7", annotation)
        made[method] = buffer.getvalue()
    return made


def prepare_and_open(source: Path, out: Path) -> None:
    prepare(source, out, DataRecipe(size_px=8), workers=1)
    CropSet.open(out).verify()


@fuzzed
@given(damages, st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
def test_damaged_source_zips(
    competition_zip: dict[int, bytes], tmp_path_factory: pytest.TempPathFactory, damage: Damage, method: int
) -> None:
    folder = tmp_path_factory.mktemp("source")
    path = folder / "dogs.zip"
    path.write_bytes(damaged(competition_zip[method], damage))
    with one_line_at_most("dogs.zip", folder=folder):
        prepare_and_open(path, folder / "set")
    assert (folder / "set").is_dir() == (folder / "set" / "set.json").is_file()
    shutil.rmtree(folder)


names_in_a_zip = st.one_of(
    st.text(max_size=12).map(lambda text: text + ".jpg"),
    st.sampled_from(
        [
            "../../escaped.jpg",
            "/tmp/escaped.jpg",
            "a\\b.jpg",
            "all-dogs/.jpg",
            "all-dogs/all-dogs/x\n\x1b[2J.jpg",
            "annotation/Annotation/n02085620-A/x",
            "annotation/Annotation//x",
            "all-dogs/all-dogs/" + "y" * 600 + ".jpg",
            "images/images/x.jpg",
            "Images/n02085620-A/n02085620_1.jpg",
        ]
    ),
)
contents_in_a_zip = st.one_of(st.sampled_from([b"", GENUINE, *PICTURES.values()]), st.binary(max_size=30))


@fuzzed
@given(st.lists(st.tuples(names_in_a_zip, contents_in_a_zip), max_size=6))
def test_zips_with_any_names_and_contents(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("source")
    path = folder / "dogs.zip"
    with zipfile.ZipFile(path, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of names used twice
        for name, content in entries:
            with contextlib.suppress(UnicodeEncodeError, IndexError):  # zipfile cannot write such names
                archive.writestr(name, content)
    with one_line_at_most("dogs.zip", folder=folder):
        prepare_and_open(path, folder / "set")
    assert {child.name for child in folder.iterdir()} <= {"dogs.zip", "set"}
    shutil.rmtree(folder)


@fuzzed
@given(st.lists(st.tuples(st.binary(min_size=1, max_size=20), contents_in_a_zip), max_size=5))
def test_folders_with_any_names_and_contents(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[bytes, bytes]]
) -> None:
    folder = tmp_path_factory.mktemp("source")
    (folder / "dogs").mkdir()
    for name, content in entries:
        safe = name.replace(b"/", b"_").replace(b"\0", b"_")
        with contextlib.suppress(IsADirectoryError, FileExistsError):
            (folder / "dogs" / os.fsdecode(safe + b".jpg")).write_bytes(content)
    with one_line_at_most(folder / "dogs", folder=folder):
        prepare_and_open(folder / "dogs", folder / "set")
    shutil.rmtree(folder)


def test_a_source_zip_with_a_name_that_starts_with_nul(tmp_path: Path) -> None:
    path = tmp_path / "dogs.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("Q9.png", PICTURES["png"])
        archive.writestr("8.png", PICTURES["png"])
    path.write_bytes(path.read_bytes().replace(b"Q9.png", b"\x009.png"))
    assert [image.name for image in open_source(path).images] == ["8.png"]


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_in_a_source_is_not_unpacked(tmp_path: Path, method: int) -> None:
    path = tmp_path / "dogs.zip"
    bomb = bytes(60 * 2**20)
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("dog.jpg", bomb)
    size, small = struct.pack("<I", len(bomb)), struct.pack("<I", 2000)
    path.write_bytes(path.read_bytes().replace(size, small))  # it lies about its size
    tracemalloc.start()
    with one_line_at_most("dogs.zip", "dog.jpg", folder=tmp_path):
        storage = open_storage(path)
        for name in storage.names:
            storage.read(name, limit=2**20)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20


@pytest.mark.parametrize("name", ["nowhere", "x" * 300, "a\0b"])
def test_a_source_that_is_not_there(tmp_path: Path, name: str) -> None:
    with one_line_at_most(tmp_path, "nowhere", "xxx"):
        open_source(tmp_path / name)
    with pytest.raises(DogsganError):
        open_source(tmp_path / name)


# Prepared sets


@pytest.fixture(scope="module")
def set_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pictures = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
    path = tmp_path_factory.mktemp("sets") / "good"
    labels = [index % 3 for index in range(12)]
    return write_crop_set(path, pictures, labels, class_names=["a", "b", "c"]).path


def use(crop_set: CropSet) -> None:
    """Look at everything a set offers."""
    assert crop_set.pictures[0].shape == (crop_set.size_px, crop_set.size_px, 3)
    for index in range(len(crop_set)):
        crop_set.origin(index)
    crop_set.verify()


@fuzzed
@given(st.sampled_from(["pictures.npy", "labels.npy", "origins.npy", "set.json"]), damages)
def test_damaged_sets(
    set_path: Path, tmp_path_factory: pytest.TempPathFactory, name: str, damage: Damage
) -> None:
    path = tmp_path_factory.mktemp("sets") / "bad"
    shutil.copytree(set_path, path)
    header_first = [(place // 8 if name.endswith("npy") else place, *rest) for place, *rest in damage]
    (path / name).write_bytes(damaged((path / name).read_bytes(), header_first))
    with one_line_at_most(path):
        use(CropSet.open(path))
    shutil.rmtree(path.parent)


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.just(10**400), st.floats(), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(["format", "crops", "size_px", "fingerprint", "class_names", "provenance"]),
        json_values,
    )
)
def test_any_values_in_a_sets_manifest(
    set_path: Path, tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("sets") / "bad"
    shutil.copytree(set_path, path)
    manifest = json.loads((path / "set.json").read_bytes())
    (path / "set.json").write_text(json.dumps({**manifest, **changed}))
    with one_line_at_most(path):
        use(CropSet.open(path))
    shutil.rmtree(path.parent)


def test_a_pickle_in_a_set_is_not_run(set_path: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return (Path(tmp_path / "sprung").touch, ())

    path = tmp_path / "set"
    shutil.copytree(set_path, path)
    np.save(path / "labels.npy", np.array([Trap()] * 12, dtype=object), allow_pickle=True)
    with pytest.raises(DogsganError, match=r"set is broken|labels"):
        CropSet.open(path)
    assert not (tmp_path / "sprung").exists()


# Recipes

field_names = st.sampled_from(
    [
        f"{section}.{name}"
        for section, values in Recipe().to_json().items()
        if isinstance(values, dict)
        for name in values
    ]
)


@fuzzed
@given(json_values)
def test_any_value_as_recipe(value: Any) -> None:
    with one_line_at_most("recipe"):
        Recipe.from_json(value)


@fuzzed
@given(st.dictionaries(field_names, json_values, min_size=1, max_size=3))
@example({"training.generator_lr": 10**400})
@example({"model.generator_width": 10**400, "model.z_dim": 10**9})
def test_any_value_in_a_recipe(changed: dict[str, Any]) -> None:
    value = Recipe().to_json()
    for name, new in changed.items():
        section, _, field = name.partition(".")
        value[section][field] = new
    with one_line_at_most("recipe"):
        recipe = Recipe.from_json(value)
        assert Recipe.from_json(recipe.to_json()) == recipe
        json.dumps(recipe.to_json(), allow_nan=False)


@fuzzed
@given(
    st.lists(st.tuples(field_names, st.one_of(numbers, st.text(max_size=12))), max_size=3),
    st.text(max_size=9),
)
def test_any_setting(settings_made: list[tuple[str, str]], nonsense: str) -> None:
    for overrides in ([f"{name}={value[:400]}" for name, value in settings_made], [nonsense]):
        with one_line_at_most("recipe", "--set"):
            Recipe().with_overrides(overrides)


@fuzzed
@given(st.binary(max_size=60))
@example(b"[" * 100_000)
@example(b"9" * 5000)
@example(b'{"a": 1e999}')
def test_any_bytes_as_a_runs_recipe(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    run = tmp_path_factory.mktemp("run")
    (run / RECIPE_FILE).write_bytes(content)
    with one_line_at_most(run, "recipe"):
        check_same_recipe(run, Recipe(), fingerprint="")


# Checkpoints and generators


@pytest.fixture(scope="module")
def state(set_path: Path) -> TrainingState:
    small = ["data.size_px=32", "model.generator_width=8", "model.discriminator_width=8", "model.z_dim=4"]
    small += ["model.discriminator_attention_px=16"]
    recipe = Recipe().with_overrides([*small, "training.batch_size=2"])
    return TrainingState(recipe, CropSet.open(set_path), torch.device("cpu"))


@pytest.fixture(scope="module")
def run(state: TrainingState, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("run")
    checkpoint.save_checkpoint(state, run)
    described = {"recipe": state.recipe.to_json(), "class_names": ["a", "b", "c"], "images_seen": 0}
    weights = {name: tensor.contiguous() for name, tensor in state.averaged.module.state_dict().items()}
    save_file(weights, run / GENERATOR_FILE, metadata={"dogsgan": json.dumps(described)})
    return run


def near_the_start(damage: Damage) -> Damage:
    """Aim at the header, for damage among the weights is but another number."""
    return [(place // 50, written, cut) for place, written, cut in damage]


@fuzzed
@given(st.integers(0, 9), damages, st.booleans())
def test_damaged_checkpoints(
    state: TrainingState,
    run: Path,
    tmp_path_factory: pytest.TempPathFactory,
    which: int,
    damage: Damage,
    aim: bool,
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint") / "000000000"
    shutil.copytree(checkpoints(run)[0], folder)
    files = sorted(path.name for path in folder.iterdir())
    name = files[which % len(files)]
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(damaged(content, near_the_start(damage) if aim else damage))
    with one_line_at_most(folder):
        checkpoint.load_checkpoint(folder, state)
    shutil.rmtree(folder.parent)


def test_a_pickle_in_a_checkpoint_is_not_run(state: TrainingState, run: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
            return (os.mkdir, (str(tmp_path / "sprung"),))

    folder = tmp_path / "000000000"
    shutil.copytree(checkpoints(run)[0], folder)
    torch.save({"images_seen": Trap()}, folder / checkpoint.STATE)
    with pytest.raises(DogsganError, match="000000000"):
        checkpoint.load_checkpoint(folder, state)
    assert not (tmp_path / "sprung").exists()


@fuzzed
@given(
    st.dictionaries(
        st.sampled_from(sorted(["random", "images_seen", "steps", "rollbacks", "batches"])), json_values
    )
)
def test_any_values_in_a_checkpoints_state(
    state: TrainingState, run: Path, tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("checkpoint") / "000000000"
    shutil.copytree(checkpoints(run)[0], folder)
    saved = torch.load(folder / checkpoint.STATE, weights_only=True)
    torch.save({**saved, **changed}, folder / checkpoint.STATE)
    with one_line_at_most(folder):
        checkpoint.load_checkpoint(folder, state)
    shutil.rmtree(folder.parent)


@fuzzed
@given(damages, st.booleans())
def test_damaged_generators(
    run: Path, tmp_path_factory: pytest.TempPathFactory, damage: Damage, aim: bool
) -> None:
    path = tmp_path_factory.mktemp("generator") / GENERATOR_FILE
    content = (run / GENERATOR_FILE).read_bytes()
    path.write_bytes(damaged(content, near_the_start(damage) if aim else damage))
    with one_line_at_most(path, "recipe"):
        Sampler.open(path, device="cpu")
    shutil.rmtree(path.parent)


@fuzzed
@given(st.dictionaries(st.sampled_from(["recipe", "class_names", "images_seen"]), json_values))
@example({"class_names": ["a"] * 100_000})
def test_any_description_in_a_generator(
    run: Path, tmp_path_factory: pytest.TempPathFactory, changed: dict[str, Any]
) -> None:
    weights, described = read_generator(run / GENERATOR_FILE)
    path = tmp_path_factory.mktemp("generator") / "other.safetensors"
    save_file(weights, path, metadata={"dogsgan": json.dumps({**described, **changed})})
    with one_line_at_most(path, "recipe"):
        Sampler.open(path, device="cpu")
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("field", ["z_dim", "generator_width", "discriminator_width"])
@pytest.mark.parametrize("value", [1024, 10**5, 10**400], ids=["1024", "10^5", "10^400"])
def test_a_generator_that_says_it_is_huge(run: Path, tmp_path: Path, field: str, value: int) -> None:
    weights, described = read_generator(run / GENERATOR_FILE)
    described["recipe"]["model"][field] = value
    save_file(weights, tmp_path / "other.safetensors", metadata={"dogsgan": json.dumps(described)})
    with one_line_at_most("other.safetensors", "recipe"):
        Sampler.open(tmp_path / "other.safetensors", device="cpu")


# Statistics files and weights


@fuzzed
@given(st.sampled_from([".pt", ".safetensors"]), damages, st.booleans())
@example(".pt", [(0, b"\x80\x02.....", 200)], False)
def test_damaged_network_weights(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, damage: Damage, aim: bool
) -> None:
    path = tmp_path_factory.mktemp("weights") / f"net{suffix}"
    tensors = {"a.weight": torch.arange(12.0).reshape(3, 4), "a.bias": torch.zeros(3)}
    if suffix == ".pt":
        torch.save(tensors, path)
    else:
        save_file(tensors, path)
    content = path.read_bytes()
    path.write_bytes(damaged(content, near_the_start(damage) if aim else damage))
    with one_line_at_most(path):
        read_weights(path)
    shutil.rmtree(path.parent)


@fuzzed
@given(damages, st.booleans())
def test_damaged_statistics(tmp_path_factory: pytest.TempPathFactory, damage: Damage, packed: bool) -> None:
    path = tmp_path_factory.mktemp("statistics") / "real.npz"
    save = np.savez_compressed if packed else np.savez
    save(path, m=np.zeros(3), s=np.eye(3), features=np.ones((5, 3), np.float32))
    path.write_bytes(damaged(path.read_bytes(), damage))
    with one_line_at_most(path):
        load_statistics(path, dimension=3, network="stand-in")
    shutil.rmtree(path.parent)


def test_statistics_that_say_they_are_huge(tmp_path: Path) -> None:
    path = tmp_path / "real.npz"
    np.savez(path, m=np.zeros(3), s=np.eye(3), features=np.ones((5, 3), np.float32))
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    entries["features.npy"] = entries["features.npy"].replace(b"(5, 3)", b"(5" + b"0" * 14 + b", 3)")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    with one_line_at_most(path):
        load_statistics(path, dimension=3, network="stand-in")


# Submissions


@fuzzed
@given(st.binary(max_size=300), st.sampled_from([b"", b"PK\3\4", b"PK\5\6" + bytes(18), b"PK\5\6"]))
def test_any_bytes_as_submission(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("submission") / "images.zip"
    path.write_bytes(start + content)
    with one_line_at_most(path):
        assert not check_submission(path, count=3, size_px=8).ok
    shutil.rmtree(path.parent)


@fuzzed
@given(seed=st.integers(0, 2**32), count=st.integers(0, 40))
def test_any_table_of_contents(tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
    """Entries whose every field is random: offsets, sizes, methods, flags, extra fields."""
    rng = random.Random(seed)
    entries = b"".join(
        b"PK\1\2"
        + rng.randbytes(24)
        + struct.pack("<HHH", 3, rng.choice([0, 4]), 0)
        + rng.randbytes(12)
        + rng.randbytes(3)
        + rng.randbytes(rng.choice([0, 4]))
        for _ in range(count)
    )
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(entries), rng.choice([0, 50]), 0)
    path = tmp_path_factory.mktemp("submission") / "images.zip"
    path.write_bytes(bytes(rng.choice([0, 50])) + entries + end)
    with one_line_at_most(path):
        check_submission(path, count=3, size_px=8)
    with one_line_at_most(path):
        open_source(path)
    shutil.rmtree(path.parent)
