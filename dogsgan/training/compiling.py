"""`torch.compile` of both networks: refused in one line where it cannot work, given up where it fails."""

import shutil

import torch
from torch import nn

from dogsgan.errors import DogsganError


def compile_networks(*networks: nn.Module, device: torch.device, graphs: bool = True) -> None:
    """Compile networks in place; their first forward is slow.

    On a GPU they are replayed from CUDA graphs where `graphs` are wanted and Inductor can record them.

    Raises:
        DogsganError: the GPU is too old, or there is no compiler for CPU code.
    """
    problem = _why_not(device)
    if problem:
        raise DogsganError(f"training.compile=true cannot work here: {problem}; leave it false")
    for network in networks:
        network.compile(mode="reduce-overhead" if graphs and device.type == "cuda" else None)


def give_up_compiling(*networks: nn.Module) -> bool:
    """Have networks run as they are from now on; return whether any was compiled."""
    compiled = [network for network in networks if network._compiled_call_impl is not None]
    for network in compiled:
        network._compiled_call_impl = None
    return bool(compiled)


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
