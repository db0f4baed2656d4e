"""The layers that generators and discriminators are made of, and their spectral normalisation.

Shapes are N×C×H×W throughout. One power iteration serves all layers of a network at once.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

EPS = 1e-12


def in_float32(x: Tensor) -> torch.autocast:
    """Return a context that switches autocast off for the device of `x`."""
    kind = x.device.type
    return torch.autocast(kind if torch.amp.is_autocast_available(kind) else "cpu", enabled=False)


class Float32SpectralNorm(_SpectralNorm):
    """torch's spectral norm, its power iteration and division kept in float32 under autocast.

    Autocast would run the matrix-vector products of the power iteration in 16 bits, and an estimate of the
    largest singular value that is off by its rounding is no norm.
    """

    _fresh: tuple[Tensor, Tensor, Tensor] | None = None
    """u, v and uᵀWv of an iteration that no forward has used yet."""

    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        """Iterate, but not on the meta device: a shape has no norm, and trying takes seconds."""
        if not weight_mat.is_meta:
            super()._power_method(weight_mat, n_power_iterations)

    def forward(self, weight: Tensor) -> Tensor:
        """Return `weight` over its largest singular value; in training mode after one power iteration."""
        with in_float32(weight):
            if self.training:
                if self._fresh is None:
                    _iterate([(self, weight)])
                assert self._fresh is not None
                (u, v, sigma), self._fresh = self._fresh, None
            else:
                u, v = self._u.clone(), self._v.clone()
                with torch.no_grad():
                    sigma = torch.dot(u, torch.mv(self._matrix(weight), self._as_stored(v, weight)))
            sides = [1] * weight.ndim
            sides[self.dim] = -1
            others = [size for d, size in enumerate(weight.shape) if d != self.dim]
            normalised: Tensor = _Normalised.apply(
                weight, u.view(sides), v.view(others).unsqueeze(self.dim), sigma
            )
            return normalised

    def _matrix(self, weight: Tensor) -> Tensor:
        """Return the weight as a matrix with the columns in the order of memory, channels last: no copy."""
        last = weight if weight.ndim == 2 else weight.movedim(1, -1)
        return last.flatten(1) if self.dim == 0 else last.flatten(0, -2).T

    def _as_stored(self, v: Tensor, weight: Tensor) -> Tensor:
        """Return v with its values in the order of the columns of `_matrix`."""
        if weight.ndim == 2 or self.dim:
            return v
        return v.view(weight.shape[1:]).movedim(0, -1).flatten()

    def _as_saved(self, v: Tensor, weight: Tensor) -> Tensor:
        """Return v in the order of torch's spectral norm, in which checkpoints hold it."""
        if weight.ndim == 2 or self.dim:
            return v
        channels, *sides = weight.shape[1:]
        return v.view(*sides, channels).movedim(-1, 0).flatten()


