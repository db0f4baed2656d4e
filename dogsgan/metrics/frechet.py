"""The Fréchet distance between two Gaussians, singular ones too, and the bias of small samples."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from dogsgan.errors import DogsganError
from dogsgan.metrics import Measured, Metric
from dogsgan.metrics.distances import Array
from dogsgan.progress import optional

_EPSILON = float(np.finfo(np.float64).eps)
_TOLERATED_ERROR = 1e-9
"""Rounding tolerated in the fast way to the trace of the root, as a fraction of the covariances' traces."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """A Gaussian fitted to features: `mean`, D, and `covariance`, D×D (over N − 1), in float64."""

    mean: np.ndarray
    covariance: np.ndarray
    count: int | None
    """How many pictures; None where a statistics file does not say."""

    @property
    def dimension(self) -> int:
        """The number of features, D."""
        return len(self.mean)


def statistics_of(features: np.ndarray | torch.Tensor, *, rows_at_once: int = 4096) -> Statistics:
    """Return `numpy.mean` and `numpy.cov(rowvar=False)` of features, N×D, in float64.

    The mean comes first, so that a large common offset costs no digits. Memory beyond the features: D×D
    numbers and a block of rows.

    Raises:
        DogsganError: there are fewer than two rows, so that there is no covariance.
    """
    count, dimension = features.shape
    if count < 2:
        raise DogsganError(f"{count} picture(s): a covariance needs at least 2; give more pictures")
    blocks = torch.as_tensor(features).cpu().split(rows_at_once)
    mean = sum(block.double().sum(dim=0) for block in blocks) / count
    scatter = torch.zeros(dimension, dimension, dtype=torch.float64)
    for block in blocks:
        centred = block.double() - mean
        scatter.addmm_(centred.T, centred)
    return Statistics(mean=mean.numpy(), covariance=(scatter / (count - 1)).numpy(), count=count)


def frechet_distance(mean_a: Array, covariance_a: Array, mean_b: Array, covariance_b: Array) -> float:
    """Return `|μa − μb|² + Tr(Σa + Σb − 2 (Σa Σb)^½)` of two Gaussians (Dowson & Landau 1982), in float64.

    Means have length D, covariances are D×D. Nothing is added to the diagonal: singular covariances are
    factored by their eigenvectors. The result is never negative.

    Raises:
        DogsganError: a value is NaN or infinite, or shapes do not agree.
    """
    means = [_checked(mean_a, "the first mean", 1), _checked(mean_b, "the second mean", 1)]
    sigmas = [
        _checked(covariance_a, "the first covariance", 2),
        _checked(covariance_b, "the second covariance", 2),
    ]
    dimension = len(means[0])
    if len(means[1]) != dimension or any(sigma.shape != (dimension, dimension) for sigma in sigmas):
        shapes = ", ".join("×".join(map(str, value.shape)) for value in (*means, *sigmas))
        raise DogsganError(
            f"means and covariances disagree in size ({shapes}): both sides need the same network"
        )
    traces = (sigmas[0].trace() + sigmas[1].trace()).item()
    shift = (means[0] - means[1]).square().sum().item()
    return max(0.0, shift + traces - 2.0 * _trace_of_root(sigmas[0], sigmas[1], traces))


def frechet_distance_between(a: Statistics, b: Statistics) -> float:
    """Return the Fréchet distance between two sets of features given by their statistics."""
    return frechet_distance(a.mean, a.covariance, b.mean, b.covariance)


def frechet_distance_of_features(features_a: Array, features_b: Array) -> float:
    """Return the Fréchet distance between two sets of features, N×D and M×D."""
    return frechet_distance_between(statistics_of(features_a), statistics_of(features_b))


METRICS = (
    Metric(
        name="fid",
        title="Fréchet distance",
        measure=lambda generated, real: Measured(frechet_distance_of_features(generated, real)),
        lower_is_better=True,
        meaning="How far Gaussians fitted to both sides' features are apart; 0 for equal ones, and too high "
        "for few pictures.",
    ),
)


def _checked(value: Array, name: str, dimensions: int) -> torch.Tensor:
    tensor = torch.as_tensor(value).detach().to("cpu", torch.float64)
    tensor = torch.atleast_1d(tensor) if dimensions == 1 else torch.atleast_2d(tensor)
    if tensor.ndim != dimensions:
        raise DogsganError(f"{name} has {tensor.ndim} dimensions, expected {dimensions}")
    if not torch.isfinite(tensor).all():
        bad = int((~torch.isfinite(tensor)).sum())
        raise DogsganError(
            f"{name} holds {bad} NaN or infinite value(s): a picture or the network gave bad features"
        )
    return tensor


