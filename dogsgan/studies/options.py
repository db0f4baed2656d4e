"""Options that the commands of `dogsgan study` share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogsgan.commands.options import Outcome, add_settings, command, positive
from dogsgan.config import Recipe

if TYPE_CHECKING:
    from dogsgan.studies.grid import StudyReport


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


def add_number(
    parser: argparse.ArgumentParser, flag: str, default: int, help: str, *, metavar: str = "N"
) -> None:
    """Add an option that takes a whole number above 0."""
    parser.add_argument(flag, type=positive, default=default, metavar=metavar, help=f"{help} ({default})")


def add_judging(parser: argparse.ArgumentParser, *, count: int, real_help: str) -> None:
    """Add how many pictures each run is judged by."""
    add_number(parser, "--count", count, "generated pictures to judge a run by")
    add_number(parser, "--real-count", 10_000, real_help)


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


def outcome(report: "StudyReport") -> Outcome:
    """Return a study's result as a command prints it."""
    return Outcome(report.to_json(), report.text, report.complete, report.failed)
