"""Fréchet distance of every checkpoint of a run to real pictures: is training still getting anywhere?

    python scripts/distance_over_time.py RUN --real SOURCE --network timm:mobilenetv1_100 --weights FILE

Prints one line per checkpoint and writes `distance.csv` and `distance.png` into the run. The real side is the
whole pictures of a source, or the crops of a prepared set.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np

from dogsgan.data.cropset import CropSet, is_crop_set
from dogsgan.data.pictures import decode_picture
from dogsgan.data.sources import open_source
from dogsgan.files import atomic_path
from dogsgan.models.sampling import Sampler
from dogsgan.scoring import features_of, frechet_distance_of_features, open_network
from dogsgan.training.checkpoint import checkpoints


def real_pictures(path: Path, *, count: int, size_px: int) -> np.ndarray:
    """Return `count` pictures spread over a source, N×S×S×3: crops of a set, else whole pictures squashed."""
    if is_crop_set(path):
        pictures = CropSet.open(path).pictures
        return np.asarray(pictures[:: max(1, len(pictures) // count)][:count])
    source = open_source(path)
    chosen = source.images[:: max(1, len(source.images) // count)][:count]
    decoded = (decode_picture(source.read(image), image.name) for image in chosen)
    return np.stack([np.asarray(picture.resize((size_px, size_px))) for picture in decoded])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--real", type=Path, action="append", required=True, help="may be repeated")
    parser.add_argument("--network", default="stand-in")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--count", type=int, default=3000, help="pictures a side (3000)")
    parser.add_argument("--every", type=int, default=1, help="every N-th checkpoint (1)")
    args = parser.parse_args()

    network = open_network(args.network, weights=args.weights)
    print(f"{network.description or network.name}: not the competition's score", file=sys.stderr)
    folders = checkpoints(args.run)[:: args.every]
    size_px = Sampler.open(folders[0]).recipe.data.size_px
    sides = [features_of(real_pictures(p, count=args.count, size_px=size_px), network) for p in args.real]
    rows = []
    for folder in folders:
        pictures = np.concatenate([batch.pictures for batch in Sampler.open(folder).batches(args.count)])
        features = features_of(pictures, network)
        distances = [frechet_distance_of_features(features, side) for side in sides]
        rows.append([int(folder.name), *(round(d, 2) for d in distances)])
        print(f"{int(folder.name):>10,} images  " + "  ".join(f"{d:8.2f}" for d in distances), flush=True)
    header = ["images_seen", *(str(p) for p in args.real)]
    with atomic_path(args.run / "distance.csv") as partial, partial.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    plot(args.run / "distance.png", header, rows)


def plot(path: Path, header: list[str], rows: list[list[float]]) -> None:
    """Draw distance over images seen."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    for column, name in enumerate(header[1:], start=1):
        axes.plot([row[0] for row in rows], [row[column] for row in rows], marker=".", label=Path(name).name)
    axes.set(xlabel="images seen", ylabel="Fréchet distance", yscale="log")
    axes.grid(alpha=0.3, which="both")
    axes.legend()
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


if __name__ == "__main__":
    main()
