"""The commands: parse, call one function, print. No work happens here, and parsing imports nothing heavy."""

import argparse
import json
import time
import warnings
from pathlib import Path
from typing import Any, NoReturn

from dogsgan import __version__
from dogsgan.commands import Outcome, add_device, add_network, add_settings, command, not_negative, positive
from dogsgan.console import STDERR, close_streams, open_streams, print_result
from dogsgan.errors import DogsganError, refused_by_system
from dogsgan.kernel.commands_local import add_local_commands
from dogsgan.kernel.commands_remote import add_remote_commands
from dogsgan.studies.commands import add_study_commands

STARTED = time.monotonic()


def _prepare(args: argparse.Namespace) -> Outcome:
    from dogsgan.data.prepare import prepare

    report = prepare(
        args.source,
        args.out,
        size_px=args.size,
        policy=args.policy,
        boxes=args.boxes,
        min_box_px=args.min_box,
        workers=args.workers,
    )
    return Outcome(report.to_json(), report.summary(), not (args.strict and report.skipped))


def _train(args: argparse.Namespace) -> Outcome:
    from dogsgan.choosing import choose_recipe, refuse_too_slow, unconditional_without_labels
    from dogsgan.data.cropset import CropSet
    from dogsgan.data.sources import crop_set_source
    from dogsgan.stages import COUNT, refuse_other_crops, train_within

    recipe, budget_s, crop_set = _named_recipe(args), _budget_s(args), CropSet.open(args.data)
    source = crop_set_source(crop_set)
    left_s = None if budget_s is None else STARTED + budget_s - time.monotonic()
    if recipe is None:
        recipe = choose_recipe(
            source, args.run, settings=args.set, device=args.device, left_s=left_s, count=COUNT
        )
    recipe = unconditional_without_labels(recipe, source)
    refuse_other_crops(args.set, recipe, crop_set)
    if budget_s is not None:
        left_s = STARTED + budget_s - time.monotonic()
    refuse_too_slow(recipe, source, args.run, left_s=left_s, count=COUNT, device=args.device)
    report = train_within(
        recipe,
        crop_set,
        args.run,
        images=args.images,
        budget_s=budget_s,
        started=STARTED,
        resume=args.resume,
        device=args.device,
    )
    return Outcome(report.to_json(), report.summary(), report.trained_something)


def _generate(args: argparse.Namespace) -> Outcome:
    from dogsgan.stages import generate
    from dogsgan.training.interrupts import outlast_notices

    with outlast_notices():
        report = generate(
            args.run_folder,
            args.out,
            count=args.count,
            seed=args.seed,
            truncation=args.truncation,
            device=args.device,
            labels=args.labels,
        )
    return Outcome(report.to_json(), report.summary(), not report.untrained)


def _check(args: argparse.Namespace) -> Outcome:
    from dogsgan.submission import check_submission

    report = check_submission(args.zip, count=args.count, size_px=args.size, channels=1 if args.grey else 3)
    return Outcome(report.to_json(), report.summary(), report.ok)


def _score(args: argparse.Namespace) -> Outcome:
    if args.per_class:
        return _score_per_class(args)
    if args.out is not None:
        raise DogsganError("--out goes with --per-class: give both or neither")
    from dogsgan.scoring import score

    result = score(
        args.generated,
        args.real,
        network=args.network,
        weights=args.weights,
        device=args.device,
        save_stats=args.save_stats,
        labels=args.labels,
        classes=args.classes,
    )
    return Outcome(result.to_json(), result.summary())


def _score_per_class(args: argparse.Namespace) -> Outcome:
    from dogsgan.scoring import per_class

    result = per_class(
        args.generated,
        args.real,
        labels=args.labels,
        out=args.out,
        network=args.network,
        weights=args.weights,
        device=args.device,
        save_stats=args.save_stats,
        classes=args.classes,
    )
    where = f"\nlook at {args.out / 'per-class.png'}" if args.out else ""
    return Outcome(result.to_json(), result.summary() + where)


def _floor(args: argparse.Namespace) -> Outcome:
    from dogsgan.scoring.floor import COUNT, POLICIES, floor

    result = floor(
        args.source,
        policies=args.policy or POLICIES,
        count=args.count or COUNT,
        size_px=args.size,
        network=args.network,
        weights=args.weights,
        device=args.device,
    )
    return Outcome(result.to_json(), result.summary())


