"""`torch.compile`, refused in one line where it cannot work."""

import shutil

import torch
from torch import nn

from dogsgan.errors import DogsganError


def compile_networks(*networks: nn.Module, device: torch.device) -> None:
    """Compile networks in place; their first forward is slow.

    Raises:
        DogsganError: the GPU is too old, or there is no compiler for CPU code.
    """
    problem = _why_not(device)
    if problem:
        raise DogsganError(f"training.compile=true cannot work here: {problem}; leave it false")
    for network in networks:
        network.compile()


def _why_not(device: torch.device) -> str | None:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return (
            None
            if major >= 7
            else f"torch.compile needs compute capability 7.0, this GPU has {major}.{minor}"
        )
    if device.type == "cpu":
        found = any(shutil.which(name) for name in ("c++", "g++", "clang++"))
        return None if found else "torch.compile needs a C++ compiler on the CPU and there is none"
    return f"torch.compile does not support device {device.type}"
