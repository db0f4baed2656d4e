"""The commands `dogsgan study …`: variants trained alike and compared over seeds."""

import argparse
from typing import TYPE_CHECKING, Any

from dogsgan.commands.options import (
    Command,
    Outcome,
    add_device,
    add_network,
    add_settings,
    command,
    group,
    path,
    positive,
)
from dogsgan.config import Recipe

if TYPE_CHECKING:
    from dogsgan.studies.grid import StudyReport


def add_command(commands: Any) -> None:
    """Add `study` and every study to the subparsers of `dogsgan`."""
    studies = group(
        commands,
        "study",
        purpose="comparisons over seeds",
        description="Train variants alike and compare them over seeds.",
        metavar="STUDY",
        example="study recipe dogs.zip --out study --budget 55m",
    )
    _add_attention(studies)
    _add_augmentation(studies)
    _add_recipe(studies)


def _add_attention(studies: Any) -> None:
    parser = _study_parser(
        studies,
        "attention",
        _attention,
        "where does self-attention help, with and without spectral norm?",
        "study attention dogs.zip --out study --images 30000",
        preset="dogs-sagan-cpu",
        preset_help="recipe of every variant",
    )
    _add_number(parser, "--images", 50_000, "real images each run sees")
    _add_number(parser, "--seeds", 3, "runs of each variant", metavar="K")
    sizes = "none,8,16,32,64"
    parser.add_argument("--attention", default=sizes, metavar="PX,…", help=f"map sizes to compare ({sizes})")
    parser.add_argument(
        "--spectral-norm", default="on,off", help="in both networks: on, off or both (on,off)"
    )
    _add_judging(parser, count=2000, real_help="crops to compare with")
    add_network(parser, default="stand-in")
    add_device(parser)


def _attention(args: argparse.Namespace) -> Outcome:
    from dogsgan.studies.attention import parse_norms, parse_sizes, study_attention

    report = study_attention(
        args.source,
        args.out,
        recipe=_recipe_for(args),
        images=args.images,
        seeds=args.seeds,
        attention=parse_sizes(args.attention),
        spectral_norm=parse_norms(args.spectral_norm),
        count=args.count,
        real_count=args.real_count,
        network=args.network,
        weights=args.weights,
        device=args.device,
    )
    return outcome(report)


def _add_augmentation(studies: Any) -> None:
    parser = _study_parser(
        studies,
        "augmentation",
        _augmentation,
        "do a GAN's pictures help a classifier, beside classic augmentation?",
        "study augmentation mnist --out study",
        preset="mnist-cgan",
        preset_help="recipe of the GANs",
        source_help="labelled pictures with a test split, such as MNIST's",
    )
    parser.add_argument(
        "--test", type=path, metavar="SOURCE", help="the test pictures (the source's own split, SOURCE@test)"
    )
    sizes = "100,500,1000,5000,all"
    parser.add_argument(
        "--sizes", default=sizes, metavar="N,…", help=f"numbers of real training pictures ({sizes})"
    )
    _add_number(parser, "--seeds", 3, "subsets, GANs and classifiers of each", metavar="K")
    _add_number(parser, "--gan-images", 120_000, "images each GAN sees")
    _add_number(parser, "--classifier-images", 100_000, "pictures each classifier sees, of whatever kind")
    _add_number(parser, "--count", 10_000, "pictures to take of each GAN")
    add_device(parser)


def _augmentation(args: argparse.Namespace) -> Outcome:
    from dogsgan.studies.augmentation.study import parse_sizes, study_augmentation

    report = study_augmentation(
        args.source,
        args.out,
        recipe=_recipe_for(args),
        test=args.test,
        sizes=parse_sizes(args.sizes),
        seeds=args.seeds,
        gan_images=args.gan_images,
        classifier_images=args.classifier_images,
        generated=args.count,
        device=args.device,
    )
    return outcome(report)


def _add_recipe(studies: Any) -> None:
    parser = _study_parser(
        studies,
        "recipe",
        _recipe,
        "which changes of a training recipe are worth their processor time?",
        "study recipe dogs.zip --out study --budget 55m --variants baseline,fast,fast-lecam",
        preset="dogs-sagan-cpu",
        preset_help="recipe that every variant changes",
    )
    parser.add_argument(
        "--budget", default="55m", metavar="TIME", help="processor time of each run's training (55m)"
    )
    parser.add_argument("--variants", metavar="NAME,…", help="baseline and others (all, see docs/studies.md)")
    _add_number(parser, "--seeds", 2, "runs of the baseline", metavar="K")
    _add_number(parser, "--variant-seeds", 1, "runs of each other variant", metavar="J")
    _add_judging(parser, count=5000, real_help="crops of each half")
    parser.add_argument(
        "--network",
        action="append",
        metavar="NAME",
        help="as for `score`, without auto; may be repeated (efficientnet-lite0)",
    )
    parser.add_argument(
        "--weights",
        action="append",
        type=path,
        default=[],
        metavar="FILE",
        help="weights of a network that needs a file; repeated, in the order of those",
    )


def _recipe(args: argparse.Namespace) -> Outcome:
    from dogsgan.features.timm_networks import LITE0
    from dogsgan.studies.recipe import parse_variants, study_recipe
    from dogsgan.training.deadline import parse_duration

    report = study_recipe(
        args.source,
        args.out,
        recipe=_recipe_for(args),
        budget_s=parse_duration(args.budget),
        variants=parse_variants(args.variants),
        seeds=args.seeds,
        variant_seeds=args.variant_seeds,
        count=args.count,
        real_count=args.real_count,
        networks=args.network or [LITE0],
        weights=args.weights,
    )
    return outcome(report)


def _study_parser(
    studies: Any,
    name: str,
    run: Command,
    purpose: str,
    example: str,
    *,
    preset: str,
    preset_help: str,
    source_help: str = "folder or zip in any known layout, or a prepared set",
) -> argparse.ArgumentParser:
    """Add a study to the subparsers of `dogsgan study`, with its source, folder and recipe."""
    parser = command(studies, name, run, purpose, example)
    parser.add_argument("source", type=path, help=source_help)
    parser.add_argument("--out", type=path, required=True, metavar="DIR", help="folder of the study")
    parser.add_argument("--preset", default=preset, help=f"{preset_help}, see `dogsgan presets` ({preset})")
    add_settings(parser)
    return parser


def _add_number(
    parser: argparse.ArgumentParser, flag: str, default: int, help: str, *, metavar: str = "N"
) -> None:
    """Add an option that takes a whole number above 0."""
    parser.add_argument(flag, type=positive, default=default, metavar=metavar, help=f"{help} ({default})")


def _add_judging(parser: argparse.ArgumentParser, *, count: int, real_help: str) -> None:
    """Add how many pictures each run is judged by."""
    _add_number(parser, "--count", count, "generated pictures to judge a run by")
    _add_number(parser, "--real-count", 10_000, real_help)


def _recipe_for(args: argparse.Namespace) -> Recipe:
    """Return the recipe that is asked for.

    Raises:
        DogsganError: a setting is unknown, or asks for other crops than a prepared set has.
    """
    from dogsgan.data.cropset import CropSet, is_crop_set
    from dogsgan.presets import preset
    from dogsgan.stages import refuse_other_crops

    recipe = preset(args.preset).with_overrides(args.set)
    if is_crop_set(args.source):
        refuse_other_crops(args.set, recipe, CropSet.open(args.source))
    return recipe


def outcome(report: "StudyReport") -> Outcome:
    """Return a study's result as a command prints it."""
    return Outcome(report.to_json(), report.text, report.complete, report.failed)
