"""The command `dogsgan prepare`, which cuts the training pictures of a source into a set of crops."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_workers, command, not_negative, path, positive


def add_command(commands: Any) -> None:
    """Add `prepare` to the subparsers of `dogsgan`."""
    parser = command(
        commands, "prepare", _run, "cut the dogs out of a source", "prepare dogs.zip --out crops"
    )
    parser.add_argument(
        "source",
        type=path,
        help="folder or zip in any known layout; MNIST@test is that split (CELEBA@valid, CELEBA@all too)",
    )
    parser.add_argument("--out", type=path, required=True, metavar="SET", help="folder of the prepared set")
    parser.add_argument("--size", type=positive, default=64, metavar="PX", help="side of the crops (64)")
    parser.add_argument(
        "--policy",
        default="square",
        help="square, context, squash, whole, center, center-N (the middle N×N px), or a mixture such as "
        "whole:0.5,context:0.5 (square)",
    )
    parser.add_argument(
        "--boxes", choices=("all", "largest"), default="all", help="with several dogs in a picture (all)"
    )
    parser.add_argument(
        "--min-box",
        type=not_negative,
        default=0,
        metavar="PX",
        help="leave out boxes with a shorter side below (0)",
    )
    add_workers(parser)
    parser.add_argument("--strict", action="store_true", help="exit 1 if anything was left out")


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.config import DataRecipe
    from dogsgan.data.prepare import prepare

    data = DataRecipe(size_px=args.size, policy=args.policy, boxes=args.boxes, min_box_px=args.min_box)
    report = prepare(args.source, args.out, data, workers=args.workers)
    return Outcome(report.to_json(), report.summary(), not (args.strict and report.skipped))
