"""Spectral normalisation of weights, with one power iteration for all layers of a network at once."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
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
