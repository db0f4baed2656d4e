"""The training step where its tensors are on a device of their own: places, types, and no waiting.

The card has no values (`card.py`), so what a step computes is not seen here, only that a GPU could compute
it.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import crop_set

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, object]:
    backends = pytest.importorskip("torch.utils.backend_registration")
    if not hasattr(backends, "_setup_privateuseone_for_python_backend"):
        pytest.skip("this torch registers no device from Python")
    folder = crop_set(tmp_path_factory.mktemp("data") / "set").path
    command = [sys.executable, str(HERE / "card_checks.py"), str(folder)]
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
    ("fault", "word"),
    [
        ("reads a value", "aten._local_scalar_dense"),
        ("asks where", "aten.nonzero"),
        ("draws on the CPU", "at least two devices, card:0 and cpu"),
        ("draws by the CPU's generator", "a generator of cpu draws on card:0"),
        ("goes by the CPU", "WaitsForDeviceError: aten._to_copy"),
        ("seeds", "WaitsForDeviceError: torch.manual_seed"),
    ],
)
def test_what_a_card_refuses_or_waits_for_is_noticed(found, fault, word):
    assert word in found[fault]
