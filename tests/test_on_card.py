"""Training, sampling, score and audit on a device of its own: places, generators, types, and no waiting.

The card (`card.py`) computes what the CPU does, so that in float32 each result is that of the CPU.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, object]:
    """What `card_checks.py` prints."""
    backends = pytest.importorskip("torch.utils.backend_registration")
    if not hasattr(backends, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch registers no device from Python")
    command = [sys.executable, str(HERE / "card_checks.py"), str(tmp_path_factory.mktemp("card"))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(HERE)])}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    values: dict[str, object] = json.loads(ended.stdout)
    return values


@pytest.mark.parametrize("name", ["two batches, float16", "one batch, every option, bfloat16"])
def test_a_step_is_on_one_device_in_16_bits_and_waits_for_nothing(found, name):
    assert found[name] == {
        "device": "card",
        "convolutions": [f"torch.{name.rpartition(' ')[2]}"],
        "parameters": ["torch.float32"],
    }


@pytest.mark.parametrize(
    ("what", "there"),
    [
        ("step", ["convolution"]),
        ("sampling", ["convolution"]),
        ("score", ["abs_", "convolution"]),
        ("audit", ["_linalg_solve_ex", "abs_", "addmm", "convolution", "grid_sampler_2d", "round_", "topk"]),
    ],
)
def test_results_are_those_of_the_cpu_and_the_work_is_done_there(found, what, there):
    same, done_there, elsewhere = found[what]
    assert (done_there, elsewhere) == (there, [])
    assert same


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ("reads a value", "aten._local_scalar_dense"),
        ("asks where", "WaitsForDeviceError: aten.index"),
        ("draws on the CPU", "at least two devices, card:0 and cpu"),
        ("draws by the CPU's generator", "a generator of cpu draws on card:0"),
        ("goes by the CPU", "WaitsForDeviceError: aten._to_copy"),
        ("seeds", "WaitsForDeviceError: torch.manual_seed"),
    ],
)
def test_what_a_card_refuses_or_waits_for_is_noticed(found, fault, word):
    assert word in found[fault]
