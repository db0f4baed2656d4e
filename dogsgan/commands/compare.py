"""The command `dogsgan compare`, which compares runs: their recipes and their pictures."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_count, add_device, add_network, command, path


def add_command(commands: Any) -> None:
    """Add `compare` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "compare",
        _run,
        "compare runs: recipes, scores, chance",
        "compare out1 out2 --real dogs.zip",
    )
    parser.add_argument(
        "runs", type=path, nargs="+", metavar="RUN", help="folders of `dogsgan run`, or run folders"
    )
    parser.add_argument(
        "--real", type=path, required=True, metavar="SOURCE", help="training pictures in any known layout"
    )
    add_count(parser, help="pictures to sample of a run that has no images.zip")
    add_network(parser)
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.reports.ranking import compare_runs

    found = compare_runs(
        args.runs,
        args.real,
        count=args.count,
        network=args.network,
        weights=args.weights,
        device=args.device,
    )
    return Outcome(found.to_json(), found.summary())
