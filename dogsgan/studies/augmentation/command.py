"""The command `dogsgan study augmentation`."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_device
from dogsgan.studies.options import add_number, outcome, recipe_for, study_parser


def add_augmentation_command(studies: Any) -> None:
    """Add the command to the subparsers of `dogsgan study`."""
    parser = study_parser(
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
        "--test", type=Path, metavar="SOURCE", help="the test pictures (the source's own split, SOURCE@test)"
    )
    parser.add_argument(
        "--sizes",
        default="100,500,1000,5000,all",
        metavar="N,…",
        help="numbers of real training pictures (100,500,1000,5000,all)",
    )
    add_number(parser, "--seeds", 3, "subsets, GANs and classifiers of each", metavar="K")
    add_number(parser, "--gan-images", 120_000, "images each GAN sees")
    add_number(parser, "--classifier-images", 100_000, "pictures each classifier sees, of whatever kind")
    add_number(parser, "--count", 10_000, "pictures to take of each GAN")
    add_device(parser)


def _augmentation(args: argparse.Namespace) -> Outcome:
    from dogsgan.studies.augmentation.study import parse_sizes, study_augmentation

    report = study_augmentation(
        args.source,
        args.out,
        recipe=recipe_for(args),
        test=args.test,
        sizes=parse_sizes(args.sizes),
        seeds=args.seeds,
        gan_images=args.gan_images,
        classifier_images=args.classifier_images,
        generated=args.count,
        device=args.device,
    )
    return outcome(report)
