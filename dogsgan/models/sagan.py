"""The residual SAGAN: 4×4 to any power of two from 32 px up, class-conditional or not.

Zhang et al., arXiv 1805.08318, with the 64 px layout of the BigGAN-PyTorch and StudioGAN implementations.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dogsgan.models.layers import (
    ConvDownsample2d,
    SelfAttention,
    UpsampleConv2d,
    blur,
    generator_norm,
    in_float32,
    spectral_norm,
)

BASE_PX = 4
LARGEST_MULTIPLE = 16  # of the width, at 4×4


def stage_multiples(size_px: int) -> list[int]:
    """Return the channels of a `size_px` network at 4, 8, …, `size_px` pixels, in multiples of its width.

    64 px: [16, 8, 4, 2, 1], which with width 64 is the 4×4×1024 input of the paper.
    """
    doublings = (size_px // BASE_PX).bit_length() - 1
    return [min(2**i, LARGEST_MULTIPLE) for i in range(doublings, -1, -1)]


def generator_maps(size_px: int, width: int) -> dict[int, int]:
    """Return the channels of each map that a generator's blocks put out, by its side in px."""
    multiples = stage_multiples(size_px)
    return {BASE_PX * 2**i: width * multiples[i] for i in range(1, len(multiples))}


def discriminator_maps(size_px: int, width: int) -> dict[int, int]:
    """Return the channels of each map that a discriminator's halving blocks put out, by its side in px."""
    multiples = stage_multiples(size_px)
    return {BASE_PX * 2**i: width * multiples[i + 1] for i in range(len(multiples) - 1)}


def _wrap(module: nn.Module, use_spectral_norm: bool) -> nn.Module:
    """Initialise a layer's weight orthogonally and its bias with zeros, then normalise it where asked."""
    assert isinstance(module.weight, Tensor)
    nn.init.orthogonal_(module.weight)
    if getattr(module, "bias", None) is not None:
        assert isinstance(module.bias, Tensor)
        nn.init.zeros_(module.bias)
    return spectral_norm(module) if use_spectral_norm else module


class GeneratorBlock(nn.Module):
    """BN, ReLU, nearest ×2, 3×3, BN, ReLU, 3×3, plus a skip of 1×1 and ×2.

    Where it `is_smooth`, both ways up go through the kernel 1 2 1 after the nearest ×2, which makes 1 3 3 1:
    nearest upsampling leaves a mirror image of each frequency (Karras et al. 2021, arXiv 2106.12423).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        class_count: int,
        is_smooth: bool,
        use_spectral_norm: bool,
        use_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.is_smooth = is_smooth
        self.bn1 = generator_norm(in_channels, class_count=class_count, use_batch_norm=use_batch_norm)
        self.conv1 = _wrap(UpsampleConv2d(in_channels, out_channels), use_spectral_norm)
        self.bn2 = generator_norm(out_channels, class_count=class_count, use_batch_norm=use_batch_norm)
        self.conv2 = _wrap(nn.Conv2d(out_channels, out_channels, 3, padding=1), use_spectral_norm)
        self.skip = _wrap(nn.Conv2d(in_channels, out_channels, 1), use_spectral_norm)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Map N×C×H×W to N×C'×2H×2W."""
        h = self.conv1(F.relu_(self.bn1(x, labels)))
        if self.is_smooth:
            h = blur(h)
        h = self.conv2(F.relu_(self.bn2(h, labels)))
        if self.is_smooth:
            return h + F.interpolate(self.skip(x), scale_factor=2, mode="bilinear")
        return h + F.interpolate(self.skip(x), scale_factor=2, mode="nearest")


