"""The command `dogsgan demo`, which runs everything on drawn pictures."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_count, add_device, command, path, positive, printer


def add_command(commands: Any) -> None:
    """Add `demo` to the subparsers of `dogsgan`."""
    parser = command(commands, "demo", _run, "run on drawn dogs or digits, in minutes", "demo --out demo")
    parser.add_argument(
        "--out", type=path, default=Path("demo"), help="folder for everything that comes out (demo)"
    )
    parser.add_argument(
        "--preset", default="demo", help="recipe: a grey one is trained on drawn digits, mnist-gan (demo)"
    )
    parser.add_argument("--budget", metavar="TIME", help="time until the zip is finished (210s)")
    parser.add_argument("--images", type=positive, metavar="N", help="train on at most N images")
    add_count(parser)
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.demo import BUDGET_S, demo
    from dogsgan.training.deadline import parse_duration

    report = demo(
        args.out,
        preset_name=args.preset,
        budget_s=BUDGET_S if args.budget is None else parse_duration(args.budget),
        images=args.images,
        count=args.count,
        device=args.device,
        tell=printer(args),
    )
    return Outcome(report.to_json(), report.closing(), report.ok)
