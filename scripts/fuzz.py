"""Throw damaged files of every kind at the package: each gets an answer in time, or an error of one line.

    python scripts/fuzz.py [--inputs 12000] [--only idx] [--seed N] [--start I] [--keep FOLDER]

Input I of a kind follows from the seed alone. What ends in a traceback, a hang or a message that is no single
line is kept in FOLDER, with the command that repeats it; the status is then 1. More examples for the laws of
`tests/test_bad_input.py`: DOGSGAN_FUZZ_EXAMPLES=2000 python -m pytest tests/test_bad_input.py
"""

import argparse
import gzip
import io
import json
import os
import random
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from PIL import Image

from dogsgan.audit.report import apply_allowed, read_allowed
from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet, write_crop_set
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.data.layouts.annotated import parse_annotation
from dogsgan.data.pictures import decode_picture
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features.sides import load_statistics
from dogsgan.features.weights import read_weights
from dogsgan.kernel.build import build_kernel
from dogsgan.kernel.folder import read_head
from dogsgan.models import outline_networks, sampling
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.models.sampling import Sampler
from dogsgan.submission import check_submission
from dogsgan.submission.labels import read_labels
from dogsgan.tensors import save_file
from dogsgan.training import checkpoint
from dogsgan.training.state import TrainingState

SECONDS = 10  # that one input may take
LONGEST_LINE = 1500
RECIPE = Recipe().with_overrides(
    [
        "data.size_px=32",
        "model.generator_width=8",
        "model.discriminator_width=8",
        "model.z_dim=4",
        "model.generator_attention_px=16",
        "model.discriminator_attention_px=16",
        "training.batch_size=2",
    ]
)
ODD_BYTES = [
    b"\0",
    b"\xff",
    b"\x7f\xff\xff\xff",
    b"\xff" * 8,
    b"\0" * 8,
    b"PK\x05\x06",
    b"\n",
    b'"',
    b"<",
    b"\xef\xbb\xbf",
]
ODD_TOKENS = (
    "-1", "0", "1e999", "nan", "NaN", "Infinity", "9" * 400, "2**9999", "null", "None", "true", '""', "[]",
    "{}", "'", '"', "[" * 300, "(" * 120, "-" * 300, "\\ud800", "é", "\0", "=", ",", ":", "\r", "0x10", "1_0",
    "١٢", "1j", "b'x'", "3.5", "64", "7",
)  # fmt: skip


class Hang(BaseException):
    """Not an Exception, so that no handler takes it for damage."""


