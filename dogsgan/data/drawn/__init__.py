"""Pictures drawn on the spot, for the demo, rehearsals and tests."""

from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.files import is_occupied

MAX_IMAGES = 1_000_000


def refuse_request(images: int, what: str, *, least: int, folder: Path | None) -> None:
    """Raise a DogsganError unless so many may be drawn, and `folder` is empty or not there."""
    if not least <= images <= MAX_IMAGES:
        raise DogsganError(f"{images} {what} cannot be drawn: choose from {least} to {MAX_IMAGES}")
    if folder is not None and is_occupied(folder):
        raise DogsganError(
            f"{folder} exists and is not an empty folder: choose another place for the drawings"
        )
