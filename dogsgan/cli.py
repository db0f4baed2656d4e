"""The entry point `dogsgan`: parse, run one command, print its result; each error is one line."""

import argparse
import json
import os
import warnings
from typing import Any, NoReturn

from dogsgan import __version__
from dogsgan.commands import COMMANDS
from dogsgan.commands.options import Outcome
from dogsgan.console import STDERR, close_streams, open_streams, print_result
from dogsgan.errors import DogsganError, refused_by_system


class _Parser(argparse.ArgumentParser):
    """Refuses bad arguments in the one line that every mistake gets."""

    def error(self, message: str) -> NoReturn:
        STDERR.write(f"error: {self.prog}: {message}; see {self.prog} --help\n")
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and version as results; argparse itself says nothing where that fails."""
        print_result(message.removesuffix("\n"))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="dogsgan",
        description="From a generative-image competition's files to a scored images.zip.",
        epilog="example: dogsgan run generative-dog-images.zip --out out --budget 9h",
    )
    parser.add_argument("--version", action="version", version=f"dogsgan {__version__}")
    parser.set_defaults(group=parser)  # shows its help where no command is given
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    for module in COMMANDS:
        module.add_command(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 the check failed, 2 a user error."""
    open_streams()
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as ended:  # --help, --version, or a refusal
        raise SystemExit(close_streams(int(ended.code or 0))) from None
    if not hasattr(args, "function"):
        args.group.print_help()
        return close_streams(0)
    return close_streams(_run_command(args))


def _run_command(args: argparse.Namespace) -> int:
    from dogsgan.training.interrupts import unwind_on_signals  # only here: `--help` is fast

    unwind_on_signals()
    try:
        if args.command != "train" and "TORCHELASTIC_RUN_ID" in os.environ:
            raise DogsganError(
                f"torchrun starts processes that train together: run dogsgan {args.command} without it"
            )
        with warnings.catch_warnings():
            # Pillow warns at a size that is refused anyway, by a line of our own.
            warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\) exceeds limit")
            outcome: Outcome = args.function(args)
    except DogsganError as error:
        if args.debug:
            raise
        STDERR.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        if args.debug:
            raise
        STDERR.write("error: interrupted; the same command goes on where it stopped\n")
        return 130
    except OSError as error:
        if args.debug:
            raise
        STDERR.write(f"error: {DogsganError(refused_by_system(error))}\n")
        return 2
    except Exception as error:
        if args.debug:
            raise
        kind = type(error).__name__
        STDERR.write(
            f"error: a bug of dogsgan: {kind}: {' '.join(str(error).split())}; --debug shows where\n"
        )
        return 2
    if outcome.json is None:  # another process prints the result of all
        pass
    elif args.json:
        STDERR.write(f"{outcome.text}\n")
        print_result(json.dumps(outcome.json))
    else:
        print_result(outcome.text)
    for line in outcome.failed:
        STDERR.write(f"error: {line}\n")
    if outcome.failed:
        return 2
    return 0 if outcome.yes else 1
