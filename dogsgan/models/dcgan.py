"""DCGANs: plain transposed convolutions up, strided convolutions down, self-attention where asked.

Radford et al., arXiv 1511.06434. Two families differ in sizes and kernels only (`Family`): 4×4 kernels from
a 4×4 map, and 5×5 kernels from a dense map of a quarter of the picture's side, which also makes pictures of
28 px.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dogsgan.models.layers import (
    ConditionalBatchNorm2d,
    NoNorm,
    PartedBatchNorm2d,
    SelfAttention,
    generator_norm,
    in_float32,
    spectral_norm,
)

WEIGHT_STD = 0.02  # of the paper


@dataclass(frozen=True)
class Family:
    """The kernels of one kind of DCGAN, and the sides of its maps in px from the smallest to the picture."""

    kernel_px: int
    generator_sides: tuple[int, ...]
    discriminator_sides: tuple[int, ...]

    def generator_maps(self, width: int) -> list[tuple[int, int]]:
        """Return side and channels of the maps before the picture: `width` at last, twice as many before."""
        sides = self.generator_sides[:-1]
        return [(side, width * 2 ** (len(sides) - 1 - i)) for i, side in enumerate(sides)]

    def discriminator_maps(self, width: int) -> list[tuple[int, int]]:
        """Return side and channels of the maps after the picture: `width` at first, twice as many after."""
        return [(side, width * 2**i) for i, side in enumerate(self.discriminator_sides[-2::-1])]


def family_4x4(size_px: int) -> Family | None:
    """Return the family with 4×4 kernels, from 4 px by doublings; None unless a power of two from 16 up."""
    if size_px < 16 or size_px & (size_px - 1):
        return None
    sides = tuple(4 * 2**i for i in range((size_px // 4).bit_length()))
    return Family(4, sides, sides)


def family_5x5(size_px: int) -> Family | None:
    """Return the family with 5×5 kernels, from a quarter by two doublings; None unless a multiple of 4."""
    if size_px % 4:
        return None
    sides = (size_px // 4, size_px // 2, size_px)
    return Family(5, (sides[0], *sides), sides)


class Generator(nn.Module):
    """z and class to a picture in [−1, 1].

    A linear map of z makes the first map: with 4×4 kernels a transposed convolution of a single position,
    with 5×5 a dense layer. Transposed convolutions follow. All but the last are normalised and activated;
    those before a batch norm have no bias.

    Args:
        width: channels of the last map before the picture.
        class_count: 0 for an unconditional generator.
        attention_px: the map sizes that get self-attention; of two maps of a size the later one.
        slope: of the activations below 0; 0 is ReLU.
    """

    def __init__(
        self,
        family: Family,
        *,
        channels: int,
        z_dim: int,
        width: int,
        class_count: int,
        attention_px: tuple[int, ...],
        slope: float,
        use_spectral_norm: bool,
        use_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.z_dim, self.class_count, self.slope = z_dim, class_count, slope
        self.maps, bias = family.generator_maps(width), not use_batch_norm
        self.layers = nn.ModuleList([_first_layer(family.kernel_px, z_dim, *self.maps[0], bias=bias)])
        self.layers.extend(
            _upwards(family.kernel_px, old, new, stride=new_px // old_px, bias=bias)
            for (old_px, old), (new_px, new) in pairwise(self.maps)
        )
        self.norms = nn.ModuleList(
            generator_norm(map_channels, class_count=class_count, use_batch_norm=use_batch_norm)
            for _, map_channels in self.maps
        )
        self.to_picture = _upwards(family.kernel_px, width, channels, stride=2, bias=True)
        _start(self, use_spectral_norm)
        self.attention = _attention(self.maps, attention_px, use_spectral_norm)

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map z of N×Z and N class indices to N×C×H×W in [−1, 1]."""
        x = z
        for i, (layer, norm) in enumerate(zip(self.layers, self.norms, strict=True)):
            x = F.leaky_relu(norm(layer(x), labels), self.slope)  # N×…×side×side
            if str(x.shape[-1]) in self.attention and _is_last_of_its_side(self.maps, i):
                x = self.attention[str(x.shape[-1])](x)
        return torch.tanh(self.to_picture(x))


