"""The command `dogsgan train`, which trains a recipe on a prepared set."""

import argparse
import os
from typing import Any

from dogsgan.commands.options import (
    Outcome,
    add_device,
    add_length,
    add_preset,
    add_watching,
    command,
    deadline,
    named_recipe,
    path,
)
from dogsgan.competition import COUNT


def add_command(commands: Any) -> None:
    """Add `train` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "train",
        _run,
        "train a recipe on a prepared set",
        "train --data crops --run run --budget 8h",
    )
    parser.add_argument("--data", type=path, required=True, metavar="SET", help="prepared set")
    parser.add_argument(  # torchrun takes --run for an abbreviation of its own --run-path
        "--run", "--out", type=path, required=True, metavar="RUN", help="folder of the run"
    )
    add_preset(parser)
    add_length(parser)
    add_watching(parser)
    parser.add_argument(
        "--resume",
        choices=("auto", "never"),
        default="auto",
        help="auto goes on where the run stands, never wants a fresh folder (auto)",
    )
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.choosing import choose_recipe, refuse_too_slow, unconditional_without_labels
    from dogsgan.data.cropset import CropSet
    from dogsgan.data.sources import crop_set_source
    from dogsgan.stages import refuse_other_crops, train_within
    from dogsgan.training.distributed import processes
    from dogsgan.training.outlets import refuse_missing_outlets

    refuse_missing_outlets(args.log)
    recipe, until, crop_set = named_recipe(args), deadline(args), CropSet.open(args.data)
    source = crop_set_source(crop_set)
    if recipe is None:
        recipe = choose_recipe(
            source, args.run, settings=args.set, device=args.device, left_s=until.left_s(), count=COUNT
        )
    recipe = unconditional_without_labels(recipe, source)
    refuse_other_crops(args.set, recipe, crop_set)
    refuse_too_slow(recipe, source, args.run, left_s=until.left_s(), count=COUNT, device=args.device)
    judged = None
    if args.evaluate_every is not None:
        from dogsgan.reports.evaluation import judge_every  # here, because training needs nothing that sees

        judged = judge_every(crop_set, args.evaluate_every, device=args.device)
    report = train_within(
        recipe,
        crop_set,
        args.run,
        images=args.images,
        deadline=until,
        resume=args.resume,
        device=args.device,
        judged=judged,
        outlets=args.log,
    )
    if processes() > 1 and os.environ["LOCAL_RANK"] != "0":  # on each machine one of them prints
        return Outcome(None, "", report.trained_something)
    return Outcome(report.to_json(), report.summary(), report.trained_something, report.failed)