class _Normalised(torch.autograd.Function):
    """A weight W over σ = uᵀWv, for u and v that do not depend on it and are shaped to multiply with it.

    The gradient for W is (G − ⟨G, W/σ⟩ uvᵀ)/σ: two passes over the weights, where taking the product and the
    division apart costs eight.
    """

    @staticmethod
    def forward(ctx: Any, weight: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
        ctx.save_for_backward(weight, u, v, sigma)
        return weight / sigma

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        weight, u, v, sigma = ctx.saved_tensors
        (gradient,) = gradients
        if torch.is_grad_enabled():  # for a second derivative
            sigma = (weight * u * v).sum()
        along = (gradient * weight).sum() / sigma
        return torch.addcmul(gradient, along * u, v, value=-1) / sigma, None, None, None


@torch.no_grad()
def _iterate(layers: Sequence[tuple[Float32SpectralNorm, Tensor]]) -> None:
    """Take one power iteration for each norm and its weight, and keep it for the next forward.

    Two products of a matrix and a vector for each layer are what it takes; all between is done for all layers
    at once. Since v = Wᵀu/|Wᵀu|, σ = uᵀWv is |Wᵀu|: a third product is not needed.
    """
    norms = [norm for norm, _ in layers]
    if layers[0][1].is_meta:  # a shape has no norm, and trying takes seconds
        for norm, weight in layers:
            norm._fresh = (norm._u, norm._v, weight.new_empty(()))
        return
    matrices = [norm._matrix(weight) for norm, weight in layers]
    stored = [norm._as_stored(norm._v, weight) for norm, weight in layers]
    us = [torch.mv(matrix, v) for matrix, v in zip(matrices, stored, strict=True)]
    _divide_by_length(us)
    stored = [torch.mv(matrix.T, u) for matrix, u in zip(matrices, us, strict=True)]
    sigmas = _divide_by_length(stored)
    vs = [norm._as_saved(v, weight) for v, (norm, weight) in zip(stored, layers, strict=True)]
    torch._foreach_copy_([norm._u for norm in norms] + [norm._v for norm in norms], us + vs)
    for norm, *fresh in zip(norms, us, vs, sigmas, strict=True):
        norm._fresh = (fresh[0], fresh[1], fresh[2])


def _divide_by_length(vectors: list[Tensor]) -> list[Tensor]:
    """Bring vectors to length 1, in place, and return the lengths that they had."""
    lengths: list[Tensor] = list(torch._foreach_norm(vectors))
    torch._foreach_div_(vectors, list(torch._foreach_clamp_min(lengths, EPS)))
    return lengths


class _IterateTogether:
    """A hook before a network's forward in training mode: the power iterations of all its layers at once."""

    def __init__(self, network: nn.Module) -> None:
        self.parametrized = [
            module
            for module in network.modules()
            if isinstance(module, parametrize.ParametrizationList)
            and isinstance(module[0], Float32SpectralNorm)
        ]

    def __call__(self, network: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not network.training or not self.parametrized:
            return
        layers = [(_norm_of(each), each.original) for each in self.parametrized]
        with in_float32(layers[0][1]):
            _iterate(layers)


def _norm_of(parametrized: parametrize.ParametrizationList) -> Float32SpectralNorm:
    norm = parametrized[0]
    assert isinstance(norm, Float32SpectralNorm)
    return norm


def iterate_together(network: nn.Module) -> None:
    """Have the layers of a network take their power iterations at once, before each forward in training.

    The result is that of each layer iterating by itself, but for the order of sums.
    """
    network.register_forward_pre_hook(_IterateTogether(network))


def spectral_norm(module: nn.Module) -> nn.Module:
    """Normalise `module.weight` by its largest singular value (Miyato et al. 2018, arXiv 1802.05957).

    One power iteration per forward in training mode. Every further read of `module.weight` in training mode
    iterates again, so a forward has to read it once.
    """
    weight = module.weight
    assert isinstance(weight, Tensor)
    dim = 1 if isinstance(module, nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d) else 0
    parametrize.register_parametrization(module, "weight", Float32SpectralNorm(weight, dim=dim, eps=EPS))
    return module


LEAST_CHANNELS = 8
"""Of a map with self-attention, whose queries have an eighth of them."""


class UpsampleConv2d(nn.Conv2d):
    """Nearest-neighbour upsampling by two and a 3×3 convolution, done as one transposed 4×4 convolution.

    Both steps are linear, so their product is one kernel: 16 multiplications per input pixel and channel pair
    instead of 36. The result is that of the two steps up to rounding.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×H×W to N×C'×2H×2W."""
        kernel = _with_box(self.weight.flip(2, 3)).transpose(0, 1)  # C×C'×4×4
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class ConvDownsample2d(nn.Conv2d):
    """A 3×3 convolution and 2×2 average pooling, done as one 4×4 convolution with stride 2."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×2H×2W to N×C'×H×W."""
        return F.conv2d(x, _with_box(self.weight) / 4, self.bias, stride=2, padding=1)


def _with_box(weight: Tensor) -> Tensor:
    """Convolve 3×3 kernels with a 2×2 box of ones: C'×C×3×3 to C'×C×4×4."""
    shifts = torch.arange(4, device=weight.device) - torch.arange(3, device=weight.device)[:, None]
    line = ((shifts == 0) | (shifts == 1)).to(weight.dtype)  # 3×4, the box of one direction
    with in_float32(weight):
        return (weight.flatten(2) @ torch.kron(line, line)).unflatten(2, (4, 4))


def blur(x: Tensor) -> Tensor:
    """Return N×C×H×W convolved with 1 2 1 / 4 in both directions, the border repeated."""
    line = 0.5 - 0.25 * (torch.arange(3, dtype=x.dtype, device=x.device) - 1).abs()
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 3, 3)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), kernel, groups=x.shape[1])


