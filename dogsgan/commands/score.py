"""The command `dogsgan score`, which scores generated pictures against real ones."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_device, add_network, command, path
from dogsgan.errors import DogsganError


def add_command(commands: Any) -> None:
    """Add `score` to the subparsers of `dogsgan`."""
    parser = command(
        commands, "score", _run, "the competition's score (MiFID)", "score images.zip --real dogs.zip"
    )
    parser.add_argument(
        "generated",
        type=path,
        nargs="+",
        help="zip or folder of generated pictures; of several, which is better, and by more than chance?",
    )
    parser.add_argument(
        "--real",
        type=path,
        required=True,
        metavar="SOURCE",
        help="training pictures in any known layout, or .npz statistics",
    )
    add_network(parser)
    parser.add_argument("--save-stats", type=path, metavar="NPZ", help="write the real side's statistics")
    parser.add_argument("--per-class", action="store_true", help="how each class fares, too")
    parser.add_argument(
        "--labels",
        type=path,
        metavar="CSV",
        help="name,class of the generated pictures, for --per-class and for recognition (else their folders "
        "are the classes)",
    )
    parser.add_argument(
        "--classes",
        metavar="SET",
        help="what a classifier should recognise: dogs, or a file with an ImageNet wnid or class name a line "
        "(dogs)",
    )
    parser.add_argument(
        "--out", type=path, metavar="DIR", help="with --per-class: folder for its table, JSON and plot"
    )
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    if args.out is not None and not args.per_class:
        raise DogsganError("--out goes with --per-class: give both or neither")
    from dogsgan.scoring import per_class, score

    options: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("network", "weights", "device", "save_stats", "labels", "classes")
    }
    if len(args.generated) > 1:
        return _run_several(args)
    [generated] = args.generated
    if not args.per_class:
        found = score(generated, args.real, **options)
        return Outcome(found.to_json(), found.summary(), failed=found.failed)
    result = per_class(generated, args.real, out=args.out, **options)
    drawn = args.out is not None and (args.out / "per-class.png").is_file()
    where = f"\nlook at {args.out / 'per-class.png'}" if drawn else ""
    return Outcome(result.to_json(), result.summary() + where, failed=result.score.failed)


def _run_several(args: argparse.Namespace) -> Outcome:
    from dogsgan.reports.ranking import rank

    for name in ("per_class", "save_stats", "labels", "classes"):
        if getattr(args, name):
            option = name.replace("_", "-")
            raise DogsganError(f"--{option} is for one submission: name one, or leave it out")
    found = rank(args.generated, args.real, network=args.network, weights=args.weights, device=args.device)
    return Outcome(found.to_json(), found.summary())
