"""The parts of a kernel that need torch or much time, each a child process: `python -m` this, part, request.

A part takes one JSON object and reports one (`children.answer`). Exit status 2 means something that trying
again does not mend.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.console import STDERR
from dogsgan.errors import DogsganError
from dogsgan.supervise.children import answer, ready

BEGAN = time.monotonic()
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

    data = Recipe.from_json(request["recipe"]).data
    report = prepare(Path(request["source"]), Path(request["crops"]), data)
    say(report.summary())
    return report.to_json()


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Train, or go on, until the time or the images run out."""
    from dogsgan.data.cropset import CropSet
    from dogsgan.locks import be_alone
    from dogsgan.stages import train_within
    from dogsgan.training.deadline import Deadline

    be_alone()
    ready()
    report = train_within(
        Recipe.from_json(request["recipe"]),
        CropSet.open(Path(request["crops"])),
        Path(request["run"]),
        images=request["images"],
        deadline=Deadline(request["budget_s"], started=request["started"]),
        device=request["device"],
        count=request["count"],
    )
    return report.to_json()


def sample(request: dict[str, Any]) -> dict[str, Any]:
    """Sample the newest generator that can be sampled into the zip, and check the zip."""
    os.nice(request.get("niceness", 0))  # before any thread is there
    from dogsgan.stages import save_sample_grid
    from dogsgan.submission import check_submission

    out = Path(request["out"])
    sampled = _sample_newest(request, out)
    answer({**sampled, "check": None, "valid": True})  # the zip is there, whatever becomes of the rest
    checked = check_submission(
        out, count=request["count"], size_px=sampled.pop("size_px"), channels=sampled.pop("channels")
    )
    refused = any(problem.refused for problem in checked.problems)
    report = {**sampled, "check": checked.to_json(), "valid": not refused}
    answer(report)
    save_sample_grid(out, Path(request["grid"]))
    return report


def _sample_newest(request: dict[str, Any], out: Path) -> dict[str, Any]:
    """Try the generators from the newest to the oldest, then an untrained one, so that there is a zip."""
    from dogsgan.models.sampling import Sampler
    from dogsgan.progress import say
    from dogsgan.stages import write_samples

    options, truncation = {"count": request["count"], "seed": request["seed"]}, request["truncation"]
    for path in map(Path, request["generators"]):
        try:
            sampler = Sampler.open(path, device=request["device"], truncation=truncation)
            next(sampler.batches(1))  # NaN shows at once
        except DogsganError as error:
            say(f"not sampled from {path}: {error}")
            continue
        write_samples(sampler, out, **options)
        return {"generator": str(path), "images_seen": sampler.images_seen, **_form(sampler.recipe)}
    recipe = Recipe.from_json(request["recipe"])
    write_samples(_untrained_sampler(recipe, request["class_count"], truncation=truncation), out, **options)
    return {"generator": None, "images_seen": 0, **_form(recipe)}


def _form(recipe: Recipe) -> dict[str, int]:
    """Return what the check has to know of the pictures."""
    return {"size_px": recipe.data.size_px, "channels": recipe.data.channels}


def _untrained(recipe: Recipe, class_count: int) -> Any:
    import torch

    from dogsgan.models import build_networks

    torch.manual_seed(recipe.training.seed)
    return build_networks(recipe, class_count=class_count).generator


def _untrained_sampler(recipe: Recipe, class_count: int, *, truncation: float) -> Any:
    from dogsgan.models.sampling import Sampler

    class_count = class_count if recipe.model.conditional else 0
    names = tuple(map(str, range(class_count)))
    return Sampler.of(_untrained(recipe, class_count), recipe, names, truncation=truncation)


PARTS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    part.__name__: part for part in (survey, probe, measure, crop, train, sample)
}


def is_first_of_several() -> bool:
    """Return whether this process speaks for all that train as one, as `torchrun` numbers them."""
    return os.environ.get("RANK", "0") == "0"


def main(arguments: list[str]) -> int:
    """Run one part."""
    part, request = arguments
    try:
        report = PARTS[part](json.loads(request))
        if is_first_of_several():
            answer(report)
    except DogsganError as error:
        STDERR.write(f"error: {error}\n")
        STDERR.flush()
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