class ConditionalBatchNorm2d(nn.Module):
    """Batch normalisation with gain and bias looked up by class (Dumoulin et al. 2017, arXiv 1610.07629).

    With `class_count` 0 it is plain batch normalisation. The tables carry no spectral norm.
    """

    def __init__(self, channels: int, class_count: int) -> None:
        super().__init__()
        self.class_count = class_count
        self.norm = nn.BatchNorm2d(channels, affine=class_count == 0)
        if class_count:
            self.gain = nn.Embedding(class_count, channels)
            self.bias = nn.Embedding(class_count, channels)
            nn.init.ones_(self.gain.weight)
            nn.init.zeros_(self.bias.weight)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Normalise N×C×H×W; `labels` are N class indices, ignored without classes."""
        x = self.norm(x)
        if not self.class_count:
            return x
        gain = self.gain(labels)[:, :, None, None].to(x.dtype)  # N×C×1×1
        bias = self.bias(labels)[:, :, None, None].to(x.dtype)
        return torch.addcmul(bias, x, gain)


class PartedBatchNorm2d(nn.Module):
    """Batch normalisation of each of several batches concatenated in the input.

    A discriminator that sees real and generated pictures in one forward normalises each kind by itself, as
    it does in the generator's turn, when there are generated ones only (DCGAN, arXiv 1511.06434).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, parts: int) -> Tensor:
        """Normalise N×C×H×W, `parts` equal batches."""
        if parts == 1:
            return self.norm(x)
        return torch.cat([self.norm(part) for part in x.chunk(parts)])


class NoNorm(nn.Module):
    """Stands where a network without batch norm would have one."""

    def forward(self, x: Tensor, labels_or_parts: Tensor | int | None) -> Tensor:
        """Return `x`."""
        return x


def generator_norm(channels: int, *, class_count: int, use_batch_norm: bool) -> nn.Module:
    """Return what a generator has before an activation; it is called with N×C×H×W and N class indices."""
    return ConditionalBatchNorm2d(channels, class_count) if use_batch_norm else NoNorm()


class SelfAttention(nn.Module):
    """Self-attention over positions, added to the input with a learned weight γ that starts at 0.

    Zhang et al., arXiv 1805.08318, with the details of the authors' code: keys and values are max-pooled
    2×2, values
    have C/2 channels, queries and keys C/8, no biases, and the logits are not divided by √d.
    """

    def __init__(self, channels: int, *, use_spectral_norm: bool) -> None:
        super().__init__()
        if channels < LEAST_CHANNELS:
            raise ValueError(f"attention needs at least {LEAST_CHANNELS} channels, not {channels}")
        self.query = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.key = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.value = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.out = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))
        if use_spectral_norm:
            for convolution in (self.query, self.key, self.value, self.out):
                spectral_norm(convolution)

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×H×W to the same shape."""
        queries = _positions_last(self.query(x))  # N×HW×C/8
        keys = _positions_last(F.max_pool2d(self.key(x), 2))  # N×HW/4×C/8
        values = _positions_last(F.max_pool2d(self.value(x), 2))  # N×HW/4×C/2
        attended = _attend(queries, keys, values)  # N×HW×C/2
        attended = attended.transpose(1, 2).unflatten(2, x.shape[2:])  # N×C/2×H×W
        return x + self.gamma.to(x.dtype) * self.out(attended)


def _attend(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Softmax attention without scaling: N×Q×E, N×K×E and N×K×V to N×Q×V.

    The fused kernels of `scaled_dot_product_attention`, which never hold the Q×K matrix, want equal depths.
    Zeros behind queries and keys change no logit.
    """
    if values.is_cpu and values.dtype != torch.float32:  # the CPU's 16-bit kernel is twice as slow backwards
        with in_float32(values):
            return _attend(queries.float(), keys.float(), values.float()).to(values.dtype)
    padding = (0, values.shape[-1] - queries.shape[-1])
    q, k, v = (x.unsqueeze(1) for x in (F.pad(queries, padding), F.pad(keys, padding), values))  # N×1×…
    return F.scaled_dot_product_attention(q, k, v, scale=1.0).squeeze(1)


def _positions_last(x: Tensor) -> Tensor:
    """N×C×H×W to N×HW×C."""
    return x.flatten(2).transpose(1, 2)
