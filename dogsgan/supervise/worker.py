"""The parts of a supervised run that need torch or much time, each a child process: `python -m` this.

Arguments are the part's name (`MODULE:FUNCTION` for one that is defined elsewhere) and one JSON object, its
request. It reports one JSON object (`children.answer`). Exit status 2 stands for a user error, which trying
again does not mend.
"""

import importlib
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError, ProcessLost
from dogsgan.supervise.children import ERROR, FAILURE, TRACEBACK, answer, ready

if TYPE_CHECKING:
    from torch import nn

    from dogsgan.models.sampling import Sampler

TIMED_CLASSES = 120  # breeds that the sampling of a conditional recipe is timed with


def survey(request: dict[str, Any]) -> dict[str, Any]:
    """Count the GPUs that torch sees, without touching them, and time sampling on the CPU."""
    import torch

    listed = torch.cuda.device_count() if torch.cuda.is_available() else 0
    answer({"gpus": listed})  # known, whatever becomes of the timing
    return {"gpus": listed, **measure({**request, "recipe": request["recipe" if listed else "cpu_recipe"]})}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Time sampling and zipping on the CPU: what is kept back to rescue a run."""
    from dogsgan.stages import finishing_seconds

    ready()
    recipe = Recipe.from_json(request["recipe"])
    class_count = TIMED_CLASSES if recipe.model.conditional else 0
    generator = _untrained(recipe, class_count)
    seconds = finishing_seconds(generator, recipe, class_count=class_count, count=request["count"])
    return {"recipe": recipe.name, "finishing_s": seconds}


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Run a real operation on the one GPU that is visible."""
    import torch

    from dogsgan.device import works

    gpu = torch.device("cuda", 0)
    if not works(gpu):
        return {"works": False}
    memory = torch.cuda.get_device_properties(gpu).total_memory
    return {"works": True, "name": torch.cuda.get_device_name(gpu), "memory_gb": round(memory / 1e9, 1)}


def crop(request: dict[str, Any]) -> dict[str, Any]:
    """Cut the dogs out of the source."""
    from dogsgan.data.prepare import prepare
    from dogsgan.progress import say

    report = prepare(
        Path(request["source"]), Path(request["crops"]), Recipe.from_json(request["recipe"]).data
    )
    say(report.summary())
    return report.to_json()


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Train, or go on, until the time or the images run out. Which signal came is the parent's to say."""
    from dogsgan.data.cropset import CropSet
    from dogsgan.files import be_alone
    from dogsgan.stages import train_within
    from dogsgan.training import loop  # noqa: F401 (before it is ready)
    from dogsgan.training.deadline import Deadline
    from dogsgan.training.interrupts import listen_for_stop

    if not request["locks"]:
        be_alone()
    crop_set, judged = CropSet.open(Path(request["crops"])), None
    if every := request.get(
        "evaluate_every"
    ):  # by name, because a kernel's path needs nothing that sees pictures
        evaluation = importlib.import_module("dogsgan.reports.evaluation")
        judged = evaluation.judge_every(crop_set, every, device=request["device"])
    ready()
    with listen_for_stop(repeated_ends=False):
        report = train_within(
            Recipe.from_json(request["recipe"]),
            crop_set,
            Path(request["run"]),
            images=request["images"],
            deadline=Deadline(request["budget_s"], started=request["started"]),
            device=request["device"],
            count=request["count"],
            judged=judged,
            outlets=request.get("outlets", ()),
        )
    return report.to_json()


def sample(request: dict[str, Any]) -> dict[str, Any]:
    """Sample the newest generator that can be sampled into the zip; with a `grid`, check the zip, too."""
    if (niceness := request.get("niceness")) and hasattr(os, "nice"):  # Windows lacks it
        os.nice(niceness)  # before any thread is there
    from dogsgan.stages import save_sample_grid
    from dogsgan.submission import check_submission

    out = Path(request["out"])
    sampled, data = _sample_newest(request, out)
    if request["grid"] is None:
        return sampled
    answer({**sampled, "check": None, "valid": True})  # the zip is there, whatever becomes of the rest
    checked = check_submission(out, count=request["count"], size_px=data.size_px, channels=data.channels)
    refused = any(problem.refused for problem in checked.problems)
    report = {**sampled, "check": checked.to_json(), "valid": not refused}
    answer(report)
    save_sample_grid(out, Path(request["grid"]))
    return report


def _sample_newest(request: dict[str, Any], out: Path) -> tuple[dict[str, Any], Any]:
    """Try the generators from the newest to the oldest, then an untrained one, so that there is a zip."""
    from dogsgan import stages
    from dogsgan.models.sampling import Sampler
    from dogsgan.progress import say

    ready()
    began, truncation, used, sampler = time.monotonic(), request["truncation"], None, None
    for path in map(Path, request["generators"]):
        try:
            sampler = Sampler.open(path, device=request["device"], truncation=truncation)
            next(sampler.batches(1))  # NaN shows at once
        except DogsganError as error:
            say(f"not sampled from {path}: {error}")
            continue
        used = str(path)
        break
    if used is None or sampler is None:
        recipe = Recipe.from_json(request["recipe"])
        sampler = _untrained_sampler(recipe, request["class_count"], truncation=truncation)
    written = stages.write_samples(sampler, out, count=request["count"], seed=request["seed"]).to_json()
    written["seconds"] = time.monotonic() - began
    report = {"generator": used, "images_seen": sampler.images_seen, "zip": written}
    return report, sampler.recipe.data


def _untrained(recipe: Recipe, class_count: int) -> "nn.Module":
    import torch

    from dogsgan.models import build_networks

    torch.manual_seed(recipe.training.seed)
    return build_networks(recipe, class_count=class_count).generator


def _untrained_sampler(recipe: Recipe, class_count: int, *, truncation: float) -> "Sampler":
    from dogsgan.models.sampling import Sampler

    class_count = class_count if recipe.model.conditional else 0
    names = tuple(map(str, range(class_count)))
    return Sampler.of(_untrained(recipe, class_count), recipe, names, truncation=truncation)


PARTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    part.__name__: part for part in (survey, probe, measure, crop, train, sample)
}


def part_named(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a part of this module, or one that is defined elsewhere."""
    module, _, function = name.rpartition(":")
    return getattr(importlib.import_module(module), function) if module else PARTS[name]


def main(arguments: list[str]) -> int:
    """Run one part."""
    from dogsgan.training.interrupts import unwind_on_signals

    unwind_on_signals()  # so that half-written files are removed
    threading.Thread(target=_end_with_parent, daemon=True).start()
    part, request = arguments
    try:
        report = part_named(part)(json.loads(request))
        if os.environ.get("RANK", "0") == "0":  # which speaks for all that train as one
            answer(report)
    except ProcessLost as error:  # the other one says why
        answer({FAILURE: str(error)})
        return 1
    except DogsganError as error:
        answer({ERROR: str(error)})
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        answer({FAILURE: f"{type(error).__name__}: {error}", TRACEBACK: traceback.format_exc()})
        return 1
    return 0


def _end_with_parent() -> None:
    """End this process at once when the one that started it is gone: nobody would end a hang any more."""
    while os.read(0, 1):
        pass
    os._exit(1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
