"""The networks that turn pictures into features, by the names that `--network` takes, and the features."""

import contextlib
import dataclasses
import hashlib
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from dogsgan.blockwise import at_once, blockwise
from dogsgan.competition import EPSILON_PRIVATE, EPSILON_PUBLIC, SIZE_PX
from dogsgan.device import pick_device, repeatable
from dogsgan.errors import DogsganError
from dogsgan.features.timm_networks import (
    LITE0,
    LITE0_RECIPE,
    PRIVATE_RECIPE,
    Classifier,
    TimmFeatures,
    folded,
    packaged_weights,
    parse_recipe,
    under_timms_names,
)
from dogsgan.features.weights import TIMM, find_weights, is_released, read_weights
from dogsgan.files import sha256_of
from dogsgan.progress import progress_bar

AUTO = "auto"
_PICTURE_BYTES = 100_000_000  # of one in NASNet-A Large, the hungriest

STAND_IN_VERSION = 1
"""To be raised when the stand-in gives other features."""
_SEED = 20190630
_WIDTHS = (3, 32, 48, 64)
_KERNELS = (5, 3, 3)
_SCALE = 10.0
"""Brings distances between kinds of pictures to the order of 1 to 100, which reads well."""

_Batch: TypeAlias = tuple[int, np.ndarray, list[str]]
"""The index of a network, pictures N×H×W×3 for it, and their names."""

_MOST_BATCHES = 8
"""Batches that are worked on at once."""


@dataclass(frozen=True, eq=False)
class FeatureNetwork:
    """A network with its weights on a device: float32 pictures in, float32 features out."""

    name: str
    dimension: int
    """Features per picture, D."""
    identity: str
    """A hash over everything that decides a feature: network, options, weights."""
    device: torch.device
    batch_size: int
    """Pictures at once, unless asked otherwise."""
    forward: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    """Pictures N×3×H×W, float32 in 0..255, on `device` and in channels_last ─▶ features N×D."""
    description: str = ""
    epsilon: float | None = None
    """The threshold on the memorization distance; None where none was calibrated."""
    competition: bool = False
    """Whether these are the competition's own network and weights."""
    real_px: int | None = None
    """Real pictures are resized whole to this side; None: to the side of the generated ones."""
    required_px: int | None = None
    """The only side that generated pictures may have; None: any."""
    classifier: Classifier | None = field(default=None, repr=False)
    """From features to ImageNet's 1,000 classes, on the CPU; None where the weights have no such layer."""
    note: str | None = None
    """A sentence where `auto` had to take another network than the competition's."""

    def refuse_other_size(self, size_px: int, *, remedy: str = "choose another --network") -> None:
        """Raise a DogsganError where the network takes no pictures of `size_px`."""
        if self.required_px not in (None, size_px):
            raise DogsganError(
                f"the network {self.name} takes {self.required_px} px, not {size_px} px: {remedy}"
            )

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
    name: str,
    *,
    weights: Path | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
    size_px: int = SIZE_PX,
) -> FeatureNetwork:
    """Return a network by name: `public`, `private`, `efficientnet-lite0`, `timm:NAME[:option=value…]`,
    `stand-in`, or `auto`.

    `auto` is the competition's public network where its weights are at hand (`weights` are taken for them)
    and the pictures, of `size_px`, have the competition's size, else EfficientNet-Lite0; `note` says why.
    Weights come from the file `weights`, else from where `find_weights` looks, or from the package that
    carries them (`efficientnet-lite0`). `stand-in` needs none.

    Raises:
        DogsganError: there is no such network, its weights cannot be found, or the file is not of this
        network.
    """
    note = None
    if name == AUTO:
        name, note = auto_network(size_px, weights=weights, cache_dir=cache_dir)
    target = pick_device(device)
    if name == "stand-in":
        opened = _stand_in(target, weights)
    elif name == "public":
        opened = _public(target, find_weights(name, weights=weights, cache_dir=cache_dir))
    elif name == "private":
        opened = _private(target, find_weights(name, weights=weights, cache_dir=cache_dir))
    elif name == LITE0:
        opened = _lite0(target, weights)
    elif name.startswith(TIMM):
        opened = _timm(name, target, weights, cache_dir)
    else:
        raise DogsganError(
            f"no such network: {name!r}; use public, private, {LITE0}, stand-in or timm:NAME with "
            "--weights FILE"
        )
    return dataclasses.replace(opened, note=note)


