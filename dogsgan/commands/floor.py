"""The command `dogsgan floor`, which scores real crops of each policy."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network, command, path, positive


def add_command(commands: Any) -> None:
    """Add `floor` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "floor",
        _run,
        "the best score that crops of a policy can have",
        "floor dogs.zip --policy square --policy whole:0.5,context:0.5",
    )
    parser.add_argument("source", type=path, help="training pictures in any known layout")
    parser.add_argument(
        "--policy",
        action="append",
        metavar="P",
        help="as for prepare; may be repeated (every policy, and two mixtures)",
    )
    parser.add_argument(
        "--count", type=positive, metavar="N", help="crops of each policy, and whole pictures, at most (3000)"
    )
    parser.add_argument("--size", type=positive, default=64, metavar="PX", help="side of the crops (64)")
    add_network(parser)
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.floor import COUNT, POLICIES, floor

    result = floor(
        args.source,
        policies=args.policy or POLICIES,
        count=args.count or COUNT,
        size_px=args.size,
        network=args.network,
        weights=args.weights,
        device=args.device,
    )
    return Outcome(result.to_json(), result.summary())
