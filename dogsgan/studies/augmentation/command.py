"""The command `dogsgan study augmentation`."""

import argparse
from pathlib import Path
from typing import Any

from dogsgan.commands.options import Outcome, add_device, positive
from dogsgan.studies.options import recipe_for, study_parser


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
    parser.add_argument(
        "--seeds", type=positive, default=3, metavar="K", help="subsets, GANs and classifiers of each (3)"
    )
    parser.add_argument(
        "--gan-images", type=positive, default=120_000, metavar="N", help="images each GAN sees (120000)"
    )
    parser.add_argument(
        "--classifier-images",
        type=positive,
        default=100_000,
        metavar="N",
        help="pictures each classifier sees, of whatever kind (100000)",
    )
    parser.add_argument(
        "--count", type=positive, default=10_000, metavar="N", help="pictures to take of each GAN (10000)"
    )
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
    return Outcome(report.to_json(), report.summary(), report.complete)