class Discriminator(nn.Module):
    """A picture in [−1, 1] and its class to one logit.

    Convolutions with stride 2, each normalised where asked, activated, and dropped out of; then one linear
    layer over the flattened last map (on 4×4 that is a 4×4 convolution without padding), to which a
    projection of the class is added (Miyato and Koyama, arXiv 1802.05637).

    Args:
        width: channels of the first map.
        class_count: 0 for an unconditional discriminator.
        attention_px: the map sizes that get self-attention.
        slope: of the activations below 0; 0 is ReLU.
        dropout: share of activations set to 0 after each convolution in training.
    """

    def __init__(
        self,
        family: Family,
        *,
        channels: int,
        width: int,
        class_count: int,
        attention_px: tuple[int, ...],
        slope: float,
        dropout: float,
        use_spectral_norm: bool,
        use_batch_norm: bool,
    ) -> None:
        super().__init__()
        self.class_count, self.slope = class_count, slope
        maps = family.discriminator_maps(width)
        depths = [channels, *(map_channels for _, map_channels in maps)]
        self.layers = nn.ModuleList(
            nn.Conv2d(
                old,
                new,
                family.kernel_px,
                stride=2,
                padding=(family.kernel_px - 1) // 2,
                bias=not use_batch_norm,
            )
            for old, new in pairwise(depths)
        )
        self.norms = nn.ModuleList(
            PartedBatchNorm2d(new) if use_batch_norm else NoNorm() for new in depths[1:]
        )
        self.dropout = nn.Dropout(dropout)
        last_px, last = maps[-1]
        self.linear = nn.Linear(last * last_px * last_px, 1)
        if class_count:
            self.embedding = nn.Embedding(class_count, last)
        _start(self, use_spectral_norm)
        self.attention = _attention(maps, attention_px, use_spectral_norm)

    def forward(self, x: Tensor, labels: Tensor | None = None, *, parts: int = 1) -> Tensor:
        """Map N×C×H×W and N class indices to N logits, in float32 under autocast too.

        Args:
            parts: equal batches concatenated in `x`; batch norm normalises each by itself.
        """
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = self.dropout(F.leaky_relu(norm(layer(x), parts), self.slope))  # N×…×side×side
            if str(x.shape[-1]) in self.attention:
                x = self.attention[str(x.shape[-1])](x)
        with in_float32(x):
            x = x.float()
            logits: Tensor = self.linear(x.flatten(1)).squeeze(1)
            if self.class_count:
                logits = logits + (self.embedding(labels) * x.sum(dim=(2, 3))).sum(dim=1)
        return logits


def _first_layer(kernel_px: int, z_dim: int, side_px: int, channels: int, *, bias: bool) -> nn.Module:
    """Return a linear map from N×Z to N×C×side×side, in the form of its family."""
    if kernel_px == side_px:
        return nn.Sequential(
            nn.Unflatten(1, (z_dim, 1, 1)), nn.ConvTranspose2d(z_dim, channels, kernel_px, bias=bias)
        )
    return nn.Sequential(
        nn.Linear(z_dim, channels * side_px * side_px, bias=bias),
        nn.Unflatten(1, (channels, side_px, side_px)),
    )


def _upwards(kernel_px: int, old: int, new: int, *, stride: int, bias: bool) -> nn.ConvTranspose2d:
    """Return a transposed convolution to exactly `stride` times the side."""
    odd = kernel_px % 2
    return nn.ConvTranspose2d(
        old,
        new,
        kernel_px,
        stride=stride,
        padding=(kernel_px - 1) // 2,
        output_padding=odd * (stride - 1),
        bias=bias,
    )


def _is_last_of_its_side(maps: list[tuple[int, int]], i: int) -> bool:
    return i + 1 == len(maps) or maps[i + 1][0] != maps[i][0]


def _attention(
    maps: list[tuple[int, int]], attention_px: tuple[int, ...], use_spectral_norm: bool
) -> nn.ModuleDict:
    return nn.ModuleDict(
        {
            str(side): SelfAttention(channels, use_spectral_norm=use_spectral_norm)
            for side, channels in dict(maps).items()
            if side in attention_px
        }
    )


def _start(network: nn.Module, use_spectral_norm: bool) -> None:
    """Initialise every weight as the paper does and every bias with 0, then normalise where asked.

    The tables of a conditional batch norm are none of these: they start as a gain of 1 and a bias of 0.
    """
    tables = {
        table
        for norm in network.modules()
        if isinstance(norm, ConditionalBatchNorm2d)
        for table in norm.modules()
    }
    for module in list(network.modules()):
        if (
            isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | nn.Embedding)
            and module not in tables
        ):
            nn.init.normal_(module.weight, 0.0, WEIGHT_STD)
            if getattr(module, "bias", None) is not None:
                assert isinstance(module.bias, Tensor)
                nn.init.zeros_(module.bias)
            if use_spectral_norm:
                spectral_norm(module)
