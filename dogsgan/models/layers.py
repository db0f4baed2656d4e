"""The layers that generators and discriminators are made of. Shapes are N×C×H×W throughout."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dogsgan.models.spectral_norm import in_float32, spectral_norm

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
