"""The Inception-v3 of 2015-12-05 up to its layer `pool_3`, through which the public side was scored.

Szegedy et al. 2015 (arXiv 1512.00567), as the TensorFlow graph `classify_image_graph_def.pb` has it. It
differs from torchvision's network: average pools do not count their padding, the last block pools by
maximum, there is no auxiliary classifier, and the weights are others. Names follow the file
`pt_inception-2015-12-05-6726825d.pth`, so that it loads; batch normalisation is folded into the
convolutions as it does.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torchvision.models import inception

from dogsgan.errors import DogsganError
from dogsgan.pictures import tf1_resize_batch

INPUT_PX = 299
_BATCH_NORM_EPSILON = 0.001
_CLASSES = 1008


class Conv(nn.Conv2d):
    """A convolution with batch normalisation folded in, then ReLU."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N×C'×H'×W' of N×C×H×W."""
        return functional.relu(super().forward(x), inplace=True)

    def fold(self, state: Mapping[str, torch.Tensor], name: str, origin: str) -> None:
        """Take weights from `name.conv.weight` and `name.bn.*` of a state dict, in float64.

        Raises:
            DogsganError: one is missing or has another shape.
        """
        assert self.bias is not None
        keys = folded_keys(name)
        for key, shape in zip(keys, (self.weight.shape, *[self.bias.shape] * 4), strict=True):
            if key not in state or state[key].shape != shape:
                found = "no such tensor" if key not in state else f"shape {tuple(state[key].shape)}"
                raise DogsganError(
                    f"{origin} is not a weights file of the network public: {key} should have "
                    f"shape {tuple(shape)}, found {found}"
                )
        weight, gain, bias, mean, variance = (state[key].double() for key in keys)
        scale = gain / torch.sqrt(variance + _BATCH_NORM_EPSILON)
        self.weight.data.copy_(weight * scale[:, None, None, None])
        self.bias.data.copy_(bias - mean * scale)


def folded_keys(name: str) -> list[str]:
    """Return the names in a state dict of one convolution and of its batch normalisation."""
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    return [f"{name}.{part}" for part in parts]


def _average(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


class _BlockA(inception.InceptionA):
    def _forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return [self.branch1x1(x), five, three, self.branch_pool(_average(x))]


class _BlockC(inception.InceptionC):
    def _forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return [self.branch1x1(x), seven, double, self.branch_pool(_average(x))]


class _BlockE(inception.InceptionE):
    pool_by_maximum = False

    def _forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        pooled = functional.max_pool2d(x, 3, stride=1, padding=1) if self.pool_by_maximum else _average(x)
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        return [
            *branches,
            self.branch3x3dbl_3a(double),
            self.branch3x3dbl_3b(double),
            self.branch_pool(pooled),
        ]


def _with_conv(block: type[nn.Module]) -> Any:
    return lambda *args, **options: block(*args, **options, conv_block=Conv)


class Inception2015(inception.Inception3):
    """Pictures N×3×H×W with values 0..255 ─▶ features N×2048."""

    dimension = 2048

    def __init__(self) -> None:
        blocks = (_BlockA, inception.InceptionB, _BlockC, inception.InceptionD, _BlockE)
        super().__init__(
            aux_logits=False,
            init_weights=False,
            inception_blocks=[Conv, *map(_with_conv, blocks), None],
        )
        self.Mixed_7c.pool_by_maximum = True  # the graph's last block, where the one before averages
        self.fc = nn.Identity()
        self.eval().requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = (tf1_resize_batch(pictures, INPUT_PX) - 128.0) / 128.0
        features: torch.Tensor = super().forward(x.contiguous(memory_format=torch.channels_last))
        return features

    @classmethod
    def from_state_dict(cls, state: Mapping[str, torch.Tensor], origin: str) -> "Inception2015":
        """Build the network from a state dict in the published port's names; `origin` names it in errors.

        Raises:
            DogsganError: the tensors are not this network's.
        """
        if any(key.startswith("AuxLogits.") for key in state) or (
            "fc.bias" in state and state["fc.bias"].shape != (_CLASSES,)
        ):
            raise DogsganError(
                f"{origin} holds another Inception (torchvision's has other weights and gives another "
                "distance): the network public needs pt_inception-2015-12-05-6726825d.pth"
            )
        model = cls()
        for name, module in model.named_modules():
            if isinstance(module, Conv):
                module.fold(state, name, origin)
        return model
