"""The command `dogsgan weights`, which fetches the weights of a network."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, command


def add_command(commands: Any) -> None:
    """Add `weights` to the subparsers of `dogsgan`."""
    parser = command(commands, "weights", _run, "fetch a network's weights", "weights public")
    parser.add_argument(
        "network", help="public or private, the competition's networks, or timm:NAME, one of timm's own"
    )
    parser.add_argument("--url", help="fetch from here instead of the release")


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.features.weights import fetch_weights

    path = fetch_weights(args.network, url=args.url)
    return Outcome({"network": args.network, "path": str(path)}, f"{args.network}: {path}")
