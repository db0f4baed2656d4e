"""The command lines and environments of a kernel's children: one process, or one for each GPU."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

WORKER = "dogsgan.supervise.worker"
TORCHRUN = ("--standalone", "--max-restarts", "0")  # restarts are the parent's business


def command(part: str, request: dict[str, Any], *, processes: int = 1) -> list[str]:
    """Return the command that runs a part of the kernel: in one process, or through `torchrun` in several."""
    worker = ["-m", WORKER, part, json.dumps(request)]
    if processes > 1:
        worker = ["-m", "torch.distributed.run", *TORCHRUN, "--nproc-per-node", str(processes), *worker]
    return [sys.executable, *worker]


def environment(package: Path, *, gpus: Sequence[int] | None) -> dict[str, str]:
    """Return the environment of a child that sees these GPUs only (None: all), and the unpacked package."""
    paths = [str(package), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    visible = {} if gpus is None else {"CUDA_VISIBLE_DEVICES": ",".join(map(str, gpus))}
    return {
        **os.environ,
        **visible,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }
