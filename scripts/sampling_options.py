"""Truncation and rejection by the discriminator: their effect on a run's distance, recall and nearness.

Every setting is sampled with the same seed and compared with the same real crops, by one network. Example:

    python scripts/sampling_options.py out/run --data out/crops --network timm:mobilenetv1_100 \\
        --weights mobilenetv1_100.safetensors
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from dogsgan.data.cropset import CropSet
from dogsgan.features.networks import features_of
from dogsgan.metrics.frechet import frechet_distance_of_features
from dogsgan.metrics.memorization import memorization_distance
from dogsgan.metrics.precision_recall import precision_recall
from dogsgan.models.rejection import Rejection
from dogsgan.models.sampling import Sampler
from dogsgan.scoring import open_network

SETTINGS = [(1.0, 0.0), (0.7, 0.0), (0.5, 0.0), (1.0, 0.5), (1.0, 0.8)]
"""Truncation, and the share that is rejected."""


def main() -> None:
    args = _parser().parse_args()
    network, crops = open_network(args.network, weights=args.weights), CropSet.open(args.data)
    chosen = np.sort(np.random.default_rng(0).permutation(len(crops))[: args.real])
    real = features_of(np.stack([crops.pictures[index] for index in chosen]), network)
    print(f"{args.count} pictures of {args.run} to {len(chosen)} crops, by {network.name}", flush=True)
    print("truncation  rejected  distance  precision  recall  memorization distance  seconds", flush=True)
    for truncation, share in SETTINGS:
        began = time.monotonic()
        sampler: Sampler | Rejection = Sampler.open(args.run, device="cpu", truncation=truncation)
        if share:
            assert isinstance(sampler, Sampler)
            sampler = Rejection.of_run(args.run, sampler, crops, share=share)
        pictures = np.concatenate([batch.pictures for batch in sampler.batches(args.count)])
        seconds = time.monotonic() - began
        features = features_of(pictures, network)
        overlap = precision_recall(features, real)
        nearest = memorization_distance(torch.from_numpy(features), torch.from_numpy(real))
        print(
            f"{truncation:10.2f}  {share:8.2f}  {frechet_distance_of_features(features, real):8.2f}  "
            f"{overlap.precision:9.3f}  {overlap.recall:6.3f}  {nearest:21.4f}  {seconds:7.0f}",
            flush=True,
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("--data", type=Path, required=True, metavar="SET", help="the set it was trained on")
    parser.add_argument("--count", type=int, default=3000, metavar="N", help="generated pictures (3000)")
    parser.add_argument("--real", type=int, default=5000, metavar="N", help="crops to compare with (5000)")
    parser.add_argument("--network", default="timm:mobilenetv1_100", help="of the figures")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="its weights")
    return parser


if __name__ == "__main__":
    main()