def _audit(args: argparse.Namespace) -> Outcome:
    from dogsgan.audit import audit

    result = audit(
        args.generated,
        args.real,
        out=args.out,
        network=args.network,
        weights=args.weights,
        held_out=args.held_out,
        allow=args.allow,
        false_discovery_rate=args.rate,
        neighbours=args.neighbours,
        sample=args.sample,
        device=args.device,
    )
    page = args.out / "report.html"
    return Outcome(result.to_json(report=page), f"{result.summary()}\nlook at {page}", not result.flagged)


def _run(args: argparse.Namespace) -> Outcome:
    from dogsgan.pipeline import run_pipeline

    report = run_pipeline(
        args.source,
        args.out,
        recipe=_named_recipe(args),
        settings=args.set,
        images=args.images,
        budget_s=_budget_s(args),
        started=STARTED,
        count=args.count,
        seed=args.seed,
        truncation=args.truncation,
        network=args.network,
        weights=args.weights,
        workers=args.workers,
        device=args.device,
        audited=args.audit,
        tell=_tell(args),
    )
    return Outcome(report.to_json(), report.closing(), report.ok)


def _demo(args: argparse.Namespace) -> Outcome:
    from dogsgan.demo import BUDGET_S, demo

    budget_s = _budget_s(args) or BUDGET_S
    report = demo(
        args.out,
        preset_name=args.preset,
        budget_s=budget_s,
        images=args.images,
        count=args.count,
        device=args.device,
        tell=_tell(args),
    )
    return Outcome(report.to_json(), report.closing(), report.ok)


def _presets(args: argparse.Namespace) -> Outcome:
    from dogsgan.presets import describe_presets

    rows = describe_presets()
    width = max(len(row["name"]) for row in rows)
    lines = [
        f"{row['name']:<{width}}  generator {row['generator_parameters']:>11,}, "
        f"discriminator {row['discriminator_parameters']:>11,} parameters  {row['source']}"
        for row in rows
    ]
    return Outcome(rows, "\n".join(lines))


def _weights(args: argparse.Namespace) -> Outcome:
    from dogsgan.scoring.weights import fetch_weights

    path = fetch_weights(args.network, url=args.url)
    return Outcome({"network": args.network, "path": str(path)}, f"{args.network}: {path}")


def _named_recipe(args: argparse.Namespace) -> Any:
    """Return the recipe that was asked for; None where that is left to the data and the machine."""
    from dogsgan.presets import preset

    return preset(args.preset).with_overrides(args.set) if args.preset else None


def _tell(args: argparse.Namespace) -> Any:
    """Return what prints the result of a stage as it ends: a remark beside a JSON object."""
    from dogsgan.progress import say

    return say if args.json else print_result


def _budget_s(args: argparse.Namespace) -> float | None:
    from dogsgan.training.deadline import parse_duration

    return None if args.budget is None else parse_duration(args.budget)


