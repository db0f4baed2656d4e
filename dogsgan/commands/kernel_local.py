"""The commands that need no Kaggle: `dogsgan kernel build` and `rehearse`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogsgan.commands.options import Outcome, add_count, add_settings, command, not_negative, path, positive
from dogsgan.errors import DogsganError

if TYPE_CHECKING:
    from dogsgan.config import Recipe

DEFAULT_PRESET = "dogs-sagan"


def add_local_commands(commands: Any) -> None:
    """Add both commands to the subparsers of `dogsgan kernel`."""
    _add_build(commands)
    _add_rehearse(commands)


def _add_build(commands: Any) -> None:
    build = command(
        commands,
        "build",
        _build,
        "write one code file and its metadata for Kaggle",
        "kernel build --preset dogs-sagan --user NAME --out kernels/dogs-sagan",
    )
    build.add_argument("--out", type=path, required=True, metavar="FOLDER", help="folder of the kernel")
    build.add_argument("--preset", help=f"recipe where a GPU works ({DEFAULT_PRESET})")
    build.add_argument(
        "--cpu-preset", metavar="PRESET", help="recipe where none does (the same, or dogs-best-cpu)"
    )
    add_settings(build)
    build.add_argument("--budget", default="9h", metavar="TIME", help="until the kernel has ended (9h)")
    build.add_argument("--images", type=positive, metavar="N", help="train on at most N images")
    add_count(build, help="pictures in images.zip")
    build.add_argument("--seed", type=not_negative, default=0, help="of the pictures (0)")
    build.add_argument("--truncation", type=float, default=1.0, help="below 1: less varied pictures (1)")
    build.add_argument("--notebook", action="store_true", help="a notebook that shows what it does")
    build.add_argument("--user", help="your name on Kaggle (from the client's configuration)")
    build.add_argument("--slug", help="the kernel's address there (the folder's name)")
    build.add_argument(
        "--dataset", action="append", default=[], metavar="OWNER/NAME", help="attach a dataset, too"
    )
    build.add_argument(
        "--continue-from",
        metavar="KERNEL",
        help="go on with the run that this kernel left, by its recipe: OWNER/SLUG, or the built folder",
    )
    build.add_argument(
        "--gpu-memory", type=float, default=15.0, metavar="GB", help="what the recipe has to fit (15: a T4)"
    )


def _add_rehearse(commands: Any) -> None:
    rehearse = command(
        commands,
        "rehearse",
        _rehearse,
        "run a built kernel here as Kaggle would",
        "kernel rehearse kernels/dogs-sagan --minutes 5 --data dogs.zip",
    )
    rehearse.add_argument(
        "kernel", type=path, nargs="?", metavar="FOLDER", help="folder of the kernel (the one in kernels/)"
    )
    rehearse.add_argument("--minutes", type=float, default=5.0, help="the hard limit (5)")
    rehearse.add_argument(
        "--count", type=positive, help="generate fewer pictures, where 10000 take most of the time"
    )
    rehearse.add_argument(
        "--data", type=path, metavar="SOURCE", help="the competition's data, or any other (drawn here)"
    )
    rehearse.add_argument(
        "--mount",
        help="how: competition, dataset or none (competition; dataset for data that are no dogs with boxes)",
    )
    rehearse.add_argument(
        "--previous",
        type=path,
        metavar="FOLDER",
        help="what the kernel of --continue-from left (`--out` of its rehearsal)",
    )
    rehearse.add_argument("--out", type=path, metavar="FOLDER", help="keep what the kernel leaves")
    rehearse.add_argument("--memory", type=float, default=13.0, metavar="GB", help="limit (13)")
    rehearse.add_argument("--isolated", action="store_true", help="refuse to run without bubblewrap")


def _build(args: argparse.Namespace) -> Outcome:
    from dogsgan.kernel.build import build_kernel
    from dogsgan.presets import preset

    report = build_kernel(
        _recipe(args),
        args.out,
        cpu_recipe=preset(args.cpu_preset) if args.cpu_preset else None,
        budget=args.budget,
        count=args.count,
        seed=args.seed,
        truncation=args.truncation,
        images=args.images,
        as_notebook=args.notebook,
        user=args.user,
        slug=args.slug,
        datasets=tuple(args.dataset),
        continue_from=args.continue_from,
        gpu_memory_gb=args.gpu_memory,
    )
    return Outcome(report.to_json(), report.summary())


def _recipe(args: argparse.Namespace) -> "Recipe":
    """Return the recipe to build with: that of the built folder which is continued, where one is given."""
    from dogsgan.config import Recipe
    from dogsgan.kernel.folder import read_kernel
    from dogsgan.presets import preset

    folder = Path(args.continue_from or "")
    known: Recipe | None = None
    if args.continue_from and folder.is_dir():
        _, values = read_kernel(folder)
        if not values.get("CONTINUE_FROM"):  # else it goes on by the recipe of an earlier one
            known = Recipe.from_json(values["RECIPE"])
    named = preset(args.preset or DEFAULT_PRESET) if args.preset or known is None else known
    recipe = named.with_overrides(args.set)
    if known is not None and (differences := known.differences(recipe)):
        raise DogsganError(
            f"the run of {folder} goes on by its own recipe, {known.name} ({'; '.join(differences)}): leave "
            "out --preset and --set, or --continue-from"
        )
    return recipe


def _only_kernel(folder: Path = Path("kernels")) -> Path:
    """Return the one kernel that was built in `folder`."""
    from dogsgan.kernel.folder import METADATA_FILE

    built = sorted(path.parent for path in folder.glob(f"*/{METADATA_FILE}"))
    if not built:
        raise DogsganError(f"{folder}/ holds no kernel: build one there, or name the folder of another")
    if len(built) > 1:
        raise DogsganError(f"which kernel? Name one of {', '.join(map(str, built))}")
    return built[0]


def _rehearse(args: argparse.Namespace) -> Outcome:
    from dogsgan.kernel.rehearse import rehearse

    report = rehearse(
        args.kernel or _only_kernel(),
        budget_s=60 * args.minutes,
        count=args.count,
        data=args.data,
        mount=args.mount,
        previous=args.previous,
        out=args.out,
        memory_gb=args.memory,
        isolated=True if args.isolated else None,
    )
    return Outcome(report.to_json(), report.summary(), report.ok)
