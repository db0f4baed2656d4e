"""A card that is none: a device of its own whose tensors are computed on the CPU.

What a card would refuse raises: operands on two devices, a generator of another device, NumPy's view of a
tensor there, and, within `without_waiting`, whatever makes the host wait for the device. What it computes is
what the CPU computes, so that results can be compared to the last bit. Autocast for CUDA switches itself off
without a card; here its casts are made.
"""

import contextlib
from collections.abc import Iterator
from functools import cache
from typing import Any
from unittest import mock

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

NAME = "card"
IN_16_BITS = {  # what CUDA's autocast casts, as far as networks here call it
    *(torch.conv2d, torch.conv_transpose2d, torch.nn.functional.linear, torch.matmul, torch.bmm, torch.mm),
    *(torch.Tensor.matmul, torch.Tensor.__matmul__, torch.mv, torch.addmm, torch.baddbmm),
    *(torch.nn.functional.conv2d, torch.nn.functional.conv_transpose2d),
    torch.nn.functional.scaled_dot_product_attention,
}
HEAVY = {"convolution", "grid_sampler_2d", "_linalg_solve_ex", "topk"}
"""Of what scoring and audit do on a device: work that a card is asked for."""
IN_FLOAT64 = {"addmm", "round_", "abs_"}
"""Of the distances: of the whole set, of an audit's neighbours, and of memorization."""
READING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")
BETWEEN_DEVICES = ("_to_copy", "to", "copy_")
_kept: list[Any] = []  # what is registered lasts as long as its library


class WaitsForDeviceError(RuntimeError):
    """The host would wait for the device."""


@cache
def device() -> torch.device:
    """Return the card, registered once in a process."""

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
    torch._C._set_only_lift_cpu_tensors(True)  # `torch.tensor` moves what it made where a mode sees it
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # `.data =` would leave the old values
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


class CardTensor(torch.Tensor):
    """A tensor that says it is on the card, around one on the CPU that holds its values."""

    values: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: torch.Tensor) -> "CardTensor":
        made: CardTensor = torch.Tensor._make_wrapper_subclass(
            cls,
            values.shape,
            strides=values.stride(),
            storage_offset=values.storage_offset(),
            dtype=values.dtype,
            device=device(),
        )
        made.values = values
        return made

    def tolist(self) -> Any:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


def _compute(func: Any, args: Any, kwargs: Any) -> Any:
    """Run an operation on the values, refusing what a card would, and put the result where it belongs."""
    tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
    ours = {id(x.values): x for x in tensors if isinstance(x, CardTensor)}
    others = {id(x): x for x in tensors if not isinstance(x, CardTensor)}
    between = func.overloadpacket.__name__ in BETWEEN_DEVICES
    if ours and any(x.ndim for x in others.values()) and not between:
        raise RuntimeError(
            f"{func}: expected all tensors on one device, found at least two devices, card:0 and cpu"
        )
    wanted = [x.type for x in tree_leaves((args, kwargs)) if isinstance(x, torch.device)]
    goes_there = NAME in wanted if wanted else bool(ours)

    def on_cpu(x: Any) -> Any:
        x = torch.device("cpu") if isinstance(x, torch.device) else x
        return x.values if isinstance(x, CardTensor) else x

    def put(x: Any) -> Any:
        if not isinstance(x, torch.Tensor) or not goes_there or (id(x) in others and not wanted):
            return x
        known = ours.get(id(x))  # what an operation changes in place is returned as it came
        return CardTensor(x) if known is None else known

    args, kwargs = tree_map(on_cpu, (args, kwargs))
    return tree_map(put, func(*args, **kwargs))


class _Checked(TorchDispatchMode):
    """Refuses what waits, where that is asked for, and notes where heavy work is done and in which types."""

    def __init__(self) -> None:
        super().__init__()
        self.waits_are_errors = False
        self.convolution_types: set[torch.dtype] = set()
        self.there: set[str] = set()
        self.elsewhere: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = _compute(func, args, kwargs or {})
        tensors = [x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        made = [x for x in tree_leaves(result) if isinstance(x, torch.Tensor)]
        name = func.overloadpacket.__name__
        if self.waits_are_errors:
            places = {x.device.type for x in (*[each for each in tensors if each.ndim], *made)}
            masks = name.startswith("index") and any(x.dtype is torch.bool for x in tensors[1:])
            if name in READING or masks or (NAME in places and len(places) > 1):
                raise WaitsForDeviceError(f"{func} from {[x.device for x in tensors]} to {places}")
        if name in HEAVY:
            (self.there if isinstance(made[0], CardTensor) else self.elsewhere).add(name)
        if name in IN_FLOAT64 and isinstance(made[0], CardTensor) and made[0].dtype is torch.float64:
            self.there.add(name)  # on the CPU they are in threads, which no mode sees
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


@contextlib.contextmanager
def card() -> Iterator[_Checked]:
    """Have the card be a device to put tensors on."""
    device()
    with (
        mock.patch.object(torch, "Generator", Generator),
        mock.patch.object(torch, "inference_mode", torch.no_grad),  # which takes no views of such tensors
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