def _trace_of_root(a: torch.Tensor, b: torch.Tensor, traces: float) -> float:
    """Return Tr (AB)^½ of covariances A = L Lᵀ and B = K Kᵀ, D×D: the sum of the singular values of LᵀK.

    Those are also the roots of the eigenvalues of LᵀBL, which come faster but lose half their digits where
    they are small; so that way counts only if its error bound is small, and only for covariances of full
    rank.
    """
    factor = _cholesky_factor(a)
    if factor is not None:
        eigenvalues = torch.linalg.eigvalsh(factor.T @ b @ factor)
        floor = _EPSILON * float(eigenvalues[-1])
        roots = eigenvalues.clamp(min=max(floor, np.finfo(np.float64).tiny)).sqrt()
        if floor * float((1.0 / roots).sum()) <= _TOLERATED_ERROR * traces:
            return float(roots.sum())
    left = factor if factor is not None else _eigen_factor(a)
    right = _cholesky_factor(b)
    right = right if right is not None else _eigen_factor(b)
    if min(left.shape[1], right.shape[1]) == 0:
        return 0.0
    return float(torch.linalg.svdvals(left.T @ right).sum())


def _cholesky_factor(sigma: torch.Tensor) -> torch.Tensor | None:
    """Return L with L Lᵀ = `sigma`, or None where it is singular to working precision."""
    factor, failed = torch.linalg.cholesky_ex(sigma)
    if failed.item():
        return None
    singular = _smallest_eigenvalue(factor) <= 10 * len(sigma) * _EPSILON * float(sigma.diagonal().max())
    return None if singular else factor


def _smallest_eigenvalue(factor: torch.Tensor) -> float:
    """Estimate the smallest eigenvalue of L Lᵀ from above, by a few steps of inverse iteration.

    The pivots alone do not tell: rounding can leave them far larger than the eigenvalue.
    """
    x = torch.linspace(1.0, 2.0, len(factor), dtype=torch.float64).unsqueeze(1)  # D×1
    growth = 1.0
    for _ in range(4):
        x = x / torch.linalg.vector_norm(x)
        x = torch.linalg.solve_triangular(factor, x, upper=False)
        x = torch.linalg.solve_triangular(factor.T, x, upper=True)
        growth = float(torch.linalg.vector_norm(x))
    return 1.0 / growth


def _eigen_factor(sigma: torch.Tensor) -> torch.Tensor:
    """Return L, D×rank, with L Lᵀ = `sigma`, leaving out eigenvalues that rounding alone explains."""
    values, vectors = torch.linalg.eigh(sigma)
    kept = values > len(sigma) * _EPSILON * values[-1].clamp(min=0)
    return vectors[:, kept] * values[kept].sqrt()


def small_sample_bias(features: Array, other: Statistics, *, whole: float) -> float:
    """Return by how much `features` (N×D) being so few raises `whole`, their Fréchet distance to `other`.

    A Fréchet distance falls with 1/N as pictures are added (Chong & Forsyth 2020), so going from N/2 to N
    takes away as much as is still to come. Measured so: the mean distance of the two halves less the
    distance of the whole. With N below D the law is only beginning to hold, and this is a lower bound.
    """
    values = torch.as_tensor(features)
    halves = [frechet_distance_between(statistics_of(values[start::2]), other) for start in (0, 1)]
    return max(0.0, sum(halves) / 2 - whole)


def few_pictures(
    name: str, own: Statistics, features: np.ndarray | None, other: Statistics, *, fid: float
) -> list[str]:
    """Say of a side with fewer pictures than features by how much that raises the Fréchet distance `fid`.

    `name` is the side's, generated or real. The list is empty where there are enough.
    """
    if own.count is None or own.count >= own.dimension:
        return []
    line = f"{own.count:,} {name} pictures are fewer than the network's {own.dimension:,} features"
    if features is not None and own.count >= 4:
        with optional("the bias of small samples"):
            line += _raised_by(small_sample_bias(features, other, whole=fid), fid)
    else:
        line += ": the Fréchet distance is far too high"
    return [line]


def _raised_by(bias: float, fid: float) -> str:
    """Say what a bias of small samples means for a Fréchet distance, which is never negative."""
    if fid <= 1e-6 * bias or bias < 1e-9:  # the two sides are the same pictures, or all are alike
        return ": a Fréchet distance of so few says little"
    if bias >= fid:
        return ": all of the Fréchet distance may come from that"
    return f": the Fréchet distance is too high by about {_rough(bias)} or more"


def _rough(value: float) -> str:
    """Return a positive number with two digits."""
    return "0" if value == 0 else f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"
