"""What the commands of every room are declared with: `cli.py` prints what they hand back."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Outcome(NamedTuple):
    """What a command hands back to be printed."""

    json: Any
    text: str
    yes: bool = True
    """False makes the exit status 1: it worked, and the answer is no."""


Command = Callable[[argparse.Namespace], Outcome]


def command(
    commands: Any, name: str, function: Command, purpose: str, example: str
) -> argparse.ArgumentParser:
    """Add the command `name` to `commands`, with `--json`, `--debug` and an example in its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=purpose, description=purpose, epilog=f"example: dogsgan {example}"
    )
    parser.set_defaults(function=function)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--set`, for `Recipe.with_overrides`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="change a value of the recipe; may be repeated",
    )


def add_network(parser: argparse.ArgumentParser, *, default: str) -> None:
    """Add `--network` and `--weights`, for `chosen_network` and `open_network`."""
    parser.add_argument(
        "--network",
        default=default,
        help="public, private, efficientnet-lite0, timm:NAME or stand-in; auto: public where its weights are "
        f"at hand, else efficientnet-lite0, whose figures are not Kaggle's ({default})",
    )
    parser.add_argument("--weights", type=Path, metavar="FILE", help="the network's weights")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`, for `pick_device`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")


def positive(text: str) -> int:
    """Parse a whole number above 0; raise what argparse shows as its own refusal."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def not_negative(text: str) -> int:
    """Parse a whole number from 0 to 2⁶³ − 1; raise what argparse shows as its own refusal."""
    if not text.isdigit() or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 0 to 2⁶³ − 1")
    return int(text)
