"""Compare `prepare` with a plain Pillow loop on the same pictures: time of both, ratio, how far crops differ.

    python scripts/bench_prepare.py ../shared/data/generative-dog-images-mini

The loop opens, converts, crops and scales (LANCZOS) every dog in one process, and is given the boxes for
free. `prepare` is measured twice: the same work alone, from files to crops, and the whole command, which also
lists and parses the source, writes the set with its fingerprint, and draws the contact sheet. Rounds of all
three are interleaved; the best of each counts, of the clock's time and of processor time alike.
"""

import argparse
import contextlib
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from dogsgan.config import DataRecipe
from dogsgan.cores import usable_cores
from dogsgan.data.cropset import CropSet
from dogsgan.data.prepare import crops_in_order, prepare
from dogsgan.data.sources import Source, open_source


def plain_loop(source: Source, crop_set: CropSet) -> np.ndarray:
    """Return the crops of the set as a plain loop over pictures makes them, N×H×W×3."""
    members = {image.name: source.path / image.member for image in source.images}
    size = (crop_set.size_px, crop_set.size_px)
    crops = []
    previous, picture = "", None
    for row in crop_set.origins:
        name = str(row["image"])
        if name != previous:
            picture, previous = Image.open(members[name]).convert("RGB"), name
        assert picture is not None
        crop = picture.crop(tuple(row["rectangle"].tolist())).resize(size, Image.Resampling.LANCZOS)
        crops.append(np.asarray(crop))
    return np.stack(crops)


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Return how long `work` took and how much of the processors it used, its progress bars silenced."""
    start, start_cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stderr(io.StringIO()):
        work()
    return time.perf_counter() - start, time.process_time() - start_cpu


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="a folder with full-size originals and their annotations")
    parser.add_argument("--size", type=int, default=64, help="crops of this many px")
    parser.add_argument("--policy", default="square")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=12)
    arguments = parser.parse_args()
    source = open_source(arguments.source)
    data = DataRecipe(size_px=arguments.size, policy=arguments.policy)
    times: dict[str, list[tuple[float, float]]] = {"plain loop": [], "crops alone": [], "whole prepare": []}
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)

        def whole(name: str) -> CropSet:
            return prepare(arguments.source, out / name, data, workers=arguments.workers).crop_set

        crop_set = whole("reference")
        difference = np.abs(plain_loop(source, crop_set).astype(int) - crop_set.pictures.astype(int)).mean(
            axis=(1, 2, 3)
        )
        for index in range(arguments.rounds):
            times["plain loop"].append(seconds(lambda: plain_loop(source, crop_set)))
            times["crops alone"].append(
                seconds(lambda: list(crops_in_order(source, data, workers=arguments.workers)))
            )
            times["whole prepare"].append(seconds(lambda index=index: whole(f"round-{index}")))
    best = {name: tuple(map(min, zip(*values, strict=True))) for name, values in times.items()}
    print(
        f"{len(crop_set)} crops of {arguments.size} px, {arguments.workers} workers, {usable_cores()} cores"
    )
    for name, (wall, cpu) in best.items():
        ratio = best["plain loop"][0] / wall
        print(f"{name:14} {wall:6.2f} s  {ratio:5.2f}× the plain loop  ({cpu:.2f} s of processor time)")
    print(f"mean absolute difference {difference.mean():.2f} grey levels (worst crop {difference.max():.2f})")


if __name__ == "__main__":
    main()
