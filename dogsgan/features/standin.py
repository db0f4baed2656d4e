"""A tiny network with fixed random weights: a number for the demo where no trained network can be had.

Random convolutions see colour, contrast and texture at a few scales, not dogs. Distances by it fall as a
generator learns, and mean nothing beyond that.
"""

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

VERSION = 1
_SEED = 20190630
_WIDTHS = (3, 32, 48, 64)
_KERNELS = (5, 3, 3)
_SCALE = 10.0
"""Brings distances between kinds of pictures to the order of 1 to 100, which reads well."""


class StandIn(nn.Module):
    """Three strided convolutions with ReLU; features: each map's mean and standard deviation, 288.

    The weights come from NumPy's legacy generator, whose stream is frozen for good, and never from torch's.
    """

    def __init__(self) -> None:
        super().__init__()
        random = np.random.RandomState(_SEED)
        self.convolutions = nn.ModuleList()
        for (inputs, outputs), size in zip(itertools.pairwise(_WIDTHS), _KERNELS, strict=True):
            kernel = random.standard_normal((outputs, inputs, size, size)) * np.sqrt(2.0 / (inputs * size**2))
            convolution = nn.Conv2d(inputs, outputs, size, stride=2, padding=size // 2, bias=False)
            convolution.weight = nn.Parameter(
                torch.from_numpy(kernel.astype(np.float32)), requires_grad=False
            )
            self.convolutions.append(convolution)
        self.dimension = 2 * sum(_WIDTHS[1:])
        self.to(memory_format=torch.channels_last)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return features N×D of pictures N×3×H×W with values 0..255."""
        x = pictures / 127.5 - 1.0
        features = []
        for convolution in self.convolutions:
            x = functional.relu(convolution(x))  # N×C×H/2×W/2
            features += [x.mean(dim=(2, 3)), x.std(dim=(2, 3), correction=0)]
        return _SCALE * torch.cat(features, dim=1)
