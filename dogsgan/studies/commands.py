"""The commands of `dogsgan study`, one line for each study."""

from typing import Any

from dogsgan.studies.attention.command import add_attention_command
from dogsgan.studies.augmentation.command import add_augmentation_command
from dogsgan.studies.recipe.command import add_recipe_command


def add_study_commands(studies: Any) -> None:
    """Add every study to the subparsers of `dogsgan study`."""
    add_attention_command(studies)
    add_augmentation_command(studies)
    add_recipe_command(studies)
