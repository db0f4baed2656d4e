"""Whether two runs are the same to the last bit."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from dogsgan.models.generator_file import GENERATOR_FILE
from dogsgan.training.checkpoint import STATE, WEIGHTS
from dogsgan.training.run_folder import checkpoints


def assert_same_run(a: Path, b: Path) -> None:
    """Compare the last checkpoints of two runs to the last bit."""
    ours, theirs = checkpoints(a)[-1], checkpoints(b)[-1]
    assert ours.name == theirs.name
    for file in (WEIGHTS, GENERATOR_FILE):
        x, y = load_file(ours / file), load_file(theirs / file)
        assert x.keys() == y.keys()
        assert all(torch.equal(x[name], y[name]) for name in x), file
    x, y = (torch.load(folder / STATE, weights_only=True) for folder in (ours, theirs))
    assert_equal_trees(x, y)


def assert_equal_trees(a, b):
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert a.keys() == b.keys()
        for key in a:
            assert_equal_trees(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal_trees(x, y)
    else:
        assert a == b
