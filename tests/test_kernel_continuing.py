"""A kernel that goes on with the run of an earlier one: found, copied, exact, and never taken for data."""

import json
import time
from pathlib import Path

import pytest
from same_run import assert_same_run
from test_kernel_mounts import find, lay_out_pictures
from tiny import RECIPE, crop_set

from dogsgan.config import ModelRecipe, Recipe
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.data.layouts import CELEBA
from dogsgan.errors import DogsganError
from dogsgan.kernel.folder import Settings
from dogsgan.kernel.main import MOST_GRIDS, Kernel, keep, restore
from dogsgan.kernel.mounts import find_run
from dogsgan.kernel.rehearse import lay_out
from dogsgan.training.loop import train

EARLIER = "ann/earlier-dogs"


def lay_out_output(folder: Path, *, recipe=RECIPE, checkpoint="000000016") -> Path:
    """Lay out what a kernel leaves, as far as it is looked for."""
    (folder / "training").mkdir(parents=True)
    for name in ("kernel.log", "images.zip", "samples.png", "training/000000016.png", "log.jsonl"):
        (folder / name).write_bytes(b"")
    (folder / "recipe.json").write_text(json.dumps({**recipe.to_json(), "crop_set": "0" * 64}))
    if checkpoint:
        (folder / "checkpoints" / checkpoint).mkdir(parents=True)
    return folder


def test_a_run_goes_on_to_the_last_bit_from_what_a_kernel_left(tmp_path):
    crops = crop_set(tmp_path / "crops")
    train(RECIPE, crops, tmp_path / "first", images=16, device="cpu")
    assert keep(tmp_path / "first", crops.path, tmp_path / "output") == []
    left = sorted(path.name for path in (tmp_path / "output" / "checkpoints").iterdir())
    assert left == ["000000016"]  # the newest only: it is the largest part of the output
    restore(tmp_path / "output", tmp_path / "second")
    train(RECIPE, crops, tmp_path / "second", images=32, device="cpu")
    train(RECIPE, crops, tmp_path / "at once", images=32, device="cpu")
    assert_same_run(tmp_path / "second", tmp_path / "at once")
    lines = [json.loads(line) for line in (tmp_path / "second" / "log.jsonl").read_text().splitlines()]
    assert [line["images_seen"] for line in lines] == [16, 32]
    grids = {path.name for path in (tmp_path / "second" / "samples").iterdir()}
    assert {"000000016.png", "000000032.png"} <= grids
    assert len(grids) <= MOST_GRIDS


@pytest.mark.parametrize("place", ["earlier-dogs", "notebooks/ann/earlier-dogs", "another-name"])
def test_the_run_is_found_wherever_the_output_is_attached(tmp_path, place):
    output = lay_out_output(tmp_path / place)
    (output / "checkpoints" / "000000008").mkdir()
    assert find_run(tmp_path, EARLIER) == (output, 16, RECIPE)


def test_of_several_outputs_the_one_of_the_name_is_taken_or_none(tmp_path):
    lay_out_output(tmp_path / "a-kernel")
    output = lay_out_output(tmp_path / "earlier-dogs")
    assert find_run(tmp_path, EARLIER).output == output
    lay_out_output(tmp_path / "b-kernel")
    with pytest.raises(DogsganError, match="several that may be the output of ann/other-dogs"):
        find_run(tmp_path, "ann/other-dogs")


def kernel_of(root: Path, **settings) -> Kernel:
    lay_out(draw_competition(root / "dogs.zip", images=4, seed=1), root / "input", mount="competition")
    settings = Settings(RECIPE, RECIPE, root=root, continue_from=EARLIER, **settings)
    return Kernel(settings, package=root, started=time.monotonic())


def test_the_recipe_is_that_of_the_earlier_run(tmp_path, capsys):
    other = RECIPE.with_overrides(["training.batch_size=2", "data.policy=whole"])
    output = lay_out_output(tmp_path / "input" / "earlier-dogs", recipe=other)
    kernel = kernel_of(tmp_path)
    kernel.find()
    assert (kernel.settings.recipe, kernel.settings.cpu_recipe) == (other, other)
    assert kernel.earlier.output == output
    assert kernel.session.events == []
    said = capsys.readouterr().out
    assert "going on with ann/earlier-dogs, tiny at 16 images" in said
    assert "its recipe counts, not RECIPE (data.policy: square -> whole; training.batch_size: 4 -> 2)" in said


@pytest.mark.parametrize(
    ("output", "settings", "reason"),
    [
        (None, {}, "holds no output of ann/earlier-dogs: attached is generative-dog-images"),
        ({"checkpoint": None}, {}, "holds no checkpoint"),
        ({"checkpoint": "000000016.damaged"}, {}, "holds no checkpoint"),
        (
            {"recipe": Recipe(name="uniform", model=ModelRecipe(noise="uniform"))},
            {"truncation": 0.5},
            "truncation 0.5",
        ),
        ("no json", {}, "recipe.json"),
    ],
)
def test_without_a_run_that_can_go_on_a_kernel_begins_anew_and_says_so(tmp_path, output, settings, reason):
    if output is not None:
        folder = lay_out_output(
            tmp_path / "input" / "earlier-dogs", **({} if output == "no json" else output)
        )
        if output == "no json":
            (folder / "recipe.json").write_text("{")
    kernel = kernel_of(tmp_path, **settings)
    kernel.find()
    assert kernel.earlier is None
    assert kernel.settings.recipe == RECIPE
    [event] = kernel.session.events
    assert event.startswith("WARNING: training begins anew: ")
    assert reason in event


def test_what_cannot_be_copied_is_left_and_said(tmp_path):
    lay_out_output(tmp_path / "input" / "earlier-dogs")
    kernel = kernel_of(tmp_path)
    kernel.find()
    kernel.scratch = tmp_path / "a file"
    kernel.scratch.touch()
    kernel._restore(kernel.earlier)
    assert kernel.earlier is None
    assert "the earlier run cannot be copied" in kernel.session.events[0]


def test_an_earlier_kernel_s_pictures_are_never_training_data(tmp_path):
    root = tmp_path / "input"
    lay_out_output(root / "earlier-dogs")
    cats = lay_out_pictures(root / "cats")
    found = find(root, tmp_path, with_boxes=False)
    assert found.description.startswith("1 pictures")
    (cats / "1.png").unlink()
    folder = root / "celeba-dataset" / "img_align_celeba" / "img_align_celeba"
    folder.mkdir(parents=True)
    (folder / "000001.jpg").write_bytes(b"")
    lay_out_output(root / "notebooks" / "ann" / "other-dogs")
    found = find(root, tmp_path, with_boxes=False, sought=CELEBA, recipe_name="faces")
    assert found.path == root / "celeba-dataset"


def test_a_name_that_is_none_is_one_line():
    with pytest.raises(DogsganError, match="CONTINUE_FROM = 'earlier' cannot be used: write OWNER/SLUG"):
        Settings.from_values({"RECIPE": RECIPE.to_json(), "CONTINUE_FROM": "earlier"})
