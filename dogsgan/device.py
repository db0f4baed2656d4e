"""Device to compute on: picked here alone, and only after a real operation ran on it."""

import contextlib

import torch

from dogsgan.errors import DogsganError
from dogsgan.progress import say


def works(device: torch.device) -> bool:
    """Return whether a convolution and its gradient really run on `device`.

    `torch.cuda.is_available()` is not enough: a GPU whose kernels this build of torch lacks is "available",
    and the first operation fails.
    """
    try:
        x = torch.ones(2, 3, 8, 8, device=device, requires_grad=True)
        weight = torch.ones(4, 3, 3, 3, device=device)
        torch.nn.functional.conv2d(x, weight).square().sum().backward()
        return x.grad is not None and bool(torch.isfinite(x.grad).all().item())
    except (RuntimeError, AssertionError, NotImplementedError):
        return False


def pick_device(name: str = "auto") -> torch.device:
    """Return the device to work on: `auto` takes the first CUDA GPU if it works, else the CPU.

    Other accelerators have to be named. Apple's MPS lacks float64, and nothing here was measured on it.

    Raises:
        DogsganError: a device was named and no operation runs on it.
    """
    if name != "auto":
        try:
            device = torch.device(name)
        except RuntimeError as error:
            raise DogsganError(f"no such device: {name!r}; use auto, cpu, cuda or cuda:0") from error
        if not works(device):
            raise DogsganError(
                f"no operation runs on device {name!r} with this build of torch; use --device cpu"
            )
        return device
    if torch.cuda.is_available():
        gpu = torch.device("cuda", 0)
        if works(gpu):
            return gpu
        say(f"device {gpu} is listed but no operation runs on it; not used")
    return torch.device("cpu")


def repeatable() -> contextlib.AbstractContextManager[None]:
    """Return a context in which cuDNN takes the same algorithms every time, in full float32."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)


def fastest() -> contextlib.AbstractContextManager[None]:
    """Return a context in which cuDNN tries its algorithms on every new shape and keeps the fastest."""
    return torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=True)


def kept_random_state(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context that leaves the global generators of the CPU and of `device` as it found them."""
    devices = [device] if device.type == "cuda" else []
    return torch.random.fork_rng(devices=devices, device_type="cuda")


def synchronize(device: torch.device) -> None:
    """Wait until everything queued on `device` is done, so that a clock can be read."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def with_float64(device: torch.device) -> torch.device:
    """Return the device, or the CPU in place of MPS, which has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of torch or Python means that memory ran out, on a GPU or not."""
    signs = ("out of memory", "alloc_failed", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(
        sign in str(error).lower() for sign in signs
    )