def auto_network(
    size_px: int, *, weights: Path | None = None, cache_dir: Path | None = None
) -> tuple[str, str | None]:
    """Return the name of the network that `auto` stands for, and why it is not the competition's."""
    if weights is not None:
        return "public", None
    not_kaggles = f"scored by {LITE0}, whose figure is not Kaggle's"
    if size_px != SIZE_PX:
        return LITE0, f"the competition's network takes {SIZE_PX} px, not {size_px}: {not_kaggles}"
    try:
        find_weights("public", cache_dir=cache_dir)
    except DogsganError:
        return LITE0, (
            f"no weights of the competition's network here: {not_kaggles}; `dogsgan weights public` fetches "
            "them"
        )
    return "public", None


class StandIn(nn.Module):
    """Three strided convolutions with ReLU; features: each map's mean and standard deviation, 288.

    For a number where no trained network can be had: random convolutions see colour, contrast and texture at
    a few scales, not dogs. Distances by it fall as a generator learns, and mean nothing beyond that. The
    weights come from NumPy's legacy generator, whose stream is frozen for good, and never from torch's.
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


def _stand_in(device: torch.device, weights: Path | None) -> FeatureNetwork:
    if weights is not None:
        raise DogsganError(f"the network stand-in has its weights built in: leave out --weights {weights}")
    description = "a tiny network with fixed random weights"
    identity = f"stand-in {STAND_IN_VERSION}"
    return _on(device, "stand-in", StandIn(), identity, description=description, batch_size=256)


def _public(device: torch.device, file: Path) -> FeatureNetwork:
    from dogsgan.features.inception import Inception2015

    model, digest = Inception2015.from_state_dict(read_weights(file), str(file)), sha256_of(file)
    description = "Inception-v3 of 2015-12-05, layer pool_3"
    return dataclasses.replace(
        _on(device, "public", model, "public 2", digest, description=description),
        epsilon=EPSILON_PUBLIC,
        competition=is_released("public", digest),
        real_px=SIZE_PX,
        required_px=SIZE_PX,
    )


def _private(device: torch.device, file: Path) -> FeatureNetwork:
    model, digest = TimmFeatures(PRIVATE_RECIPE, read_weights(file), str(file)), sha256_of(file)
    description = "NASNet-A Large, global mean of the last cell"
    return dataclasses.replace(
        _on(device, "private", model, "private 2", digest, description=description),
        epsilon=EPSILON_PRIVATE,
        competition=is_released("private", digest),
        real_px=PRIVATE_RECIPE.input_px,
        required_px=SIZE_PX,
    )


def _lite0(device: torch.device, weights: Path | None) -> FeatureNetwork:
    file = packaged_weights() if weights is None else find_weights(LITE0, weights=weights)
    model = TimmFeatures(LITE0_RECIPE, under_timms_names(read_weights(file), file), str(file))
    model.model = folded(model.model)
    description = f"EfficientNet-Lite0 trained on ImageNet, at {LITE0_RECIPE.input_px} px"
    opened = _on(device, LITE0, model, "lite0 1", LITE0_RECIPE, sha256_of(file), description=description)
    return dataclasses.replace(opened, classifier=model.classifier)


def _timm(name: str, device: torch.device, weights: Path | None, cache_dir: Path | None) -> FeatureNetwork:
    recipe = parse_recipe(name)
    file = find_weights(name, weights=weights, cache_dir=cache_dir)
    model, digest = TimmFeatures(recipe, read_weights(file), str(file)), sha256_of(file)
    version = "timm 2" if recipe.resize == "tf1" else "timm 1"
    description = f"{recipe.summary()}, weights {file.name} (sha256 {digest[:8]}…)"
    opened = _on(device, name, model, version, recipe, digest, description=description, batch_size=64)
    return dataclasses.replace(opened, classifier=model.classifier)


def _on(
    device: torch.device, name: str, model: Any, *identity: Any, description: str, batch_size: int = 16
) -> FeatureNetwork:
    """Return a model on a device; `identity` is what decides its features."""
    return FeatureNetwork(
        name=name,
        dimension=model.dimension,
        identity=hashlib.sha256("\n".join(map(str, identity)).encode()).hexdigest(),
        device=device,
        batch_size=at_once(batch_size, row_bytes=_PICTURE_BYTES, device=device),
        forward=model.to(device).to(memory_format=torch.channels_last),
        description=description,
    )


def features_of(
    pictures: np.ndarray,
    network: FeatureNetwork,
    *,
    batch_size: int | None = None,
    show_progress: bool = False,
) -> np.ndarray:
    """Return the features, N×D float32, of pictures in memory, N×H×W×3 with values 0..255.

    Raises:
        DogsganError: the network returned NaN or an infinity; the picture is named by its index.
    """
    if pictures.ndim != 4 or pictures.shape[3] != 3:
        raise ValueError(f"pictures of shape {pictures.shape}, expected N×H×W×3")
    named = ((str(index), picture) for index, picture in enumerate(pictures))
    description = "pictures" if show_progress else None
    return features_of_stream(
        named, network, total=len(pictures), batch_size=batch_size, description=description
    )


def features_of_stream(
    pictures: Iterable[tuple[str, np.ndarray]],
    network: FeatureNetwork,
    *,
    total: int,
    batch_size: int | None = None,
    description: str | None,
) -> np.ndarray:
    """Return the features, N×D float32, of pictures that come one by one, at most `total`: name and H×W×3.

    `description` heads a progress bar; None shows none.

    Raises:
        DogsganError: the network returned NaN or an infinity for a picture, which is named.
    """
    views = ((name, [picture]) for name, picture in pictures)
    [features] = features_by_networks(
        views, [network], total=total, batch_size=batch_size, description=description
    )
    return features


def features_by_networks(
    pictures: Iterable[tuple[str, Sequence[np.ndarray]]],
    networks: Sequence[FeatureNetwork],
    *,
    total: int,
    batch_size: int | None = None,
    description: str | None,
) -> list[np.ndarray]:
    """Return features by several networks, as `features_of_stream`, of a view of each picture for each.

    On the CPU several batches are worked on at once, one core each: cores that share a batch wait for each
    other after every layer.
    """

    def batches() -> Iterator[_Batch]:
        waiting: list[tuple[list[np.ndarray], list[str]]] = [([], []) for _ in networks]
        for name, views in pictures:
            for index, (network, view) in enumerate(zip(networks, views, strict=True)):
                waiting[index][0].append(view)
                waiting[index][1].append(name)
                if len(waiting[index][1]) == (batch_size or network.batch_size):
                    yield index, np.stack(waiting[index][0]), waiting[index][1]
                    waiting[index] = [], []
        for index, (some, names) in enumerate(waiting):
            if some:
                yield index, np.stack(some), names

    def forward(batch: _Batch) -> torch.Tensor:
        return networks[batch[0]].features(batch[1])

    features = [np.empty((total, network.dimension), dtype=np.float32) for network in networks]
    counts = [0] * len(networks)
    done: Iterator[tuple[_Batch, torch.Tensor]]
    if networks[0].device.type == "cpu" and torch.get_num_threads() > 1:
        done = blockwise(forward, batches(), most=_MOST_BATCHES)
    else:
        done = ((batch, forward(batch)) for batch in batches())
    with contextlib.ExitStack() as stack:
        bar = None
        if description is not None:
            whole = total * len(networks)
            bar = stack.enter_context(progress_bar(description=f"features: {description}", total=whole))
        for (index, _, names), found in done:
            _refuse_nan(found, names, networks[index])
            features[index][counts[index] : counts[index] + len(names)] = found.numpy()
            counts[index] += len(names)
            if bar is not None:
                bar.update(len(names))
    return [rows[:count] for rows, count in zip(features, counts, strict=True)]


def _refuse_nan(batch: torch.Tensor, names: list[str], network: FeatureNetwork) -> None:
    finite = torch.isfinite(batch).all(dim=1)
    if not finite.all():
        name = names[int((~finite).nonzero()[0])]
        raise DogsganError(
            f"the network {network.name} returns NaN or infinite features for picture {name}: "
            "its weights are damaged or of another network"
        )
