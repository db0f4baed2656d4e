"""The command `dogsgan study attention`."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network, add_settings, command, positive


def add_attention_command(studies: Any) -> None:
    """Add the command to the subparsers of `dogsgan study`."""
    parser = command(
        studies,
        "attention",
        _attention,
        "where does self-attention help, with and without spectral norm?",
        "study attention dogs.zip --out study --images 30000",
    )
    parser.add_argument("source", type=Path, help="folder or zip in any known layout, or a prepared set")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")
    parser.add_argument(
        "--preset", default="dogs-sagan-cpu", help="recipe of every variant, see `dogsgan presets`"
    )
    add_settings(parser)
    parser.add_argument(
        "--images", type=positive, default=50_000, metavar="N", help="real images each run sees (50000)"
    )
    parser.add_argument("--seeds", type=positive, default=3, metavar="K", help="runs of each variant (3)")
    parser.add_argument(
        "--attention",
        default="none,8,16,32,64",
        metavar="PX,…",
        help="map sizes to compare (none,8,16,32,64)",
    )
    parser.add_argument(
        "--spectral-norm", default="on,off", help="in both networks: on, off or both (on,off)"
    )
    parser.add_argument(
        "--count", type=positive, default=2000, metavar="N", help="generated pictures to score (2000)"
    )
    parser.add_argument(
        "--real-count", type=positive, default=10_000, metavar="N", help="crops to compare with (10000)"
    )
    add_network(parser, default="stand-in")
    add_device(parser)


def _attention(args: argparse.Namespace) -> Outcome:
    from dogsgan.data.cropset import CropSet, is_crop_set
    from dogsgan.presets import preset
    from dogsgan.stages import refuse_other_crops
    from dogsgan.studies.attention.study import study_attention
    from dogsgan.studies.attention.variants import parse_norms, parse_sizes

    recipe = preset(args.preset).with_overrides(args.set)
    if is_crop_set(args.source):
        refuse_other_crops(args.set, recipe, CropSet.open(args.source))
    report = study_attention(
        args.source,
        args.out,
        recipe=recipe,
        images=args.images,
        seeds=args.seeds,
        attention=parse_sizes(args.attention),
        spectral_norm=parse_norms(args.spectral_norm),
        count=args.count,
        real_count=args.real_count,
        network=args.network,
        weights=args.weights,
        device=args.device,
    )
    return Outcome(report.to_json(), report.summary(), report.complete)
