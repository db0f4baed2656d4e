"""The command `dogsgan check`, which says whether the competition would take a zip."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_count, command, path, positive


def add_command(commands: Any) -> None:
    """Add `check` to the subparsers of `dogsgan`."""
    parser = command(commands, "check", _run, "would the competition take this zip?", "check images.zip")
    parser.add_argument("zip", type=path, help="the submission")
    add_count(parser, help="pictures it has to hold")
    parser.add_argument("--size", type=positive, default=64, metavar="PX", help="their side (64)")
    parser.add_argument("--grey", action="store_true", help="8-bit grey pictures, not RGB")


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.submission import check_submission

    report = check_submission(args.zip, count=args.count, size_px=args.size, channels=1 if args.grey else 3)
    return Outcome(report.to_json(), report.summary(), report.ok)
