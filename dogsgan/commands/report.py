"""The command `dogsgan report`, which shows a run as one page."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, command, path


def add_command(commands: Any) -> None:
    """Add `report` to the subparsers of `dogsgan`."""
    parser = command(commands, "report", _run, "show a run as one self-contained page", "report out")
    parser.add_argument(
        "run_folder", type=path, metavar="RUN", help="folder of `dogsgan run`, or a run folder"
    )
    parser.add_argument("--out", type=path, metavar="HTML", help="the page to write (RUN/run.html)")


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.reports.page import write_page
    from dogsgan.training.record import RunRecord

    record = RunRecord.open(args.run_folder)
    page = write_page(record, args.out)
    told = {"page": str(page), "run": str(record.run), "images_seen": record.images_seen}
    return Outcome(told, f"{page}: {record.images_seen:,} images of {record.run}")
