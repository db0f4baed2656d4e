"""The command `dogsgan study recipe`."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome
from dogsgan.studies.options import add_judging, add_number, outcome, recipe_for, study_parser


def add_recipe_command(studies: Any) -> None:
    """Add the command to the subparsers of `dogsgan study`."""
    parser = study_parser(
        studies,
        "recipe",
        _recipe,
        "which changes of a training recipe are worth their processor time?",
        "study recipe dogs.zip --out study --budget 55m --variants baseline,fast,fast-lecam",
        preset="dogs-sagan-cpu",
        preset_help="recipe that every variant changes",
    )
    parser.add_argument(
        "--budget", default="55m", metavar="TIME", help="processor time of each run's training (55m)"
    )
    parser.add_argument("--variants", metavar="NAME,…", help="baseline and others (all, see docs/studies.md)")
    add_number(parser, "--seeds", 2, "runs of the baseline", metavar="K")
    add_number(parser, "--variant-seeds", 1, "runs of each other variant", metavar="J")
    add_judging(parser, count=5000, real_help="crops of each half")
    parser.add_argument(
        "--network",
        action="append",
        metavar="NAME",
        help="as for `score`, without auto; may be repeated (efficientnet-lite0)",
    )
    parser.add_argument(
        "--weights",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="weights of a network that needs a file; repeated, in the order of those",
    )


def _recipe(args: argparse.Namespace) -> Outcome:
    from dogsgan.features.networks import LITE0
    from dogsgan.studies.recipe.study import study_recipe
    from dogsgan.studies.recipe.variants import parse_variants
    from dogsgan.training.deadline import parse_duration

    report = study_recipe(
        args.source,
        args.out,
        recipe=recipe_for(args),
        budget_s=parse_duration(args.budget),
        variants=parse_variants(args.variants),
        seeds=args.seeds,
        variant_seeds=args.variant_seeds,
        count=args.count,
        real_count=args.real_count,
        networks=args.network or [LITE0],
        weights=args.weights,
    )
    return outcome(report)
