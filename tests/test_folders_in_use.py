"""Two at once on one folder: the second is told, in one line, and the first does not notice."""

import contextlib
import json

import pytest
from tiny import RECIPE, crop_set

from dogsgan.audit import audit
from dogsgan.config import DataRecipe
from dogsgan.data.prepare import prepare
from dogsgan.demo import demo
from dogsgan.errors import DogsganError
from dogsgan.files import LOCK_FILE, try_lock
from dogsgan.kernel.rehearse import rehearse
from dogsgan.pipeline import run_pipeline
from dogsgan.studies.attention import study_attention
from dogsgan.studies.augmentation.study import study_augmentation
from dogsgan.studies.recipe import study_recipe
from dogsgan.training.loop import train


@contextlib.contextmanager
def held_elsewhere(path):
    lock = try_lock(path)
    assert lock is not None
    path.write_text(json.dumps({"pid": 4711, "host": "elsewhere"}))
    yield
    lock.release()


@pytest.fixture
def taken(tmp_path):
    """A folder that is held, not by this process as far as it knows."""
    folder = tmp_path / "taken"
    folder.mkdir()
    with held_elsewhere(folder / LOCK_FILE):
        yield folder
        assert [path.name for path in folder.iterdir()] == [LOCK_FILE]


USED = {
    "train": lambda folder: train(RECIPE, crop_set(folder.parent / "set"), folder, images=4),
    "run": lambda folder: run_pipeline(folder.parent, folder, recipe=RECIPE, images=4),
    "demo": lambda folder: demo(folder),
    "audit": lambda folder: audit(folder.parent, folder.parent, out=folder),
    "study attention": lambda folder: study_attention(folder.parent, folder, recipe=RECIPE, images=4),
    "study recipe": lambda folder: study_recipe(folder.parent, folder, recipe=RECIPE),
    "study augmentation": lambda folder: study_augmentation(folder.parent, folder, recipe=RECIPE),
    "kernel rehearse": lambda folder: rehearse(folder.parent, out=folder),
}


@pytest.mark.parametrize("command", USED)
def test_what_another_process_writes_to_is_left_alone(command, taken):
    with pytest.raises(
        DogsganError, match=r"taken is in use by process 4711 on elsewhere: wait until it has"
    ):
        USED[command](taken)


def test_a_set_that_another_process_prepares_is_left_alone(tmp_path):
    source = crop_set(tmp_path / "source").path
    with (
        held_elsewhere(tmp_path / ".set.lock"),
        pytest.raises(DogsganError, match=r"set is in use by process 4711 on elsewhere"),
    ):
        prepare(source, tmp_path / "set", DataRecipe())
    assert not (tmp_path / "set").exists()
    prepare(source, tmp_path / "set", DataRecipe())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "source"]
