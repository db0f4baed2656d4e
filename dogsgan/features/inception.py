"""The Inception-v3 of 2015-12-05 up to its layer `pool_3`, through which the public side was scored.

Szegedy et al. 2015 (arXiv 1512.00567), as the TensorFlow graph `classify_image_graph_def.pb` has it. It
differs from torchvision's network: average pools do not count their padding, the last block pools by
maximum, there is no auxiliary classifier, and the weights are others. Names follow the file
`pt_inception-2015-12-05-6726825d.pth`, so that it loads; batch normalisation is folded into the
convolutions as it does.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

from dogsgan.errors import DogsganError
from dogsgan.resize import tf1_resize_batch

INPUT_PX = 299
_BATCH_NORM_EPSILON = 0.001
_CLASSES = 1008


class Conv(nn.Conv2d):
    """A convolution with batch normalisation folded in, then ReLU; `size` is its height×width."""

    def __init__(
        self, inputs: int, outputs: int, size: tuple[int, int], *, stride: int = 1, valid: bool = False
    ):
        padding = (0, 0) if valid else (size[0] // 2, size[1] // 2)
        super().__init__(inputs, outputs, size, stride=stride, padding=padding)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return N×C'×H'×W' of N×C×H×W."""
        return functional.relu(super().forward(x), inplace=True)

    def fold(self, state: Mapping[str, torch.Tensor], name: str) -> None:
        """Take weights from `name.conv.weight` and `name.bn.*` of a state dict, in float64."""
        weight, gain, bias, mean, variance = (state[key].double() for key in folded_keys(name))
        scale = gain / torch.sqrt(variance + _BATCH_NORM_EPSILON)
        self.weight.data.copy_(weight * scale[:, None, None, None])
        assert self.bias is not None
        self.bias.data.copy_(bias - mean * scale)


def folded_keys(name: str) -> list[str]:
    """Return the names in a state dict of one convolution and of its batch normalisation."""
    parts = ("conv.weight", "bn.weight", "bn.bias", "bn.running_mean", "bn.running_var")
    return [f"{name}.{part}" for part in parts]


def _average(x: torch.Tensor) -> torch.Tensor:
    return functional.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


def _shrink(x: torch.Tensor) -> torch.Tensor:
    return functional.max_pool2d(x, 3, stride=2)


class BlockA(nn.Module):
    """35×35: 1×1, 5×5, two 3×3, and the average pool."""

    def __init__(self, inputs: int, pool_features: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(inputs, 64, (1, 1))
        self.branch5x5_1 = Conv(inputs, 48, (1, 1))
        self.branch5x5_2 = Conv(48, 64, (5, 5))
        self.branch3x3dbl_1 = Conv(inputs, 64, (1, 1))
        self.branch3x3dbl_2 = Conv(64, 96, (3, 3))
        self.branch3x3dbl_3 = Conv(96, 96, (3, 3))
        self.branch_pool = Conv(inputs, pool_features, (1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        five = self.branch5x5_2(self.branch5x5_1(x))
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch1x1(x), five, three, self.branch_pool(_average(x))], dim=1)


class BlockB(nn.Module):
    """35×35 to 17×17."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.branch3x3 = Conv(inputs, 384, (3, 3), stride=2, valid=True)
        self.branch3x3dbl_1 = Conv(inputs, 64, (1, 1))
        self.branch3x3dbl_2 = Conv(64, 96, (3, 3))
        self.branch3x3dbl_3 = Conv(96, 96, (3, 3), stride=2, valid=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), three, _shrink(x)], dim=1)


class BlockC(nn.Module):
    """17×17: 7×7 convolutions, each as 1×7 and 7×1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.branch1x1 = Conv(768, 192, (1, 1))
        self.branch7x7_1 = Conv(768, width, (1, 1))
        self.branch7x7_2 = Conv(width, width, (1, 7))
        self.branch7x7_3 = Conv(width, 192, (7, 1))
        self.branch7x7dbl_1 = Conv(768, width, (1, 1))
        self.branch7x7dbl_2 = Conv(width, width, (7, 1))
        self.branch7x7dbl_3 = Conv(width, width, (1, 7))
        self.branch7x7dbl_4 = Conv(width, width, (7, 1))
        self.branch7x7dbl_5 = Conv(width, 192, (1, 7))
        self.branch_pool = Conv(768, 192, (1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seven = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), seven, double, self.branch_pool(_average(x))], dim=1)


