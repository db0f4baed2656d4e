"""Measure the score's hot paths against the usual ways, both sides in one run, and print the ratios.

    python scripts/bench_score.py [--quick] [--only frechet|distance|features]

Needs the extra `test` (pytorch-fid). The Inception weights are random: speed does not depend on them, and
both networks load the same file.
"""

import argparse
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytorch_fid.fid_score
import pytorch_fid.inception
import scipy.linalg
import torch
from PIL import Image

from dogsgan.cores import usable_cores
from dogsgan.data.sources import open_source
from dogsgan.features.inception import Conv, Inception2015, folded_keys
from dogsgan.features.sides import generated_side_of
from dogsgan.pictures import PictureReader
from dogsgan.scoring import frechet_distance, memorization_distance, open_network


def interleaved(sides: dict[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
    """Run each side in turn, `rounds` times, and return each one's fastest time in seconds."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def say(title: str, ours: float, theirs: dict[str, float], *, unit: str = "s") -> None:
    """Print one comparison: our time, and each other's with its ratio to ours."""
    print(f"{title}: {ours:.2f} {unit}")
    for name, seconds in theirs.items():
        print(f"    {name}: {seconds:.2f} {unit}, ratio {seconds / ours:.2f}")
    sys.stdout.flush()


def covariances(dimension: int, *, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two covariances with a spectrum over three decades, as features of a trained network have."""
    random = np.random.RandomState(0)
    basis = np.linalg.qr(random.randn(dimension, dimension))[0]
    scales = np.logspace(0, -1.5, dimension)
    a = np.cov(random.randn(count, dimension) * scales @ basis, rowvar=False)
    b = np.cov(random.randn(2 * count, dimension) * scales[::-1] @ basis.T, rowvar=False)
    return a, b


def bench_frechet(dimension: int, *, rounds: int) -> None:
    """Time the distance of two Gaussians three ways: ours, the matrix's root, the product's eigenvalues."""
    a, b = covariances(dimension, count=2 * dimension)
    zeros = np.zeros(dimension)
    found: dict[str, float] = {}

    def ours() -> None:
        found["ours"] = frechet_distance(zeros, a, zeros, b)

    def by_sqrtm() -> None:
        found["sqrtm"] = float(np.trace(a + b - 2 * np.real(scipy.linalg.sqrtm(a @ b))))

    def by_eigvals() -> None:
        roots = torch.linalg.eigvals(torch.from_numpy(a) @ torch.from_numpy(b)).real.clamp(min=0).sqrt()
        found["eigvals"] = float(np.trace(a + b)) - 2 * float(roots.sum())

    times = interleaved({"ours": ours, "eigvals": by_eigvals}, rounds=rounds)
    times |= interleaved({"sqrtm": by_sqrtm}, rounds=1)
    again = interleaved({"ours": ours}, rounds=1)
    say(
        f"Fréchet distance, D={dimension}",
        min(times["ours"], again["ours"]),
        {"scipy.linalg.sqrtm": times["sqrtm"], "torch.linalg.eigvals": times["eigvals"]},
    )
    spread = max(abs(value / found["ours"] - 1) for value in found.values())
    print(f"    largest relative disagreement between the three: {spread:.1e}")


def random_weights() -> dict[str, torch.Tensor]:
    """Return random weights in the published file's layout."""
    state: dict[str, torch.Tensor] = {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    for name, module in Inception2015().named_modules():
        if isinstance(module, Conv):
            weight, gain, bias, mean, variance = folded_keys(name)
            state[weight] = torch.randn(module.weight.shape) * (2 / module.weight[0].numel()) ** 0.5
            state |= {gain: torch.ones(module.out_channels), variance: torch.ones(module.out_channels)}
            state |= {bias: torch.zeros(module.out_channels), mean: torch.zeros(module.out_channels)}
    return state


def bench_features(pictures: int, *, rounds: int) -> None:
    """Time the features of a folder of PNG pictures: decoding, resizing and the network, on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "weights.pth"
        torch.save(random_weights(), weights)
        images = Path(folder) / "images"
        images.mkdir()
        random = np.random.RandomState(0)
        for index in range(pictures):
            picture = random.randint(0, 256, (64, 64, 3)).astype(np.uint8)
            Image.fromarray(picture).save(images / f"{index:05d}.png")
        files = sorted(images.iterdir())

        # pytorch-fid fetches its weights itself; here it gets the file that our network gets.
        pytorch_fid.inception.load_state_dict_from_url = lambda *args, **options: torch.load(
            weights, weights_only=True
        )
        theirs = pytorch_fid.inception.InceptionV3([3])
        network = open_network("public", weights=weights, device="cpu")

        def ours() -> None:
            generated_side_of(PictureReader(open_source(images)), network)

        def by_pytorch_fid() -> None:
            pytorch_fid.fid_score.get_activations(files, theirs, batch_size=50, dims=2048, device="cpu")

        times = interleaved({"ours": ours, "pytorch-fid": by_pytorch_fid}, rounds=rounds)
    say(f"Inception features of {pictures} pictures", times["ours"], {"pytorch-fid": times["pytorch-fid"]})
    print(f"    {pictures / times['ours']:.1f} pictures/s against {pictures / times['pytorch-fid']:.1f}")


class PeakMemory:
    """The most memory that this process held while a block ran, above what it held before, in MB."""

    def __enter__(self) -> "PeakMemory":
        self.megabytes = 0.0
        self._before = self._resident()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.megabytes = max(self.megabytes, self._resident() - self._before)

    @staticmethod
    def _resident() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 1e6


def bench_distance(generated: int, real: int, dimension: int, *, rounds: int) -> None:
    """Time the search of the nearest real picture for each generated one, and the bare product inside it."""
    random = torch.Generator().manual_seed(0)
    a = torch.rand(generated, dimension, generator=random)
    b = torch.rand(real, dimension, generator=random)

    def bare() -> None:
        product = torch.empty(1024, real)
        for rows in a.split(1024):
            torch.mm(rows, b.T, out=product[: len(rows)])

    def ours() -> None:
        memorization_distance(a, b)

    times = interleaved({"ours": ours, "bare product": bare}, rounds=rounds)
    with PeakMemory() as peak:
        ours()
    print(f"Distance search, {generated:,} × {real:,} × {dimension}: {times['ours']:.2f} s")
    ratio = times["ours"] / times["bare product"]
    print(f"    bare matrix product: {times['bare product']:.2f} s, ratio {ratio:.2f}")
    print(f"    peak memory above the features: {peak.megabytes:.0f} MB")


def main() -> None:
    """Run the four measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--quick", action="store_true", help="smaller sizes: shows that it runs, not how fast"
    )
    parser.add_argument("--only", choices=("frechet", "distance", "features"), help="one of the measurements")
    options = parser.parse_args()
    quick = options.quick
    print(f"{torch.get_num_threads()} threads, {usable_cores()} cores, torch {torch.__version__}")
    if options.only in (None, "frechet"):
        bench_frechet(256 if quick else 2048, rounds=2)
    if options.only in (None, "distance"):
        bench_distance(1000 if quick else 10_000, 2000 if quick else 20_000, 2048, rounds=2)
    if options.only in (None, "features"):
        bench_features(8 if quick else 128, rounds=1 if quick else 2)


if __name__ == "__main__":
    main()