class _Parser(argparse.ArgumentParser):
    """Refuses bad arguments in the one line that every mistake gets."""

    def error(self, message: str) -> NoReturn:
        STDERR.write(f"error: {self.prog}: {message}; see {self.prog} --help\n")
        raise SystemExit(2)

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and version as results; argparse itself says nothing where that fails."""
        print_result(message.removesuffix("\n"))


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(
        prog="dogsgan",
        description="From a generative-image competition's files to a scored images.zip.",
        epilog="example: dogsgan run generative-dog-images.zip --out out --budget 9h",
    )
    parser.add_argument("--version", action="version", version=f"dogsgan {__version__}")
    parser.set_defaults(group=parser)  # shows its help where no command is given
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    prepare = command(
        commands, "prepare", _prepare, "cut the dogs out of a source", "prepare dogs.zip --out crops"
    )
    prepare.add_argument(
        "source",
        type=Path,
        help="folder or zip in any known layout; MNIST@test is that split (CELEBA@valid, CELEBA@all too)",
    )
    prepare.add_argument("--out", type=Path, required=True, metavar="SET", help="folder of the prepared set")
    prepare.add_argument("--size", type=positive, default=64, metavar="PX", help="side of the crops (64)")
    prepare.add_argument(
        "--policy",
        default="square",
        help="square, context, squash, whole, center, center-N (the middle N×N px), or a mixture such as "
        "whole:0.5,context:0.5 (square)",
    )
    prepare.add_argument(
        "--boxes", choices=("all", "largest"), default="all", help="with several dogs in a picture (all)"
    )
    prepare.add_argument(
        "--min-box",
        type=not_negative,
        default=0,
        metavar="PX",
        help="leave out boxes with a shorter side below (0)",
    )
    _add_workers(prepare)
    prepare.add_argument("--strict", action="store_true", help="exit 1 if anything was left out")

    train = command(
        commands,
        "train",
        _train,
        "train a recipe on a prepared set",
        "train --data crops --run run --budget 8h",
    )
    train.add_argument("--data", type=Path, required=True, metavar="SET", help="prepared set")
    train.add_argument("--run", type=Path, required=True, help="folder of the run")
    _add_training(train)
    train.add_argument(
        "--resume",
        choices=("auto", "never"),
        default="auto",
        help="auto goes on where the run stands, never wants a fresh folder (auto)",
    )
    add_device(train)

    generate = command(
        commands, "generate", _generate, "sample a run into a zip of PNGs", "generate run --out images.zip"
    )
    generate.add_argument("run_folder", type=Path, metavar="RUN", help="run folder or generator.safetensors")
    generate.add_argument("--out", type=Path, required=True, metavar="ZIP", help="the zip to write")
    generate.add_argument(
        "--labels", type=Path, metavar="CSV", help="write each picture's class (conditional runs only)"
    )
    _add_sampling(generate)
    add_device(generate)

    check = command(commands, "check", _check, "would the competition take this zip?", "check images.zip")
    check.add_argument("zip", type=Path, help="the submission")
    check.add_argument("--count", type=positive, default=10_000, help="pictures it has to hold (10000)")
    check.add_argument("--size", type=positive, default=64, metavar="PX", help="their side (64)")
    check.add_argument("--grey", action="store_true", help="8-bit grey pictures, not RGB")

    score = command(
        commands, "score", _score, "the competition's score (MiFID)", "score images.zip --real dogs.zip"
    )
    score.add_argument("generated", type=Path, help="zip or folder of generated pictures")
    score.add_argument(
        "--real",
        type=Path,
        required=True,
        metavar="SOURCE",
        help="training pictures in any known layout, or .npz statistics",
    )
    add_network(score, default="auto")
    score.add_argument("--save-stats", type=Path, metavar="NPZ", help="write the real side's statistics")
    score.add_argument("--per-class", action="store_true", help="how each class fares, too")
    score.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="name,class of the generated pictures, for --per-class and for recognition (else their folders "
        "are the classes)",
    )
    score.add_argument(
        "--classes",
        metavar="SET",
        help="what a classifier should recognise: dogs, or a file with an ImageNet wnid or class name a line "
        "(dogs)",
    )
    score.add_argument(
        "--out", type=Path, metavar="DIR", help="with --per-class: folder for its table, JSON and plot"
    )
    add_device(score)

    floor = command(
        commands,
        "floor",
        _floor,
        "the best score that crops of a policy can have",
        "floor dogs.zip --policy square --policy whole:0.5,context:0.5",
    )
    floor.add_argument("source", type=Path, help="training pictures in any known layout")
    floor.add_argument(
        "--policy",
        action="append",
        metavar="P",
        help="as for prepare; may be repeated (every policy, and two mixtures)",
    )
    floor.add_argument(
        "--count", type=positive, metavar="N", help="crops of each policy, and whole pictures, at most (3000)"
    )
    floor.add_argument("--size", type=positive, default=64, metavar="PX", help="side of the crops (64)")
    add_network(floor, default="auto")
    add_device(floor)

    audit = command(
        commands,
        "audit",
        _audit,
        "which pictures copy training data?",
        "audit images.zip --real dogs.zip --out audit",
    )
    audit.add_argument("generated", type=Path, help="zip or folder of generated pictures")
    audit.add_argument(
        "--real", type=Path, required=True, metavar="SOURCE", help="training pictures in any known layout"
    )
    audit.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the page and tables"
    )
    add_network(audit, default="auto")
    audit.add_argument(
        "--allow",
        type=Path,
        metavar="FILE",
        help="names of accepted pictures, one a line: no reason for exit 1",
    )
    audit.add_argument(
        "--held-out",
        type=Path,
        metavar="SOURCE",
        help="real pictures not trained on, for the data-copying test",
    )
    audit.add_argument(
        "--rate",
        type=float,
        default=0.01,
        help="false discovery rate: honest pictures among the flagged (0.01)",
    )
    audit.add_argument(
        "--neighbours", type=positive, default=5, metavar="K", help="nearest training pictures to list (5)"
    )
    audit.add_argument(
        "--sample", type=positive, metavar="N", help="look at N pictures chosen by chance (all)"
    )
    add_device(audit)

    run = command(
        commands,
        "run",
        _run,
        "prepare, train, generate, check, score and audit",
        "run dogs.zip --out out --budget 9h",
    )
    run.add_argument("source", type=Path, help="folder or zip in any known layout, or a prepared set")
    run.add_argument("--out", type=Path, required=True, help="folder for everything that comes out")
    _add_training(run)
    _add_sampling(run)
    add_network(run, default="auto")
    run.add_argument("--no-audit", dest="audit", action="store_false", help="leave out the last step")
    _add_workers(run)
    add_device(run)

    demo = command(commands, "demo", _demo, "run on drawn dogs or digits, in minutes", "demo --out demo")
    demo.add_argument(
        "--out", type=Path, default=Path("demo"), help="folder for everything that comes out (demo)"
    )
    demo.add_argument(
        "--preset", default="demo", help="recipe: a grey one is trained on drawn digits, mnist-gan (demo)"
    )
    demo.add_argument("--budget", metavar="TIME", help="time until the zip is finished (210s)")
    demo.add_argument("--images", type=positive, metavar="N", help="train on at most N images")
    demo.add_argument("--count", type=positive, default=10_000, help="pictures to generate (10000)")
    add_device(demo)

    command(commands, "presets", _presets, "list the named recipes", "presets")

    weights = command(commands, "weights", _weights, "fetch a network's weights", "weights public")
    weights.add_argument(
        "network", help="public or private, the competition's networks, or timm:NAME, one of timm's own"
    )
    weights.add_argument("--url", help="fetch from here instead of the release")

    kernel = commands.add_parser(
        "kernel", help="the single Kaggle kernel", description="Build, rehearse and submit one Kaggle kernel."
    )
    kernel.set_defaults(group=kernel)
    steps = kernel.add_subparsers(dest="kernel_command", metavar="STEP")
    add_local_commands(steps)
    add_remote_commands(steps)

    study = commands.add_parser(
        "study",
        help="comparisons over seeds",
        description="Train variants alike and compare them over seeds.",
    )
    study.set_defaults(group=study)
    add_study_commands(study.add_subparsers(dest="study_command", metavar="STUDY"))
    return parser


def _add_training(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--preset", help="named recipe, see `dogsgan presets` (chosen by device, data and budget)"
    )
    add_settings(parser)
    parser.add_argument(
        "--budget", metavar="TIME", help="9h, 45m, 30s: time of this call until the zip is there"
    )
    parser.add_argument(
        "--images", type=positive, metavar="N", help="train on N images in all, resumed or not"
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", type=positive, default=10_000, help="pictures to generate (10000)")
    parser.add_argument("--seed", type=not_negative, default=0, help="same seed, same pictures (0)")
    parser.add_argument(
        "--truncation",
        type=float,
        default=1.0,
        help="below 1: noise beyond twice this is drawn again (1: none)",
    )


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=positive, metavar="N", help="parallel decoders (as many as cores)")


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 the check failed, 2 a user error."""
    open_streams()
    try:
        args = build_parser().parse_args(argv)
    except SystemExit as ended:  # --help, --version, or a refusal
        raise SystemExit(close_streams(int(ended.code or 0))) from None
    if not hasattr(args, "function"):
        args.group.print_help()
        return close_streams(0)
    return close_streams(_run_command(args))


def _run_command(args: argparse.Namespace) -> int:
    from dogsgan.training.interrupts import unwind_on_signals  # only here: `--help` is fast

    unwind_on_signals()
    try:
        with warnings.catch_warnings():
            # Pillow warns at a size that is refused anyway, by a line of our own.
            warnings.filterwarnings("ignore", r"Image size \(\d+ pixels\) exceeds limit")
            outcome: Outcome = args.function(args)
    except DogsganError as error:
        if args.debug:
            raise
        STDERR.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        if args.debug:
            raise
        STDERR.write("error: interrupted; the same command goes on where it stopped\n")
        return 130
    except OSError as error:
        if args.debug:
            raise
        STDERR.write(f"error: {DogsganError(refused_by_system(error))}\n")
        return 2
    except Exception as error:
        if args.debug:
            raise
        kind = type(error).__name__
        STDERR.write(
            f"error: a bug of dogsgan: {kind}: {' '.join(str(error).split())}; --debug shows where\n"
        )
        return 2
    if args.json:
        STDERR.write(f"{outcome.text}\n")
        print_result(json.dumps(outcome.json))
    else:
        print_result(outcome.text)
    return 0 if outcome.yes else 1
