"""The commands `dogsgan kernel …`: build, rehearse and submit one Kaggle kernel."""

from typing import Any

from dogsgan.commands.kernel_local import add_local_commands
from dogsgan.commands.kernel_remote import add_remote_commands
from dogsgan.commands.options import group


def add_command(commands: Any) -> None:
    """Add `kernel` to the subparsers of `dogsgan`."""
    steps = group(
        commands,
        "kernel",
        purpose="the single Kaggle kernel",
        description="Build, rehearse and submit one Kaggle kernel.",
        metavar="STEP",
        example="kernel build --preset dogs-sagan --user NAME --out kernels/dogs-sagan",
    )
    add_local_commands(steps)
    add_remote_commands(steps)
