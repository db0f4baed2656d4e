"""The command `dogsgan evaluate`, which follows a run's generators over training."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network, command, path, positive


def add_command(commands: Any) -> None:
    """Add `evaluate` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "evaluate",
        _run,
        "Fréchet distance and share of dogs of every checkpoint of a run",
        "evaluate out/run --data out/crops",
    )
    parser.add_argument("run_folder", type=path, metavar="RUN", help="run folder")
    parser.add_argument("--data", type=path, required=True, metavar="SET", help="its prepared set")
    add_network(parser, default="efficientnet-lite0")
    parser.add_argument("--count", type=positive, default=1000, help="generated pictures (1000)")
    parser.add_argument("--real-count", type=positive, default=2000, help="crops to compare with (2000)")
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.data.cropset import CropSet
    from dogsgan.reports.evaluation import Evaluator, evaluate, generators_of

    crop_set = CropSet.open(args.data)
    generators_of(args.run_folder)  # what is not there is named before any network
    evaluator = Evaluator(
        crop_set,
        network=args.network,
        weights=args.weights,
        device=args.device,
        count=args.count,
        real_count=args.real_count,
    )
    found = evaluate(args.run_folder, evaluator, device=args.device)
    return Outcome(found.to_json(), found.summary())
