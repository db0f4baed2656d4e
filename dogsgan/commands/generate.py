"""The command `dogsgan generate`, which samples a run into a zip or a folder."""

import argparse
import os
from pathlib import Path
from typing import Any, NamedTuple

from dogsgan.commands.options import Outcome, add_device, add_sampling, command, not_negative, path
from dogsgan.errors import DogsganError

MOST_SEEDS = 1_000_000


def add_command(commands: Any) -> None:
    """Add `generate` to the subparsers of `dogsgan`."""
    parser = command(
        commands, "generate", _run, "sample a run into a zip of PNGs", "generate run --out images.zip"
    )
    parser.add_argument("run_folder", type=path, metavar="RUN", help="run folder or generator.safetensors")
    parser.add_argument(
        "--out",
        type=_Target.parse,
        required=True,
        metavar="ZIP",
        help="the zip to write, or folder/ for PNG files in a new folder",
    )
    parser.add_argument(
        "--best",
        action="store_true",
        help="by the best generator of a run that was trained with --evaluate-every",
    )
    parser.add_argument("--breed", metavar="NAME", help="all pictures of one class, as 'Border collie'")
    parser.add_argument(
        "--seeds",
        type=_seeds,
        metavar="0-15,99",
        default=(),
        help="one picture a seed, the same whatever else is asked for, instead of --count",
    )
    parser.add_argument(
        "--labels", type=path, metavar="CSV", help="write each picture's class (conditional runs only)"
    )
    add_sampling(parser)
    parser.add_argument(
        "--rejection",
        type=float,
        metavar="SHARE",
        help="reject about this share of the pictures, by the run's discriminator (none)",
    )
    parser.add_argument(
        "--data", type=path, metavar="SET", help="with --rejection: the prepared set the run was trained on"
    )
    add_device(parser)


class _Target(NamedTuple):
    """Where the pictures go."""

    path: Path
    is_folder: bool

    @classmethod
    def parse(cls, text: str) -> "_Target":
        """Take a path that ends with a separator, or is an existing folder, for a folder."""
        return cls(path(text), text.endswith(("/", os.sep)) or Path(text).is_dir())


def _seeds(text: str) -> list[int]:
    """Parse seeds and ranges of them, as `0-15,99`; raise what argparse shows as its own refusal."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        bounds = [not_negative(first), not_negative(last if dash else first)]
        if bounds[1] < bounds[0] or bounds[1] - bounds[0] >= MOST_SEEDS:
            raise argparse.ArgumentTypeError(f"{part!r} is no range of at most {MOST_SEEDS:,} seeds")
        found += range(bounds[0], bounds[1] + 1)
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"{text!r} names a seed twice")
    return found


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.models.generator_file import BEST_GENERATOR_FILE
    from dogsgan.stages import generate
    from dogsgan.training.interrupts import outlast_notices

    if args.best and not args.run_folder.is_dir():
        raise DogsganError("--best chooses among the generators of a run: name its folder")
    run = args.run_folder / BEST_GENERATOR_FILE if args.best else args.run_folder
    with outlast_notices():
        report = generate(
            run,
            args.out.path,
            as_folder=args.out.is_folder,
            count=args.count,
            seed=args.seed,
            seeds=args.seeds,
            breed=args.breed,
            truncation=args.truncation,
            device=args.device,
            labels=args.labels,
            rejection=args.rejection,
            crops=args.data,
        )
    return Outcome(report.to_json(), report.summary(), not report.untrained, report.failed)
