"""Options that several commands share, and the result that a command returns to be printed."""

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.training.deadline import Deadline, launched_s_ago, parse_duration

STARTED = time.monotonic() - launched_s_ago()
"""When the command, or the `torchrun` around it, began: a budget counts from here."""


class Outcome(NamedTuple):
    """The result of a command."""

    json: Any
    text: str
    yes: bool = True
    """False sets the exit status 1: the command worked, and its check failed."""
    failed: Sequence[str] = ()
    """A line for each thing that was asked for beside the result and failed, which sets the exit status 2."""


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


def group(commands: Any, name: str, *, purpose: str, description: str, metavar: str, example: str) -> Any:
    """Add a command that consists of commands, and return its subparsers. Alone it shows its help."""
    parser = commands.add_parser(
        name, help=purpose, description=description, epilog=f"example: dogsgan {example}"
    )
    parser.set_defaults(group=parser)
    return parser.add_subparsers(dest=f"{name}_command", metavar=metavar)


def add_preset(parser: argparse.ArgumentParser) -> None:
    """Add `--preset` and `--set`, for `named_recipe`."""
    parser.add_argument(
        "--preset", help="named recipe, see `dogsgan presets` (chosen by device, data and budget)"
    )
    add_settings(parser)


def named_recipe(args: argparse.Namespace) -> Recipe | None:
    """Return the recipe that was asked for; None where the data and the device decide."""
    from dogsgan.presets import preset

    return preset(args.preset).with_overrides(args.set) if args.preset else None


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Add `--set`, for `Recipe.with_overrides`."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="A.B=C",
        help="change a value of the recipe; may be repeated",
    )


def add_length(parser: argparse.ArgumentParser) -> None:
    """Add `--budget`, for `deadline`, and `--images`."""
    parser.add_argument(
        "--budget", metavar="TIME", help="9h, 45m, 30s: time of this call until the zip is there"
    )
    parser.add_argument(
        "--images", type=positive, metavar="N", help="train on N images in all, resumed or not"
    )


def add_watching(parser: argparse.ArgumentParser) -> None:
    """Add `--evaluate-every` and `--log`, which watch a training."""
    parser.add_argument(
        "--evaluate-every",
        type=positive,
        metavar="IMAGES",
        help="Fréchet distance and share of dogs by the embedded network, into the log and the bar; the best "
        "generator is kept, for generate --best (never)",
    )
    parser.add_argument(
        "--log",
        action="append",
        choices=("tensorboard", "wandb"),
        default=[],
        help="where the log goes, too; may be repeated (nowhere)",
    )


def deadline(args: argparse.Namespace, *, default_s: float | None = None) -> Deadline:
    """Return the deadline of `--budget`, counted from the command's start; of `default_s` without one."""
    return Deadline(default_s if args.budget is None else parse_duration(args.budget), started=STARTED)


def add_count(parser: argparse.ArgumentParser, *, help: str = "pictures to generate") -> None:
    """Add `--count`, by default what the competition takes."""
    parser.add_argument("--count", type=positive, default=COUNT, help=f"{help} ({COUNT})")


def add_sampling(parser: argparse.ArgumentParser) -> None:
    """Add `--count`, `--seed` and `--truncation`, for `Sampler.batches`."""
    add_count(parser)
    parser.add_argument("--seed", type=not_negative, default=0, help="same seed, same pictures (0)")
    parser.add_argument(
        "--truncation",
        type=float,
        default=1.0,
        help="below 1: noise beyond twice this is drawn again (1: none)",
    )


def add_workers(parser: argparse.ArgumentParser) -> None:
    """Add `--workers`, for `prepare`."""
    parser.add_argument("--workers", type=positive, metavar="N", help="parallel decoders (as many as cores)")


def add_network(parser: argparse.ArgumentParser, *, default: str = "auto") -> None:
    """Add `--network` and `--weights`, for `open_network`."""
    parser.add_argument(
        "--network",
        default=default,
        help="public, private, efficientnet-lite0, timm:NAME or stand-in; auto: public where its weights are "
        f"at hand, else efficientnet-lite0, whose figures are not Kaggle's ({default})",
    )
    parser.add_argument("--weights", type=path, metavar="FILE", help="the network's weights")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add `--device`, for `pick_device`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (auto)")


def path(text: str) -> Path:
    """Take a path; an empty one, as an unset variable of a shell leaves it, would be the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("an empty path: name a file or a folder")
    return Path(text)


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


def printer(args: argparse.Namespace) -> Callable[[str], None]:
    """Return what prints the result of a stage as it ends: a remark beside a JSON object."""
    from dogsgan.console import print_result
    from dogsgan.progress import say

    return say if args.json else print_result
