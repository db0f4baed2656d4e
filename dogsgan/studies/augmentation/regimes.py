"""What the classifier of the augmentation study is trained on, regime by regime, and how well it does."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.files import read_json, write_json
from dogsgan.studies.augmentation.classifier import (
    BATCH,
    Feed,
    Labelled,
    accuracy,
    steps_for,
    train_classifier,
)

REGIMES = {
    "real": "real only",
    "classic": "real + classic",
    "gan": "real + GAN",
    "both": "real + both",
    "gan-only": "GAN only",
}
"""Name and heading of each. Classic: every real picture is distorted anew whenever it is shown. With a GAN:
half of every batch is generated, half real. GAN only: never a real picture (the classification accuracy score
of Ravuri and Vinyals, arXiv 1905.10887)."""
WITH_GAN = ("gan", "both", "gan-only")


@dataclass(frozen=True)
class Outcome:
    """How one classifier did."""

    accuracy: float | None
    """Share of the test pictures that it names right; None where there is none."""
    problem: str | None
    """Why there is no accuracy."""
    images_seen: int
    seconds: float
    generator: str | None
    """The sha256 of the generator it had pictures of."""


def feeds_of(regime: str, real: Labelled, generated: Labelled | None) -> Sequence[Feed]:
    """Return what every batch of a regime is made of. `generated` may be None where it has no part."""
    feeds = [] if regime == "gan-only" else [Feed(real, distorted=regime in ("classic", "both"))]
    if regime in WITH_GAN:
        assert generated is not None
        feeds.append(Feed(generated))
    return feeds


def kept_outcome(folder: Path, regime: str, *, generator: str | None) -> Outcome | None:
    """Return what is known of a regime, if it is there and had pictures of that generator."""
    path = _path(folder, regime)
    if not path.exists():
        return None
    saved: Any = read_json(path)
    try:
        return Outcome(**saved) if saved["generator"] == generator else None
    except (KeyError, TypeError):
        return None  # another version's: it is tried anew


def no_pictures(folder: Path, regime: str, *, problem: str, generator: str | None) -> Outcome:
    """Note that a regime has no classifier, and why."""
    return _noted(folder, regime, Outcome(None, problem, 0, 0.0, generator))


def try_regime(
    folder: Path,
    regime: str,
    *,
    feeds: Sequence[Feed],
    test: Labelled,
    class_count: int,
    images: int,
    seed: int,
    generator: str | None,
) -> Outcome:
    """Train the classifier of a regime, count its right answers, and note them in `folder`."""
    began = time.monotonic()
    network = train_classifier(feeds, class_count=class_count, images=images, seed=seed)
    share = accuracy(network, test)
    outcome = Outcome(
        accuracy=share,
        problem="the classifier diverged" if share is None else None,
        images_seen=steps_for(images) * BATCH,
        seconds=round(time.monotonic() - began, 2),
        generator=generator,
    )
    return _noted(folder, regime, outcome)


def _noted(folder: Path, regime: str, outcome: Outcome) -> Outcome:
    write_json(_path(folder, regime), dataclasses.asdict(outcome))
    return outcome


def _path(folder: Path, regime: str) -> Path:
    return folder / "classifiers" / f"{regime}.json"
