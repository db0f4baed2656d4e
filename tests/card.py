"""A card that is none: tensors without values on a device of their own, for the shapes and places of a step.

FakeTensorMode with `cuda` cannot go backward without a card, and CUDA's autocast switches itself off. torch's
device for others' hardware ("privateuseone") can be registered from Python and goes backward, so the mode's
tensors lie there. What a card would refuse raises: operands on two devices, a generator of another device,
reading a value, and, within `without_waiting`, whatever makes the host wait for the device.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest import mock

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

NAME = "card"
IN_16_BITS = {  # what CUDA's autocast casts, as far as networks here call it
    *(torch.conv2d, torch.conv_transpose2d, torch.nn.functional.linear, torch.matmul, torch.bmm, torch.mm),
    *(torch.Tensor.matmul, torch.Tensor.__matmul__, torch.mv, torch.addmm, torch.baddbmm),
    *(torch.nn.functional.conv2d, torch.nn.functional.conv_transpose2d),
    torch.nn.functional.scaled_dot_product_attention,
}
READING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")


_kept: list[Any] = []  # what is registered lasts as long as its library


class WaitsForDeviceError(RuntimeError):
    """The host would wait for the device."""


@cache
def device() -> torch.device:
    """Return the card, registered once in a process; without a torch that can, the test skips."""
    try:
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend
    except ImportError:
        pytest.skip("this torch registers no device from Python")

    class Module:
        """What torch asks of `torch.card`."""

        @staticmethod
        def is_available() -> bool:
            return True

        is_initialized = is_available
        device_count = staticmethod(lambda: 1)
        current_device = staticmethod(lambda: 0)
        get_amp_supported_dtype = staticmethod(lambda: [torch.float16, torch.bfloat16])
        _is_in_bad_fork = staticmethod(lambda: False)
        manual_seed_all = staticmethod(lambda seed: None)
        get_rng_state = staticmethod(lambda device=None: torch.get_rng_state())

    _setup_privateuseone_for_python_backend(NAME, backend_module=Module())
    library = torch.library.Library("_", "IMPL")  # what the device lacks: autocast that leaves all as it is
    library.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    _kept.append(library)
    return torch.device(NAME, 0)


class Generator(torch.Generator):
    """A generator that says it is of the card."""

    def __new__(cls, device: Any = "cpu") -> Any:
        made = super().__new__(cls, "cpu")
        made.place = torch.device(device)
        return made

    @property
    def device(self) -> torch.device:
        return self.place

    def manual_seed(self, seed: int) -> "Generator":
        super().manual_seed(seed)
        return self


class _Checked(TorchDispatchMode):
    """Refuses what waits, where that is asked for, and notes in which types convolutions are computed."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_are_errors = False
        self.convolution_types: set[torch.dtype] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        for x in tensors:
            if getattr(x, "constant", None) is not None:
                x.constant = (
                    None  # else the mode would compute with its value, on a device that computes none
                )
        result = func(*args, **kwargs)
        made = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        name = func.overloadpacket.__name__
        if self.waits_are_errors:
            places = {x.device.type for x in (*[each for each in tensors if each.ndim], *made)}
            if name in READING or (NAME in places and len(places) > 1):
                raise WaitsForDeviceError(f"{func} from {[x.device for x in tensors]} to {places}")
        if name in ("convolution", "convolution_backward"):
            self.convolution_types |= {x.dtype for x in tensors}
        return result


class _Casts(TorchFunctionMode):
    """Casts as autocast would, which torch only switches here; refuses generators of other devices."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in IN_16_BITS and torch.is_autocast_enabled(NAME):
            dtype = torch.get_autocast_dtype(NAME)

            def cast(x: Any) -> Any:
                floats = isinstance(x, torch.Tensor) and x.is_floating_point()
                return x.to(dtype) if floats else x

            args = tuple(cast(x) for x in args)
            kwargs = {key: cast(x) for key, x in kwargs.items()}
        result = func(*args, **kwargs)
        generator = kwargs.get("generator")
        if generator is not None and result.device.type != generator.device.type:
            raise RuntimeError(f"a generator of {generator.device} draws on {result.device}")
        return result


def _moved(network: nn.Module, place: torch.device) -> nn.Module:
    """Move a network as `on_device` does; `Module.to` cannot take tensors of a mode elsewhere."""
    for module in network.modules():
        for held in (module._parameters, module._buffers):
            for name, tensor in held.items():
                if tensor is None:
                    continue
                there = tensor.detach().to(place)
                if there.ndim == 4:
                    there = there.to(memory_format=torch.channels_last)
                held[name] = nn.Parameter(there) if isinstance(tensor, nn.Parameter) else there
    return network


@contextlib.contextmanager
def card() -> Iterator[_Checked]:
    """Have every new tensor be one without values, and the card be a device to put them on."""
    device()
    with (
        mock.patch.object(torch, "Generator", Generator),
        mock.patch("dogsgan.training.state.on_device", _moved),
        FakeTensorMode(allow_non_fake_inputs=True),
        _Checked() as checked,
        _Casts(),
    ):
        yield checked


@contextlib.contextmanager
def without_waiting(checked: _Checked) -> Iterator[None]:
    """Refuse what makes the host wait for the card, and seeding, which no graph can capture."""

    def seeding(seed: int) -> None:
        raise WaitsForDeviceError("torch.manual_seed")

    checked.waits_are_errors = True
    try:
        with mock.patch.object(torch, "manual_seed", seeding):
            yield
    finally:
        checked.waits_are_errors = False
