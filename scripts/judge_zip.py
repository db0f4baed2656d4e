"""Judge generated pictures against a prepared set of real crops, in one call.

What EfficientNet-Lite0 recognises in them, beside as many real crops; and by a second network, such as the
MobileNet of the shared data, the Fréchet distance to the real crops, precision, recall and the memorization
distance. Example:

    python scripts/judge_zip.py out/images.zip --real out/crops --labels out/labels.csv \\
        --network timm:mobilenetv1_100 --weights mobilenetv1_100.safetensors
"""

import argparse
import json
import time
from pathlib import Path

import torch

from dogsgan.cache import default_cache_dir
from dogsgan.data.sources import Source, open_source
from dogsgan.features.sides import generated_side_of, real_side_of
from dogsgan.metrics.frechet import frechet_distance_between
from dogsgan.metrics.memorization import memorization_distance
from dogsgan.metrics.precision_recall import precision_recall
from dogsgan.pictures import PictureReader
from dogsgan.recognition import RealCrops, recognise
from dogsgan.scoring import open_network
from dogsgan.submission.labels import labelled_sample


def main() -> None:
    args = _parser().parse_args()
    whole, real = open_source(args.generated), open_source(args.real)
    generated, names = labelled_sample(whole, args.labels, count=args.sample)
    print(json.dumps(_recognised(generated, names, real)), flush=True)
    print(json.dumps(_distance(generated, real, args.network, args.weights)), flush=True)


def _recognised(generated: Source, names: list[str | None], real: Source) -> dict[str, object]:
    began = time.monotonic()
    network = open_network("efficientnet-lite0")
    reader = PictureReader(generated)
    side, _ = generated_side_of(reader, network)
    size_px = reader.side_px()
    real_side, _ = real_side_of(real, network, size_px=size_px)
    crops = RealCrops(real, network, count=len(names), size_px=size_px, cache_dir=default_cache_dir())
    found = recognise(generated, side, crops, real_side, network, generated_classes=names)
    assert found is not None
    recognition = found.to_json()
    del recognition["class_indices"]
    return {
        "network": network.name,
        "recognition": recognition,
        "fid": frechet_distance_between(side.statistics, real_side.statistics),
        "seconds": round(time.monotonic() - began),
    }


def _distance(generated: Source, real: Source, name: str, weights: Path | None) -> dict[str, object]:
    began = time.monotonic()
    network = open_network(name, weights=weights)
    reader = PictureReader(generated)
    side, _ = generated_side_of(reader, network)
    size_px = reader.side_px()
    real_side, _ = real_side_of(real, network, size_px=size_px)
    assert side.features is not None
    assert real_side.features is not None
    overlap = precision_recall(side.features, real_side.features)
    return {
        "network": name,
        "generated": side.count,
        "real": real_side.count,
        "fid": frechet_distance_between(side.statistics, real_side.statistics),
        "precision": overlap.precision,
        "recall": overlap.recall,
        "memorization_distance": memorization_distance(
            torch.from_numpy(side.features), torch.from_numpy(real_side.features)
        ),
        "seconds": round(time.monotonic() - began),
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("generated", type=Path, help="zip or folder of generated pictures")
    parser.add_argument("--real", type=Path, required=True, metavar="SET", help="prepared set, or any source")
    parser.add_argument("--labels", type=Path, metavar="CSV", help="name,class of the generated pictures")
    parser.add_argument("--sample", type=int, metavar="N", help="judge N of them chosen by chance (all)")
    parser.add_argument("--network", default="timm:mobilenetv1_100", help="of the distance")
    parser.add_argument("--weights", type=Path, metavar="FILE", help="its weights")
    return parser


if __name__ == "__main__":
    main()
