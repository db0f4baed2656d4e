"""The network that `--network auto` stands for: decided here, for every command."""

from dataclasses import dataclass
from pathlib import Path

from dogsgan.competition import SIZE_PX
from dogsgan.errors import DogsganError
from dogsgan.features.networks import LITE0, FeatureNetwork, open_network
from dogsgan.features.weights import find_weights
from dogsgan.pictures import PictureReader

AUTO = "auto"


@dataclass(frozen=True)
class NetworkChoice:
    """A network's name for `open_network`, and why `auto` fell on it."""

    name: str
    note: str | None = None
    """A sentence where `auto` had to take another network than the competition's."""


def chosen_network(
    network: str, *, size_px: int, weights: Path | None = None, cache_dir: Path | None = None
) -> NetworkChoice:
    """Return the network for pictures of `size_px`: the one that was named, or what `auto` stands for.

    That is the competition's public network where its weights are at hand (`weights` are taken for them) and
    the pictures have the competition's size, else EfficientNet-Lite0, which comes with a package.
    """
    if network != AUTO:
        return NetworkChoice(network)
    if weights is not None:
        return NetworkChoice("public")
    if size_px != SIZE_PX:
        return NetworkChoice(
            LITE0,
            f"the competition's network takes {SIZE_PX} px, not {size_px}: scored by {LITE0}, whose "
            "figure is not Kaggle's",
        )
    try:
        find_weights("public", cache_dir=cache_dir)
    except DogsganError:
        return NetworkChoice(
            LITE0,
            f"no weights of the competition's network here: scored by {LITE0}, whose figure is not Kaggle's; "
            "`dogsgan weights public` fetches them",
        )
    return NetworkChoice("public")


def opened_for(
    generated: PictureReader,
    network: str,
    *,
    weights: Path | None = None,
    device: str = "auto",
    cache_dir: Path | None = None,
) -> tuple[FeatureNetwork, list[str]]:
    """Return the network for generated pictures, opened, and notes on the choice; see `chosen_network`.

    Raises:
        DogsganError: as `PictureReader.side_px` and `open_network`.
    """
    size_px = SIZE_PX if network != AUTO or not len(generated) else generated.side_px()
    chosen = chosen_network(network, size_px=size_px, weights=weights, cache_dir=cache_dir)
    opened = open_network(chosen.name, weights=weights, device=device, cache_dir=cache_dir)
    return opened, [chosen.note] if chosen.note else []


def refuse_without_classifier(network: FeatureNetwork, option: str) -> None:
    """Refuse an option of recognition for a network that names no classes.

    Raises:
        DogsganError: it is such a network.
    """
    if network.classifier is None:
        raise DogsganError(
            f"{option} goes with --per-class, or with a network that names classes, and {network.name} does "
            f"not: leave it out, or choose --network {LITE0}"
        )


def generated_size(generated: PictureReader, network: FeatureNetwork) -> int:
    """Return the side in px of generated pictures.

    Raises:
        DogsganError: there are fewer than two, they are not square, or the network takes another size.
    """
    path = generated.source.path
    if len(generated) < 2:
        raise DogsganError(f"{path} holds {len(generated)} picture(s): a score needs at least 2")
    size_px = generated.side_px()
    if network.required_px not in (None, size_px):
        raise DogsganError(
            f"the pictures in {path} are {size_px}×{size_px} px: the network {network.name} scores "
            f"{network.required_px}×{network.required_px} px, and the competition refuses other sizes; "
            f"generate at {network.required_px} px, or choose another --network"
        )
    return size_px
