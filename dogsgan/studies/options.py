"""Options that the commands of `dogsgan study` share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_settings, command, positive
from dogsgan.config import Recipe


def study_parser(
    studies: Any,
    name: str,
    run: Callable[[argparse.Namespace], Outcome],
    purpose: str,
    example: str,
    *,
    preset: str,
    preset_help: str,
    source_help: str = "folder or zip in any known layout, or a prepared set",
) -> argparse.ArgumentParser:
    """Add a study to the subparsers of `dogsgan study`, with its source, folder and recipe."""
    parser = command(studies, name, run, purpose, example)
    parser.add_argument("source", type=Path, help=source_help)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the study")
    parser.add_argument("--preset", default=preset, help=f"{preset_help}, see `dogsgan presets` ({preset})")
    add_settings(parser)
    return parser


def add_judging(parser: argparse.ArgumentParser, *, count: int, real_help: str) -> None:
    """Add how many pictures each run is judged by."""
    parser.add_argument(
        "--count",
        type=positive,
        default=count,
        metavar="N",
        help=f"generated pictures to judge a run by ({count})",
    )
    parser.add_argument("--real-count", type=positive, default=10_000, metavar="N", help=real_help)


def recipe_for(args: argparse.Namespace) -> Recipe:
    """Return the recipe that is asked for.

    Raises:
        DogsganError: a setting is unknown, or asks for other crops than a prepared set has.
    """
    from dogsgan.data.cropset import CropSet, is_crop_set
    from dogsgan.presets import preset
    from dogsgan.stages import refuse_other_crops

    recipe = preset(args.preset).with_overrides(args.set)
    if is_crop_set(args.source):
        refuse_other_crops(args.set, recipe, CropSet.open(args.source))
    return recipe
