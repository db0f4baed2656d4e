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
        )
    return Outcome(report.to_json(), report.summary(), not report.untrained, report.failed)
