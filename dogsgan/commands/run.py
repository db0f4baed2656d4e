"""The command `dogsgan run`, which goes from a source to a scored and audited zip."""

import argparse
from typing import Any

from dogsgan.commands.options import (
    Outcome,
    add_device,
    add_length,
    add_network,
    add_preset,
    add_sampling,
    add_watching,
    add_workers,
    command,
    deadline,
    named_recipe,
    path,
    printer,
)


def add_command(commands: Any) -> None:
    """Add `run` to the subparsers of `dogsgan`."""
    parser = command(
        commands,
        "run",
        _run,
        "prepare, train, generate, check, score and audit",
        "run dogs.zip --out out --budget 9h",
    )
    parser.add_argument("source", type=path, help="folder or zip in any known layout, or a prepared set")
    parser.add_argument("--out", type=path, required=True, help="folder for everything that comes out")
    add_preset(parser)
    add_length(parser)
    add_watching(parser)
    add_sampling(parser)
    add_network(parser)
    parser.add_argument("--no-audit", dest="audit", action="store_false", help="leave out the last step")
    add_workers(parser)
    add_device(parser)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.pipeline import run_pipeline
    from dogsgan.training.outlets import refuse_missing_outlets

    refuse_missing_outlets(args.log)
    report = run_pipeline(
        args.source,
        args.out,
        recipe=named_recipe(args),
        settings=args.set,
        images=args.images,
        deadline=deadline(args),
        count=args.count,
        seed=args.seed,
        truncation=args.truncation,
        network=args.network,
        weights=args.weights,
        workers=args.workers,
        device=args.device,
        audited=args.audit,
        evaluate_every=args.evaluate_every,
        outlets=args.log,
        tell=printer(args),
    )
    return Outcome(report.to_json(), report.closing(), report.ok)