class Generator(nn.Module):
    """z and class to a picture in [−1, 1].

    Args:
        size_px: side of the pictures, a power of two from 32 up.
        width: channels at full size; 16 times that at 4×4 (8 times at 32 px).
        class_count: 0 for an unconditional generator.
        attention_px: the map sizes that get self-attention.
    """

    def __init__(
        self,
        *,
        size_px: int,
        channels: int,
        z_dim: int,
        width: int,
        class_count: int,
        attention_px: tuple[int, ...],
        is_smooth: bool = False,
        use_spectral_norm: bool,
        use_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.z_dim, self.class_count = z_dim, class_count
        widths = [width * multiple for multiple in stage_multiples(size_px)]
        self.linear = _wrap(nn.Linear(z_dim, BASE_PX * BASE_PX * widths[0]), use_spectral_norm)
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        side_px = BASE_PX
        for in_channels, out_channels in pairwise(widths):
            self.blocks.append(
                GeneratorBlock(
                    in_channels,
                    out_channels,
                    class_count=class_count,
                    is_smooth=is_smooth,
                    use_spectral_norm=use_spectral_norm,
                    use_batch_norm=use_batch_norm,
                )
            )
            side_px *= 2
            if side_px in attention_px:
                self.attention[str(side_px)] = SelfAttention(
                    out_channels, use_spectral_norm=use_spectral_norm
                )
        self.bn = generator_norm(widths[-1], class_count=0, use_batch_norm=use_batch_norm)
        self.to_picture = _wrap(nn.Conv2d(widths[-1], channels, 3, padding=1), use_spectral_norm)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z of N×Z and N class indices to N×C×H×W in [−1, 1]."""
        x = self.linear(z).unflatten(1, (-1, BASE_PX, BASE_PX))  # N×16w×4×4
        x = x.contiguous(memory_format=torch.channels_last)
        for block in self.blocks:
            x = block(x, labels)
            if str(x.shape[-1]) in self.attention:
                x = self.attention[str(x.shape[-1])](x)
        return torch.tanh(self.to_picture(F.relu_(self.bn(x, None))))


class DiscriminatorBlock(nn.Module):
    """ReLU, 3×3, ReLU, 3×3, then 2×2 average pooling; the skip is pooling and 1×1.

    The first block of a discriminator has no leading ReLU (`activate_first`), the last does not pool
    (`halve`); where it does not change the channels either, as from 128 px on, its skip is the identity
    (`identity_skip`), as in the authors' code.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        activate_first: bool,
        halve: bool,
        identity_skip: bool,
        use_spectral_norm: bool,
    ) -> None:
        super().__init__()
        self.activate_first, self.halve = activate_first, halve
        self.conv1 = _wrap(nn.Conv2d(in_channels, out_channels, 3, padding=1), use_spectral_norm)
        second = (
            ConvDownsample2d(out_channels, out_channels)
            if halve
            else nn.Conv2d(out_channels, out_channels, 3, padding=1)
        )
        self.conv2 = _wrap(second, use_spectral_norm)
        unchanged = identity_skip and not halve and in_channels == out_channels
        self.skip = (
            nn.Identity() if unchanged else _wrap(nn.Conv2d(in_channels, out_channels, 1), use_spectral_norm)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map N×C×H×W to N×C'×H/2×W/2, or N×C'×H×W where it does not halve."""
        h = self.conv1(F.relu(x) if self.activate_first else x)
        h = self.conv2(F.relu_(h))
        return h + self.skip(F.avg_pool2d(x, 2) if self.halve else x)


class Discriminator(nn.Module):
    """A picture in [−1, 1] and its class to one logit (projection: Miyato and Koyama, arXiv 1802.05637)."""

    def __init__(
        self,
        *,
        size_px: int,
        channels: int,
        width: int,
        class_count: int,
        attention_px: tuple[int, ...],
        use_spectral_norm: bool,
        identity_skip: bool = True,
    ) -> None:
        super().__init__()
        self.class_count = class_count
        widths = [width * multiple for multiple in reversed(stage_multiples(size_px))]
        self.blocks = nn.ModuleList()
        self.attention = nn.ModuleDict()
        side_px, in_channels = size_px, channels
        for i, out_channels in enumerate(widths):
            halve = i < len(widths) - 1
            self.blocks.append(
                DiscriminatorBlock(
                    in_channels,
                    out_channels,
                    activate_first=i > 0,
                    halve=halve,
                    identity_skip=identity_skip,
                    use_spectral_norm=use_spectral_norm,
                )
            )
            side_px, in_channels = side_px // 2 if halve else side_px, out_channels
            if halve and side_px in attention_px:
                self.attention[str(side_px)] = SelfAttention(
                    out_channels, use_spectral_norm=use_spectral_norm
                )
        self.linear = _wrap(nn.Linear(widths[-1], 1), use_spectral_norm)
        if class_count:
            self.embedding = _wrap(nn.Embedding(class_count, widths[-1]), use_spectral_norm)

    def forward(self, x: Tensor, labels: Tensor | None = None, *, parts: int = 1) -> Tensor:
        """Map N×C×H×W and N class indices to N logits, in float32 under autocast too.

        How many batches the pictures are (`parts`) makes no difference here: no layer looks across pictures.
        """
        last = len(self.blocks) - 1
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i < last and str(x.shape[-1]) in self.attention:
                x = self.attention[str(x.shape[-1])](x)
        features = F.relu(x).sum(dim=(2, 3), dtype=torch.float32)  # N×16w
        with in_float32(x):
            logits = self.linear(features).squeeze(1)
            if self.class_count:
                logits = logits + (self.embedding(labels) * features).sum(dim=1)
        return logits
