"""The recipe of a run: named by a person, kept from an earlier call, or chosen by device, data and budget.

It is settled before anything starts, and so is whether sampling with it fits into the budget.
"""

import dataclasses
import functools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dogsgan.config import Recipe
from dogsgan.data.sources import Source, open_source
from dogsgan.device import pick_device
from dogsgan.errors import DogsganError
from dogsgan.models import build_networks, on_device, outline_networks
from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.presets import choose_presets, preset
from dogsgan.progress import say
from dogsgan.stages import finishing_seconds, recipe_of_set
from dogsgan.training.deadline import FIXED_RESERVE_S, MARGIN, Deadline
from dogsgan.training.distributed import processes
from dogsgan.training.run_folder import read_recipe

DIGITS_PX = (28, 32)
MOST_FOR_SAMPLING = 0.5  # of the budget, of a recipe that is chosen here


def choose_recipe(
    source: Source,
    run: Path,
    *,
    settings: Sequence[str] = (),
    device: str = "auto",
    left_s: float | None = None,
    count: int,
) -> Recipe:
    """Return the recipe to train where nobody names one, changed by `settings`, and say which it is.

    A run that stands at `run` keeps its recipe. Else it is the best that suits the device and the data and
    samples `count` pictures within half of the `left_s` seconds; where none does, the fastest.

    Raises:
        DogsganError: a setting cannot be used, or no recipe suits the size of a prepared set.
    """
    kept = read_recipe(run)
    if kept is not None:
        say(f"recipe: {kept[0].name}, that of {run}")
        return kept[0].with_overrides(list(settings))
    target = pick_device(device)
    classes = class_count_of(source)
    recipes = [recipe.with_overrides(list(settings)) for recipe in _candidates(source, target)]
    chosen, reason = recipes[0], ""
    if left_s is not None and processes() == 1:  # clocks differ, and several have to take the same
        for chosen in recipes:
            if finishing_reserve_s(chosen, classes, count, target) <= MOST_FOR_SAMPLING * left_s:
                break
        if chosen is not recipes[0]:
            reason = f" ({recipes[0].name} is too slow for this budget)"  # and this one may be, too
    labels = f"{classes} classes" if classes else "no labels"
    say(f"recipe: {chosen.name}, for pictures with {labels} on {target}{reason}; --preset names another")
    return unconditional_without_labels(chosen, source)


def unconditional_without_labels(recipe: Recipe, source: Source) -> Recipe:
    """Return a recipe that the source's labels suffice for, and say it if that changes anything."""
    if not recipe.model.conditional or class_count_of(source):
        return recipe
    say(f"the pictures of {source.path} have no labels: {recipe.name} is trained unconditionally")
    return dataclasses.replace(recipe, model=dataclasses.replace(recipe.model, conditional=False))


def class_count_of(source: Source) -> int:
    """Return how many classes a source's pictures have; 0 without labels."""
    if source.crop_set is not None:
        return len(source.crop_set.class_names)
    return len({image.class_name for image in source.images} - {None})


def refuse_too_slow(
    recipe: Recipe, source: Source, run: Path, *, left_s: float | None, count: int, device: str = "auto"
) -> None:
    """Refuse a recipe whose sampling alone would break the budget; of a run that is trained, only say it.

    Raises:
        DogsganError: with the budget, the count and the preset that would do.
    """
    if left_s is None or processes() > 1:
        return
    target, classes = pick_device(device), class_count_of(source)
    needed_s = finishing_reserve_s(recipe, classes, count, target)
    if needed_s < left_s:
        return
    problem = (
        f"{recipe.name} needs about {needed_s:.0f} s on this {target.type} to sample {count:,} pictures, and "
        f"the budget has {max(left_s, 0):.0f} s"
    )
    if (run / GENERATOR_FILE).exists():
        say(f"{problem}: nothing more is trained, and it takes longer")
        return
    remedies = [f"give --budget {math.ceil(2 * needed_s / 60)}m or more"]
    fitting = _fitting_count(recipe, classes, target, left_s=left_s, count=count)
    if fitting:
        remedies.append(f"--count {fitting}")
    for name in choose_presets(target.type, digits=False, labelled=bool(classes))[::-1]:
        other = _suited(preset(name), source)
        if name != recipe.name and recipe.data.channels == 3 and _is_buildable(other, classes):
            if finishing_reserve_s(other, classes, count, target) <= MOST_FOR_SAMPLING * left_s:
                remedies.append(f"--preset {name}")
            break
    raise DogsganError(f"{problem}: {', or '.join(remedies)}")


