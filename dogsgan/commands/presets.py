"""The command `dogsgan presets`, which lists the named recipes."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, command


def add_command(commands: Any) -> None:
    """Add `presets` to the subparsers of `dogsgan`."""
    command(commands, "presets", _run, "list the named recipes", "presets")


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.presets import describe_presets

    rows = describe_presets()
    width = max(len(row["name"]) for row in rows)
    lines = [
        f"{row['name']:<{width}}  generator {row['generator_parameters']:>11,}, "
        f"discriminator {row['discriminator_parameters']:>11,} parameters  {row['source']}"
        for row in rows
    ]
    return Outcome({"presets": rows}, "\n".join(lines))
