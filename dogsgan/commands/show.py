"""The command `dogsgan show`, which draws what a generator has learned."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network, command, not_negative, path


def add_command(commands: Any) -> None:
    """Add `show` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "show",
        _run,
        "draw a generator's breeds, truncations, interpolation and nearest training pictures",
        "show out/run --out shown --real dogs.zip",
    )
    parser.add_argument("run_folder", type=path, metavar="RUN", help="run folder or generator.safetensors")
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="folder for the pictures")
    parser.add_argument(
        "--breed", action="append", metavar="NAME", help="a class to show; may be repeated (all)"
    )
    parser.add_argument(
        "--real", type=path, metavar="SOURCE", help="training pictures, to show the nearest ones"
    )
    parser.add_argument("--seed", type=not_negative, default=0, help="same seed, same pictures (0)")
    parser.add_argument("--truncation", type=float, default=1.0, help="see generate (1: none)")
    add_network(parser)
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.reports.showing import show

    shown = show(
        args.run_folder,
        args.out,
        breeds=args.breed,
        real=args.real,
        seed=args.seed,
        truncation=args.truncation,
        network=args.network,
        weights=args.weights,
        device=args.device,
    )
    return Outcome(shown.to_json(), shown.summary(), failed=shown.failed)
