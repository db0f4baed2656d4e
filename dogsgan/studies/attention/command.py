"""The command `dogsgan study attention`."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network
from dogsgan.studies.options import add_judging, add_number, outcome, recipe_for, study_parser


def add_attention_command(studies: Any) -> None:
    """Add the command to the subparsers of `dogsgan study`."""
    parser = study_parser(
        studies,
        "attention",
        _attention,
        "where does self-attention help, with and without spectral norm?",
        "study attention dogs.zip --out study --images 30000",
        preset="dogs-sagan-cpu",
        preset_help="recipe of every variant",
    )
    add_number(parser, "--images", 50_000, "real images each run sees")
    add_number(parser, "--seeds", 3, "runs of each variant", metavar="K")
    parser.add_argument(
        "--attention",
        default="none,8,16,32,64",
        metavar="PX,…",
        help="map sizes to compare (none,8,16,32,64)",
    )
    parser.add_argument(
        "--spectral-norm", default="on,off", help="in both networks: on, off or both (on,off)"
    )
    add_judging(parser, count=2000, real_help="crops to compare with")
    add_network(parser, default="stand-in")
    add_device(parser)


def _attention(args: argparse.Namespace) -> Outcome:
    from dogsgan.studies.attention.study import study_attention
    from dogsgan.studies.attention.variants import parse_norms, parse_sizes

    report = study_attention(
        args.source,
        args.out,
        recipe=recipe_for(args),
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
    return outcome(report)
