"""The command `dogsgan audit`, which finds copies of training pictures."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network, command, path, positive


def add_command(commands: Any) -> None:
    """Add `audit` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "audit",
        _run,
        "which pictures copy training data?",
        "audit images.zip --real dogs.zip --out audit",
    )
    parser.add_argument("generated", type=path, help="zip or folder of generated pictures")
    parser.add_argument(
        "--real", type=path, required=True, metavar="SOURCE", help="training pictures in any known layout"
    )
    parser.add_argument(
        "--out", type=path, required=True, metavar="DIR", help="folder for the page and tables"
    )
    add_network(parser)
    parser.add_argument(
        "--allow",
        type=path,
        metavar="FILE",
        help="names of accepted pictures, one a line: no reason for exit 1",
    )
    parser.add_argument(
        "--held-out",
        type=path,
        metavar="SOURCE",
        help="real pictures not trained on, for the data-copying test",
    )
    parser.add_argument(
        "--rate",
        type=float,
        default=0.01,
        help="false discovery rate: honest pictures among the flagged (0.01)",
    )
    parser.add_argument(
        "--neighbours", type=positive, default=5, metavar="K", help="nearest training pictures to list (5)"
    )
    parser.add_argument(
        "--sample", type=positive, metavar="N", help="look at N pictures chosen by chance (all)"
    )
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.audit import audit

    result = audit(
        args.generated,
        args.real,
        out=args.out,
        network=args.network,
        weights=args.weights,
        held_out=args.held_out,
        allow=args.allow,
        false_discovery_rate=args.rate,
        neighbours=args.neighbours,
        sample=args.sample,
        device=args.device,
    )
    page = args.out / "report.html"
    where = f"\nlook at {page}" if page.is_file() else ""
    values = result.to_json(report=page if where else None)
    return Outcome(values, result.summary() + where, not result.flagged, result.failed)