@dataclass(frozen=True)
class Kind:
    """A kind of file: genuine ones by name, and what reads a folder that holds one of them, damaged."""

    genuine: dict[str, bytes]
    read: Callable[[Path, str], object]
    is_text: bool = False
    share: int = 1
    """Of the inputs, beside the other kinds: what is fast gets more."""


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--inputs", type=int, default=12_000, help="in all (12000)")
    parser.add_argument("--only", metavar="KIND", help="this kind alone")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--start", type=int, default=0, metavar="I", help="the first input's number")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), metavar="FOLDER")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sampling.STATISTICS_IMAGES = 8
    sys.stderr = io.StringIO()  # progress and remarks of the package
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="dogsgan-fuzz-") as folder:
        kinds = all_kinds(Path(folder))
        if options.only:
            kinds = {options.only: kinds[options.only]}
        shares = sum(kind.share for kind in kinds.values())
        failures = total = 0
        for name, kind in kinds.items():
            count, began = -(-options.inputs * kind.share // shares), time.monotonic()
            refused = failed = 0
            for index in range(options.start, options.start + count):
                result = try_one(name, kind, index, seed=options.seed, folder=Path(folder), keep=options.keep)
                refused += result == "refused"
                failed += result == "failed"
            total, failures = total + count, failures + failed
            print(
                f"{name:12} {count:6,} inputs, {refused:6,} refused, {failed:3} failures, "
                f"{time.monotonic() - began:5.1f} s",
                flush=True,
            )
    print(f"{total:,} inputs, {failures} failures, seed {options.seed}")
    return 1 if failures else 0


def try_one(name: str, kind: Kind, index: int, *, seed: int, folder: Path, keep: Path) -> str:
    """Give one damaged input to what reads it; return `read`, `refused` or `failed`."""
    chosen = random.Random(f"{seed} {name} {index}")
    place = folder / "input"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    damaged = chosen.choice(sorted(kind.genuine))
    for file, content in kind.genuine.items():
        path = place / file
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(damage(content, chosen, is_text=kind.is_text) if file == damaged else content)
    signal.signal(signal.SIGALRM, _too_long)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        kind.read(place, damaged)
    except DogsganError as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        line = str(error)
        if line.isprintable() and 0 < len(line) < LONGEST_LINE:
            return "refused"
        problem = f"not a line to show: {line!r}"
    except BaseException as error:
        signal.setitimer(signal.ITIMER_REAL, 0)
        if isinstance(error, KeyboardInterrupt):
            raise
        problem = traceback.format_exc()
    else:
        signal.setitimer(signal.ITIMER_REAL, 0)
        return "read"
    kept = keep / f"{name}-{seed}-{index}"
    shutil.copytree(place, kept, dirs_exist_ok=True)
    again = f"python scripts/fuzz.py --only {name} --seed {seed} --start {index} --inputs 1"
    (kept / "problem.txt").write_text(f"{again}\n\n{problem}", encoding="utf-8", errors="backslashreplace")
    print(f"{name}: {problem.strip().splitlines()[-1][:200]}\n  kept in {kept}; again: {again}", flush=True)
    return "failed"


def _too_long(*_: object) -> None:
    raise Hang(f"still running after {SECONDS} s")


def damage(content: bytes, chosen: random.Random, *, is_text: bool) -> bytes:
    """Return `content` with one to five changes."""
    data = bytearray(content)
    for _ in range(chosen.choice((1, 1, 1, 2, 3, 5))):
        # Headers are short and decide most, so half of the changes are made there.
        end = len(data) if chosen.random() < 0.5 else min(len(data), 200)
        place = chosen.randrange(end + 1)
        if is_text and chosen.random() < 0.7:
            _change_token(data, chosen, place)
            continue
        length = chosen.choice((1, 1, 2, 4, 8, 60))
        change = chosen.randrange(6)
        if change == 0:
            data[place : place + length] = chosen.randbytes(length)
        elif change == 1:
            data[place:place] = chosen.choice(ODD_BYTES)
        elif change == 2:
            del data[place : place + length]
        elif change == 3:
            data[place : place + 4] = chosen.choice(ODD_BYTES)
        elif change == 4:
            data[place:place] = data[place : place + 200]
        else:
            del data[place:]
    return bytes(data)


def _change_token(data: bytearray, chosen: random.Random, place: int) -> None:
    """Replace a word, a number or a sign by something odd."""
    start = end = place
    while start > 0 and chr(data[start - 1]).isalnum():
        start -= 1
    while end < len(data) and chr(data[end]).isalnum():
        end += 1
    token = chosen.choice(ODD_TOKENS).encode(errors="surrogatepass")
    data[start : max(end, start + chosen.randrange(2))] = token


def all_kinds(folder: Path) -> dict[str, Kind]:
    """Return every kind, with genuine files made in `folder`."""
    source = draw_competition(folder / "dogs", images=6, seed=1)
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    pictures = [path for path in files if path.suffix == ".jpg"]
    annotation = next(path for path in files if path.suffix == "")
    crops = _crop_set(folder / "set")
    state = TrainingState(RECIPE, crops, torch.device("cpu"))
    return {
        "annotations": Kind(
            {annotation.name: annotation.read_bytes()}, _read_annotation, is_text=True, share=8
        ),
        "pictures": Kind(_pictures(pictures[0]), _read_picture, share=4),
        "zips": Kind({"dogs.zip": _zipped(files, source)}, _read_source, share=2),
        "submissions": Kind({"images.zip": _submission(zipfile.ZIP_STORED)}, _read_submission, share=2),
        "recipes": Kind(
            {"recipe.json": json.dumps(RECIPE.to_json(), indent=2).encode()},
            _read_recipe,
            is_text=True,
            share=3,
        ),
        "sets": Kind(_files_of(crops.path), _read_set, share=2),
        "checkpoints": _checkpoints(folder, state),
        "generators": _generators(folder),
        "weights": Kind(_weights(folder), _read_weights, share=3),
        "labels": Kind(
            {"labels.csv": _table()}, lambda place, name: read_labels(place / name), is_text=True, share=3
        ),
        "allow-lists": Kind(
            {"allow.txt": b"# seen\n000001.png\n000002.png\n"}, _read_allowed, is_text=True, share=3
        ),
        "statistics": Kind(_statistics(), _read_statistics, share=3),
        "idx": Kind(_digits(folder), _read_source, share=2),
        "kernel-heads": Kind(_kernel(folder), _read_head, is_text=True, share=2),
    }


def _read_annotation(place: Path, name: str) -> object:
    return parse_annotation((place / name).read_bytes(), name)


def _read_picture(place: Path, name: str) -> object:
    return np.asarray(decode_picture((place / name).read_bytes(), name))


def _read_source(place: Path, name: str) -> object:
    source = open_source(place if (place / name).suffix != ".zip" else place / name)
    return [
        _read_or_refuse(lambda image=image: decode_picture(source.read(image), image.name))
        for image in source.images
    ]


def _read_or_refuse(read: Callable[[], object]) -> object:
    try:
        return read()
    except DogsganError as error:
        return str(error)


def _read_submission(place: Path, name: str) -> object:
    return check_submission(place / name, count=4, size_px=16).summary()


def _read_recipe(place: Path, name: str) -> object:
    try:
        value = json.loads((place / name).read_bytes())
    except (ValueError, RecursionError):
        return None  # `read_json` refuses it
    recipe = Recipe.from_json(value)
    if (
        recipe.data.size_px <= 256
        and max(recipe.model.generator_width, recipe.model.discriminator_width) <= 256
    ):
        outline_networks(recipe, class_count=3)
    return recipe.with_overrides([f"training.batch_size={value}"])


def _read_set(place: Path, name: str) -> object:
    crops = CropSet.open(place)
    crops.verify()
    return [crops.origin(index) for index in range(len(crops))]


def _checkpoints(folder: Path, state: TrainingState) -> Kind:
    saved = checkpoint.save_checkpoint(state, folder / "run")
    return Kind(_files_of(saved), lambda place, name: checkpoint.load_checkpoint(place, state), share=2)


def _generators(folder: Path) -> Kind:
    content = next((folder / "run").rglob(GENERATOR_FILE)).read_bytes()
    return Kind({GENERATOR_FILE: content}, lambda place, name: Sampler.open(place, device="cpu"), share=2)


def _read_weights(place: Path, name: str) -> object:
    return read_weights(place / name)


def _read_allowed(place: Path, name: str) -> object:
    return apply_allowed([], read_allowed(place / name), names=["000001.png"])


def _read_statistics(place: Path, name: str) -> object:
    return load_statistics(place / name, dimension=4, network="stand-in")


def _read_head(place: Path, name: str) -> object:
    return read_head((place / name).read_bytes().decode(errors="replace"))


def _crop_set(path: Path) -> CropSet:
    noise = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    return write_crop_set(path, noise, [0, 1, 2] * 2, class_names=["a", "b", "c"])


def _files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def _pictures(jpeg: Path) -> dict[str, bytes]:
    picture, found = Image.open(jpeg).resize((24, 20)), {"a.jpg": jpeg.read_bytes()}
    for suffix in ("png", "gif", "bmp", "webp", "tiff", "ppm"):
        content = io.BytesIO()
        picture.save(content, format=suffix)
        found[f"a.{suffix}"] = content.getvalue()
    return found


def _zipped(files: list[Path], root: Path) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files:
            archive.write(path, path.relative_to(root))
    return content.getvalue()


def _submission(method: int) -> bytes:
    content, random_pixels = io.BytesIO(), np.random.default_rng(0)
    with zipfile.ZipFile(content, "w", method) as archive:
        for index in range(4):
            png = io.BytesIO()
            Image.fromarray(random_pixels.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(png, "PNG")
            archive.writestr(f"{index}.png", png.getvalue())
    return content.getvalue()


def _weights(folder: Path) -> dict[str, bytes]:
    tensors = {"conv.weight": torch.ones(2, 3), "bn.bias": torch.zeros(4)}
    save_file(tensors, folder / "w.safetensors", metadata={"from": "here"})
    torch.save({"state_dict": tensors}, folder / "w.pth")
    return {name: (folder / name).read_bytes() for name in ("w.safetensors", "w.pth")}


def _table() -> bytes:
    return b"name,class\r\n" + b"".join(b"%06d.png,beagle\r\n" % index for index in range(20))


def _statistics() -> dict[str, bytes]:
    content, packed = io.BytesIO(), io.BytesIO()
    np.savez(content, m=np.zeros(4), s=np.eye(4), features=np.ones((5, 4)))
    np.savez_compressed(packed, mu=np.zeros(4), sigma=np.eye(4))
    return {"real.npz": content.getvalue(), "packed.npz": packed.getvalue()}


def _digits(folder: Path) -> dict[str, bytes]:
    drawn = draw_digits(folder / "digits", images=12, seed=1)
    files = {name: content for name, content in _files_of(drawn).items() if name.startswith("train")}
    return {  # the labels stay packed
        name.removesuffix(".gz") if "images" in name else name: gzip.decompress(content)
        if "images" in name
        else content
        for name, content in files.items()
    }


def _kernel(folder: Path) -> dict[str, bytes]:
    report = build_kernel(RECIPE, folder / "tiny-dogs")
    text = (folder / "tiny-dogs" / report.code_file).read_text(encoding="utf-8")
    return {"head.py": text[: text.index("def open_package")].encode()}


if __name__ == "__main__":
    sys.exit(main())
