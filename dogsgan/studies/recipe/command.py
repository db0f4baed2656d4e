"""The command `dogsgan study recipe`."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_settings, command, positive


def add_recipe_command(studies: Any) -> None:
    """Add the command to the subparsers of `dogsgan study`."""
    parser = command(
        studies,
        "recipe",
        _recipe,
        "which changes of a training recipe are worth their processor time?",
        "study recipe dogs.zip --out study --budget 55m --variants baseline,fast,fast-lecam",
    )
    parser.add_argument("source", type=Path, help="folder or zip in any known layout, or a prepared set")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")
    parser.add_argument(
        "--preset", default="dogs-sagan-cpu", help="recipe that every variant changes, see `dogsgan presets`"
    )
    add_settings(parser)
    parser.add_argument(
        "--budget", default="55m", metavar="TIME", help="processor time of each run's training (55m)"
    )
    parser.add_argument("--variants", metavar="NAME,…", help="baseline and others (all, see docs/studies.md)")
    parser.add_argument("--seeds", type=positive, default=2, metavar="K", help="runs of the baseline (2)")
    parser.add_argument(
        "--variant-seeds", type=positive, default=1, metavar="J", help="runs of each other variant (1)"
    )
    parser.add_argument(
        "--count", type=positive, default=5000, metavar="N", help="generated pictures to judge by (5000)"
    )
    parser.add_argument(
        "--real-count", type=positive, default=10_000, metavar="N", help="crops of each half (10000)"
    )
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
    from dogsgan.data.cropset import CropSet, is_crop_set
    from dogsgan.features.networks import LITE0
    from dogsgan.presets import preset
    from dogsgan.stages import refuse_other_crops
    from dogsgan.studies.recipe.study import study_recipe
    from dogsgan.studies.recipe.variants import parse_variants
    from dogsgan.training.deadline import parse_duration

    recipe = preset(args.preset).with_overrides(args.set)
    if is_crop_set(args.source):
        refuse_other_crops(args.set, recipe, CropSet.open(args.source))
    report = study_recipe(
        args.source,
        args.out,
        recipe=recipe,
        budget_s=parse_duration(args.budget),
        variants=parse_variants(args.variants),
        seeds=args.seeds,
        variant_seeds=args.variant_seeds,
        count=args.count,
        real_count=args.real_count,
        networks=args.network or [LITE0],
        weights=args.weights,
    )
    return Outcome(report.to_json(), report.summary(), report.complete)
