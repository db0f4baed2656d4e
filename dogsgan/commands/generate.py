"""The command `dogsgan generate`, which samples a run into a zip."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_sampling, command


def add_command(commands: Any) -> None:
    """Add `generate` to the subparsers of `dogsgan`."""
    parser = command(
        commands, "generate", _run, "sample a run into a zip of PNGs", "generate run --out images.zip"
    )
    parser.add_argument("run_folder", type=Path, metavar="RUN", help="run folder or generator.safetensors")
    parser.add_argument("--out", type=Path, required=True, metavar="ZIP", help="the zip to write")
    parser.add_argument(
        "--labels", type=Path, metavar="CSV", help="write each picture's class (conditional runs only)"
    )
    add_sampling(parser)
    parser.add_argument(
        "--rejection",
        type=float,
        metavar="SHARE",
        help="reject about this share of the pictures, by the run's discriminator (none)",
    )
    parser.add_argument(
        "--data", type=Path, metavar="SET", help="with --rejection: the prepared set the run was trained on"
    )
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.stages import generate
    from dogsgan.training.interrupts import outlast_notices

    with outlast_notices():
        report = generate(
            args.run_folder,
            args.out,
            count=args.count,
            seed=args.seed,
            truncation=args.truncation,
            device=args.device,
            labels=args.labels,
            rejection=args.rejection,
            crops=args.data,
        )
    return Outcome(report.to_json(), report.summary(), not report.untrained, report.failed)
