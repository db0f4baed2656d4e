"""The command `dogsgan cache`, which shows what is kept for the next call, and removes it."""

import argparse
from typing import Any

from dogsgan.commands.options import Outcome, command
from dogsgan.errors import DogsganError


def add_command(commands: Any) -> None:
    """Add `cache` to the subparsers of `dogsgan`."""
    parser = command(
        commands, "cache", _run, "show what is kept for the next call, or remove it", "cache --clear features"
    )
    parser.add_argument(
        "--clear",
        nargs="*",
        metavar="PART",
        help="remove these parts, or all without a name",
    )


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.cache import PARTS, VARIABLE, cache_parts, clear_cache, user_cache_dir

    cache = user_cache_dir()
    if cache is None:
        raise DogsganError(f"no home folder, so nothing is kept: {VARIABLE} can name a folder for that")
    if unknown := [name for name in args.clear or () if name not in PARTS]:
        raise DogsganError(f"no part {unknown[0]!r} in the cache: there are {', '.join(PARTS)}")
    is_cleared = args.clear is not None
    parts = clear_cache(cache, args.clear or PARTS) if is_cleared else cache_parts(cache)
    width = max(map(len, PARTS))
    lines = [
        f"{part.name:<{width}}  {part.bytes / 1e6:>9.1f} MB  {part.files:>5} files  {PARTS[part.name]}"
        for part in parts
    ]
    done = "removed from" if is_cleared else "kept in"
    total = sum(part.bytes for part in parts)
    return Outcome(
        {
            "folder": str(cache),
            "cleared": is_cleared,
            "parts": [{"name": part.name, "files": part.files, "bytes": part.bytes} for part in parts],
        },
        "\n".join([*lines, f"{total / 1e6:.1f} MB {done} {cache} ({VARIABLE} names another folder)"]),
    )
