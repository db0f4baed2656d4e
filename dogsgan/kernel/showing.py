"""Shows a kernel's pictures below a notebook's cell."""

import importlib
from collections.abc import Iterable
from pathlib import Path

from dogsgan.console import STDOUT


def show(pictures: Iterable[Path]) -> None:
    """Display pictures, or say where they are outside a notebook. It never fails: it is only a look."""
    for path in pictures:
        try:
            shown = importlib.import_module("IPython.display")
            shown.display(shown.Image(filename=str(path)))
        except (ImportError, OSError, ValueError) as error:
            STDOUT.write(f"{path} ({type(error).__name__}: not shown)\n")
