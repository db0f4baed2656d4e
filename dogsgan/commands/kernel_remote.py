"""The commands that talk to Kaggle: `dogsgan kernel push`, `status`, `output` and `submit`."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, add_count, add_device, add_network, command, path, positive

_KERNEL_HELP = "USER/SLUG, or the built folder"


def add_remote_commands(commands: Any) -> None:
    """Add the four commands to the subparsers of `dogsgan kernel`."""
    push = command(
        commands,
        "push",
        _push,
        "push a built kernel, which Kaggle then runs",
        "kernel push kernels/dogs-sagan --follow",
    )
    push.add_argument("folder", type=path, help="folder with kernel-metadata.json and the code file")
    push.add_argument("--follow", action="store_true", help="show the run's log until it ends")
    _add_dry_run(push)

    status = command(
        commands, "status", _status, "how the newest run stands", "kernel status kernels/dogs-sagan --follow"
    )
    status.add_argument("kernel", help=_KERNEL_HELP)
    status.add_argument("--follow", action="store_true", help="show the run's log until it ends")
    _add_dry_run(status)

    output = command(
        commands,
        "output",
        _output,
        "fetch, check, score and audit what the newest run left",
        "kernel output kernels/dogs-sagan --out output --real dogs.zip",
    )
    output.add_argument("kernel", help=_KERNEL_HELP)
    output.add_argument("--out", type=path, required=True, help="folder for the files")
    output.add_argument(
        "--real",
        type=path,
        metavar="SOURCE",
        help="score and audit against these training pictures, or score against .npz statistics",
    )
    add_network(output, default="auto")
    add_device(output)
    add_count(output, help="pictures the zip has to hold")
    _add_dry_run(output)

    submit = command(
        commands,
        "submit",
        _submit,
        "submit a run's zip to the competition and show its score",
        'kernel submit kernels/dogs-sagan --message "SAGAN, 9 h"',
    )
    submit.add_argument("kernel", help=_KERNEL_HELP)
    submit.add_argument("--message", required=True, help="what the list of your submissions shows")
    submit.add_argument("--version", type=positive, metavar="N", help="the kernel's version (the newest)")
    submit.add_argument("--file", default="images.zip", help="file of the output (images.zip)")
    submit.add_argument("--competition", metavar="SLUG", help="the competition (the one in the metadata)")
    submit.add_argument("--wait", default="15m", metavar="TIME", help="for the score (15m); 1s: hardly")
    _add_dry_run(submit)


def _push(args: argparse.Namespace) -> Outcome:
    from dogsgan.kernel.kaggle.push import plan_push, push, push_and_follow

    if args.dry_run:
        return _planned(plan_push(args.folder))
    if not args.follow:
        pushed = push(args.folder)
        return Outcome(pushed.to_json(), pushed.summary())
    pushed, state = push_and_follow(args.folder)
    return Outcome(
        {**pushed.to_json(), "run": state.to_json()}, f"{pushed.summary()}\n{state.summary()}", state.ok
    )


def _status(args: argparse.Namespace) -> Outcome:
    from dogsgan.kernel.kaggle.push import plan_status, status

    if args.dry_run:
        return _planned(plan_status(args.kernel))
    state = status(args.kernel, follow=args.follow)
    return Outcome(state.to_json(), state.summary(), state.ok)


def _output(args: argparse.Namespace) -> Outcome:
    from dogsgan.kernel.kaggle.output import fetch_output, plan_output

    if args.dry_run:
        return _planned(plan_output(args.kernel))
    fetched = fetch_output(
        args.kernel,
        args.out,
        real=args.real,
        network=args.network,
        weights=args.weights,
        device=args.device,
        count=args.count,
    )
    return Outcome(fetched.to_json(), fetched.summary(), fetched.check.ok)


def _submit(args: argparse.Namespace) -> Outcome:
    from dogsgan.kernel.kaggle.output import plan_submit, submit
    from dogsgan.training.deadline import parse_duration

    settings = {
        "message": args.message,
        "version": args.version,
        "file": args.file,
        "competition": args.competition,
    }
    if args.dry_run:
        return _planned(plan_submit(args.kernel, **settings))
    submitted = submit(args.kernel, **settings, wait_s=parse_duration(args.wait))
    return Outcome(submitted.to_json(), submitted.summary(), submitted.ok)


def _planned(plan: Any) -> Outcome:
    return Outcome(plan.to_json(), plan.summary())


def _add_dry_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