class BlockD(nn.Module):
    """17×17 to 8×8."""

    def __init__(self) -> None:
        super().__init__()
        self.branch3x3_1 = Conv(768, 192, (1, 1))
        self.branch3x3_2 = Conv(192, 320, (3, 3), stride=2, valid=True)
        self.branch7x7x3_1 = Conv(768, 192, (1, 1))
        self.branch7x7x3_2 = Conv(192, 192, (1, 7))
        self.branch7x7x3_3 = Conv(192, 192, (7, 1))
        self.branch7x7x3_4 = Conv(192, 192, (3, 3), stride=2, valid=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        three = self.branch3x3_2(self.branch3x3_1(x))
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([three, seven, _shrink(x)], dim=1)


class BlockE(nn.Module):
    """8×8. The graph's last block pools by maximum where the one before averages."""

    def __init__(self, inputs: int, *, pool_by_maximum: bool) -> None:
        super().__init__()
        self.pool_by_maximum = pool_by_maximum
        self.branch1x1 = Conv(inputs, 320, (1, 1))
        self.branch3x3_1 = Conv(inputs, 384, (1, 1))
        self.branch3x3_2a = Conv(384, 384, (1, 3))
        self.branch3x3_2b = Conv(384, 384, (3, 1))
        self.branch3x3dbl_1 = Conv(inputs, 448, (1, 1))
        self.branch3x3dbl_2 = Conv(448, 384, (3, 3))
        self.branch3x3dbl_3a = Conv(384, 384, (1, 3))
        self.branch3x3dbl_3b = Conv(384, 384, (3, 1))
        self.branch_pool = Conv(inputs, 192, (1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = functional.max_pool2d(x, 3, stride=1, padding=1) if self.pool_by_maximum else _average(x)
        three = self.branch3x3_1(x)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        branches = [self.branch1x1(x), self.branch3x3_2a(three), self.branch3x3_2b(three)]
        branches += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(branches, dim=1)


class Inception2015(nn.Module):
    """Pictures N×3×H×W with values 0..255 ─▶ features N×2048."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, (3, 3), stride=2, valid=True)
        self.Conv2d_2a_3x3 = Conv(32, 32, (3, 3), valid=True)
        self.Conv2d_2b_3x3 = Conv(32, 64, (3, 3))
        self.Conv2d_3b_1x1 = Conv(64, 80, (1, 1))
        self.Conv2d_4a_3x3 = Conv(80, 192, (3, 3), valid=True)
        self.Mixed_5b = BlockA(192, 32)
        self.Mixed_5c = BlockA(256, 64)
        self.Mixed_5d = BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b = BlockC(128)
        self.Mixed_6c = BlockC(160)
        self.Mixed_6d = BlockC(160)
        self.Mixed_6e = BlockC(192)
        self.Mixed_7a = BlockD()
        self.Mixed_7b = BlockE(1280, pool_by_maximum=False)
        self.Mixed_7c = BlockE(2048, pool_by_maximum=True)
        self.eval().requires_grad_(False)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        x = (tf1_resize_batch(pictures, INPUT_PX) - 128.0) / 128.0
        x = x.contiguous(memory_format=torch.channels_last)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # N×64×147×147
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(_shrink(x)))  # N×192×71×71
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(_shrink(x))))  # N×288×35×35
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))  # N×768×17×17
        x = self.Mixed_6e(self.Mixed_6d(x))  # N×768×17×17
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # N×2048×8×8
        return x.mean(dim=(2, 3))

    @classmethod
    def from_state_dict(cls, state: Mapping[str, torch.Tensor], origin: str) -> "Inception2015":
        """Build the network from a state dict in the published port's names; `origin` names it in errors.

        Raises:
            DogsganError: the tensors are not this network's.
        """
        model = cls()
        convolutions = {name: module for name, module in model.named_modules() if isinstance(module, Conv)}
        _refuse_other_networks(convolutions, state, origin)
        for name, convolution in convolutions.items():
            convolution.fold(state, name)
        return model


def _refuse_other_networks(
    convolutions: Mapping[str, Conv], state: Mapping[str, torch.Tensor], origin: str
) -> None:
    if any(key.startswith("AuxLogits.") for key in state) or (
        "fc.bias" in state and state["fc.bias"].shape != (_CLASSES,)
    ):
        raise DogsganError(
            f"{origin} holds another Inception (torchvision's has other weights and gives another distance): "
            "the network public needs pt_inception-2015-12-05-6726825d.pth"
        )
    for name, convolution in convolutions.items():
        for key in folded_keys(name):
            expected = (
                tuple(convolution.weight.shape)
                if key.endswith("conv.weight")
                else (convolution.out_channels,)
            )
            if key not in state or tuple(state[key].shape) != expected:
                found = "no such tensor" if key not in state else f"shape {tuple(state[key].shape)}"
                raise DogsganError(
                    f"{origin} is not a weights file of the network public: {key} should have "
                    f"shape {expected}, found {found}"
                )
