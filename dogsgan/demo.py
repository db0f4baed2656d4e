"""The command `demo`: everything that `run` does, in minutes, on pictures that are drawn on the spot."""

import dataclasses
import time
from pathlib import Path
from typing import Any

from dogsgan.competition import COUNT
from dogsgan.config import Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.drawn.digits import draw_digits
from dogsgan.errors import DogsganError
from dogsgan.files import holds
from dogsgan.pipeline import RunReport, Tell, run_pipeline
from dogsgan.presets import preset
from dogsgan.progress import say
from dogsgan.supervise.session import Clock, Session, Terminal
from dogsgan.training.deadline import Deadline

PRESET = "demo"
DOGS = 1_200
DIGITS = 3_000
BUDGET_S = 210.0
SCORED = 600
"""Generated pictures that are scored, against all drawn ones."""
AUDITED = 300
"""Of the scored pictures, those that the audit looks at."""
COMPARED = 400
"""Drawn pictures at most that tell the audit how near honest pictures come."""
_CLASSES = 10  # of the drawings; only for timing
_BATCH = 32
_LARGER_LR = 1e-3  # of generator and discriminator
_EMA_HALFLIFE_IMAGES = 1_000


@holds("out")
def demo(
    out: Path,
    *,
    preset_name: str = PRESET,
    budget_s: float = BUDGET_S,
    images: int | None = None,
    count: int = COUNT,
    device: str = "auto",
    tell: Tell = say,
) -> RunReport:
    """Run everything on pictures drawn here: digits in MNIST's files for a grey preset, dogs for any other.

    Of another preset than the demo's own the networks and the loss are kept, and the training is hurried.

    Raises:
        DogsganError: there is no such preset, or generating with it takes more than half of the budget here.
    """
    started = time.monotonic()
    recipe = preset(preset_name)
    if preset_name != PRESET or device not in ("auto", "cpu"):  # refused before anything is drawn
        session = Session(Clock.of(Deadline(budget_s, started=started)), Terminal())
        limits = {"count": count, "budget_s": budget_s, "device": device}
        session.ask("dogsgan.demo:refuse_too_slow", {"preset": preset_name, **limits})
    if preset_name != PRESET:
        recipe = hurried(recipe)
        say(
            f"{preset_name} in a hurry: small batches, a high learning rate; `dogsgan run SOURCE --preset "
            f"{preset_name}` trains it as it is meant to be"
        )
    source = _drawn_for(recipe, out)
    return run_pipeline(
        source,
        out,
        recipe=recipe,
        images=images,
        deadline=Deadline(budget_s, started=started),
        is_stretched=budget_s == BUDGET_S,  # nobody asked for less: on a slow machine it takes longer
        count=count,
        device=device,
        network="efficientnet-lite0",
        audit_sample=AUDITED,
        null_sample=COMPARED,
        score_sample=SCORED,
        tell=tell,
    )


def hurried(recipe: Recipe) -> Recipe:
    """Return a recipe whose networks show something after a few hundred steps: small batches, large steps."""
    training = recipe.training
    faster = max(1.0, _LARGER_LR / max(training.generator_lr, training.discriminator_lr))
    return dataclasses.replace(
        recipe,
        name=f"{recipe.name}, hurried",
        training=dataclasses.replace(
            training,
            batch_size=min(training.batch_size, _BATCH),
            generator_lr=faster * training.generator_lr,
            discriminator_lr=faster * training.discriminator_lr,
            beta1=min(training.beta1, 0.5),
            ema_halflife_images=min(training.ema_halflife_images, _EMA_HALFLIFE_IMAGES),
            tick_images=2_500,
            checkpoint_images=1_000,
        ),
    )


def refuse_too_slow(request: dict[str, Any]) -> dict[str, Any]:
    """Refuse a device that cannot be used, or a preset that takes too long to sample. A part of `worker`."""
    from dogsgan.choosing import MOST_FOR_SAMPLING, finishing_reserve_s
    from dogsgan.device import pick_device

    recipe, device = preset(request["preset"]), pick_device(request["device"])
    if request["preset"] == PRESET:
        return {}
    count, budget_s = request["count"], request["budget_s"]
    seconds = finishing_reserve_s(recipe, _CLASSES, count, device)
    if seconds > MOST_FOR_SAMPLING * budget_s:
        fixed = finishing_reserve_s(recipe, _CLASSES, 1, device)
        fewer = "" if fixed > MOST_FOR_SAMPLING * budget_s else "a smaller --count, "
        raise DogsganError(
            f"{recipe.name} takes {seconds:.0f} s here to generate {count:,} pictures, {fixed:.0f} s before "
            f"the first, and the demo has {budget_s:.0f} s: give {fewer}a longer --budget or another --preset"
        )
    return {}


def _drawn_for(recipe: Recipe, out: Path) -> Path:
    """Return a drawn source for a recipe, drawn now unless an earlier call did."""
    grey = recipe.data.channels == 1
    source = out / ("drawn-digits" if grey else "drawn-dogs.zip")
    if source.exists():
        return source
    return draw_digits(source, images=DIGITS) if grey else draw_competition(source, images=DOGS)
