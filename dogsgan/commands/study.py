"""The commands `dogsgan study …`: variants trained alike and compared over seeds."""

from typing import Any

from dogsgan.commands.options import group
from dogsgan.studies.commands import add_study_commands


def add_command(commands: Any) -> None:
    """Add `study` to the subparsers of `dogsgan`."""
    studies = group(
        commands,
        "study",
        purpose="comparisons over seeds",
        description="Train variants alike and compare them over seeds.",
        metavar="STUDY",
    )
    add_study_commands(studies)