def settle(request: dict[str, Any]) -> dict[str, Any]:
    """Settle everything that can be refused before a run begins: recipe, device, network and time.

    A part of `supervise.worker`: the process that supervises a run has no torch.

    Raises:
        DogsganError: a value cannot be used, the run in `out` is another one, or sampling takes too long.
    """
    from dogsgan.features.networks import open_network

    out, count = Path(request["out"]), request["count"]
    device = str(pick_device(request["device"]))
    deadline = Deadline(request["budget_s"], started=request["started"])
    source, run = open_source(Path(request["source"])), out / "run"
    if request["recipe"] is not None:
        recipe = Recipe.from_json(request["recipe"])
    else:
        left_s = deadline.left_s()
        recipe = choose_recipe(
            source, run, settings=request["settings"], device=device, left_s=left_s, count=count
        )
    recipe = unconditional_without_labels(recipe, source)
    recipe.model.check_truncation(request["truncation"])
    weights = None if request["weights"] is None else Path(request["weights"])
    judge = open_network(request["network"], weights=weights, device="cpu", size_px=recipe.data.size_px)
    crop_set = _refuse_other_recipe(out, recipe, source)
    needed_s = None
    if deadline.budget_s is not None:
        needed_s = finishing_reserve_s(recipe, class_count_of(source), count, torch.device(device))
        if request["is_stretched"]:
            passed_s = deadline.budget_s - (deadline.left_s() or 0.0)
            deadline.budget_s = max(deadline.budget_s, passed_s + 2 * needed_s)
    refuse_too_slow(recipe, source, run, left_s=deadline.left_s(), count=count, device=device)
    return {
        "recipe": recipe.to_json(),
        "device": device,
        "network": judge.name,
        "note": judge.note,
        "recognises": judge.classifier is not None,
        "crop_set": crop_set,
        "budget_s": deadline.budget_s,
        "finishing_s": None if needed_s is None else (needed_s - FIXED_RESERVE_S) / MARGIN,
    }


def _refuse_other_recipe(out: Path, recipe: Recipe, source: Source) -> str | None:
    """Return the fingerprint of the crops that the run in `out` is trained on; None where none is begun.

    Raises:
        DogsganError: that run has another recipe or other crops, which would be replaced.
    """
    kept = read_recipe(out / "run")
    if kept is None:
        return None
    wanted = recipe if source.crop_set is None else recipe_of_set(recipe, source.crop_set)
    if differences := kept[0].differences(wanted):
        raise DogsganError(
            f"{out} holds a run of {kept[0].name}, and this would be another ({'; '.join(differences)}): "
            "leave out --preset and --set to go on with it, or give another --out"
        )
    if source.crop_set is not None and kept[1] != source.crop_set.fingerprint:
        raise DogsganError(
            f"the run in {out} is trained on other crops than {source.path}: give the source that it was "
            "begun with, or another --out"
        )
    return kept[1]


@functools.cache  # a choice and what checks it measure alike
def finishing_reserve_s(recipe: Recipe, class_count: int, count: int, device: torch.device) -> float:
    """Measure what training has to keep back at least for sampling and zipping `count` pictures."""
    class_count = max(class_count, 1) if recipe.model.conditional else 0
    with torch.random.fork_rng(devices=[]):
        generator = on_device(build_networks(recipe, class_count=class_count).generator, device)
    seconds = finishing_seconds(generator, recipe, class_count=class_count, count=count)
    return MARGIN * seconds + FIXED_RESERVE_S


def _fitting_count(
    recipe: Recipe, class_count: int, device: torch.device, *, left_s: float, count: int
) -> int:
    """Return a round number of pictures that leaves half of the budget for training; 0 where none does."""
    few = finishing_reserve_s(recipe, class_count, 1, device)
    many = finishing_reserve_s(recipe, class_count, count, device)
    fitting = (MOST_FOR_SAMPLING * left_s - few) / max((many - few) / max(count - 1, 1), 1e-9)
    if not 1 <= fitting < count:
        return 0
    digit = 10 ** (len(str(int(fitting))) - 1)
    return int(fitting) // digit * digit


def _candidates(source: Source, device: torch.device) -> list[Recipe]:
    """Return the recipes that suit the device and can be built for the source, the best first.

    Raises:
        DogsganError: none can.
    """
    classes = class_count_of(source)
    names = choose_presets(device.type, digits=_are_digits(source), labelled=bool(classes))
    suited = [_suited(preset(name), source) for name in names]
    if source.crop_set is not None:  # one that was made for this size rather than one that is adapted to it
        suited.sort(key=lambda recipe: preset(recipe.name).data.size_px != recipe.data.size_px)
    buildable = [recipe for recipe in suited if _is_buildable(recipe, classes)]
    if not buildable:
        outline_networks(suited[-1], class_count=max(classes, 1))  # raises why
    return buildable


def _suited(recipe: Recipe, source: Source) -> Recipe:
    """Return a preset's recipe in the size of a prepared set, which cannot be changed."""
    if source.crop_set is None:
        return recipe
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, size_px=source.crop_set.size_px))


def _is_buildable(recipe: Recipe, class_count: int) -> bool:
    try:
        outline_networks(recipe, class_count=max(class_count, 1))
    except DogsganError:
        return False
    return True


def _are_digits(source: Source) -> bool:
    """Return whether a source's first pictures are grey and of the size of MNIST's."""
    pictures = list(_first_pictures(source))
    return bool(pictures) and all(
        picture.shape[0] == picture.shape[1]
        and picture.shape[0] in DIGITS_PX
        and bool((picture == picture[..., :1]).all())
        for picture in pictures
    )


def _first_pictures(source: Source, *, most: int = 8) -> Iterator[np.ndarray]:
    for image in source.images[:most]:
        try:
            yield np.asarray(source.decode(image))
        except DogsganError:
            continue  # what cannot be read is left out later, and said
