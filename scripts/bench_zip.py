"""Measure `write_submission` against the usual way: `save_image` per picture, then `shutil.make_archive`.

    python scripts/bench_zip.py [--source generative-dog-images.zip] [--count 10000] [--rounds 3]

Both sides take turns in one run, on the same pictures in memory: centre squares of the archive's photographs
at 64 px, or drawn texture if there is no such archive. Prints both times, their ratio and the ratio of the
sizes; then the time and size of each way that Pillow can pack a PNG, to show why the writer has its own.
"""

import argparse
import io
import shutil
import statistics
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.utils import save_image

from dogsgan.submission import check_submission, write_submission

SIZE_PX = 64
PACKINGS = {
    "Pillow's default": {},
    "level 1": {"compress_level": 1},
    "level 1, Huffman only": {"compress_level": 1, "compress_type": zlib.Z_HUFFMAN_ONLY},
    "level 1, runs (used)": {"compress_level": 1, "compress_type": zlib.Z_RLE},
}


def photographs(source: Path, count: int) -> np.ndarray:
    """Return `count` centre squares of the archive's photographs, N×64×64×3."""
    with zipfile.ZipFile(source) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        step = max(1, len(names) // count)
        return np.stack([square(archive.read(name)) for name in names[::step][:count]])


def square(jpeg: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(jpeg)).convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((SIZE_PX, SIZE_PX), Image.Resampling.LANCZOS, box=box))


def texture(count: int) -> np.ndarray:
    """Return `count` drawn pictures, N×64×64×3: smooth noise of three scales with grain on top."""
    rng = np.random.default_rng(0)
    pictures = rng.normal(0, 3, (count, SIZE_PX, SIZE_PX, 3))
    for side, strength in ((4, 45), (16, 20), (32, 8)):
        coarse = torch.from_numpy(rng.normal(0, strength, (count, 3, side, side)))
        smooth = torch.nn.functional.interpolate(coarse, size=SIZE_PX, mode="bicubic")
        pictures += smooth.permute(0, 2, 3, 1).numpy()
    return (pictures + 128).clip(0, 255).astype(np.uint8)


def usual_way(pictures: np.ndarray, folder: Path) -> Path:
    """Write every picture to a file, then zip the folder."""
    files = folder / "pictures"
    files.mkdir()
    batch = (
        torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    )  # what a generator's output is turned into
    for index, picture in enumerate(batch):
        save_image(picture, files / f"{index:05d}.png")
    return Path(shutil.make_archive(str(folder / "images"), "zip", files))


def this_way(pictures: np.ndarray, folder: Path) -> Path:
    """Stream batches of 100 pictures into the zip."""
    batches = (pictures[first : first + 100] for first in range(0, len(pictures), 100))
    return write_submission(batches, folder / "images.zip", count=len(pictures)).path


def timed(write: Callable[[np.ndarray, Path], Path], pictures: np.ndarray) -> tuple[float, int]:
    """Return seconds and the zip's size in bytes. What is written is checked, outside the clock."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        path = write(pictures, Path(folder))
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        report = check_submission(path, count=len(pictures), size_px=SIZE_PX)
        print(f"    {write.__name__}: {seconds:.2f} s; checking it {time.perf_counter() - start:.2f} s")
        if report.count != len(pictures) or any(problem.refused for problem in report.problems):
            raise SystemExit(report.summary())
        return seconds, path.stat().st_size


def packings(pictures: np.ndarray) -> None:
    """Print what each way to pack a PNG costs, on one thread."""
    for name, options in PACKINGS.items():
        start = time.perf_counter()
        size = 0
        for picture in pictures:
            buffer = io.BytesIO()
            Image.fromarray(picture).save(buffer, format="PNG", **options)
            size += buffer.tell()
        each = (time.perf_counter() - start) / len(pictures)
        print(f"  {name:22} {1e6 * each:5.0f} µs  {size / len(pictures):6.0f} bytes a picture")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", type=Path, default=Path("../shared/data/generative-dog-images.zip"))
    parser.add_argument("--count", type=int, default=10000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    real = options.source.is_file()
    pictures = photographs(options.source, options.count) if real else texture(options.count)
    print(f"{len(pictures)} pictures of {SIZE_PX} px, {'photographs' if real else 'drawn texture'}")
    rounds = [(timed(usual_way, pictures), timed(this_way, pictures)) for _ in range(options.rounds)]
    usual = statistics.median(one[0] for one, _ in rounds)
    ours = statistics.median(other[0] for _, other in rounds)
    ratio = statistics.median(one[0] / other[0] for one, other in rounds)
    print(f"usual way {usual:.2f} s, write_submission {ours:.2f} s: {ratio:.1f} times as fast (medians)")
    print(f"size: {rounds[0][1][1] / rounds[0][0][1]:.3f} of the usual way's")
    packings(pictures[:1000])


if __name__ == "__main__":
    main()
