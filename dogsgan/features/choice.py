"""The network that `--network auto` stands for: decided here, for every command."""

from dataclasses import dataclass
from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.features.networks import COMPETITION_PX, LITE0
from dogsgan.features.weights import find_weights

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
    if size_px != COMPETITION_PX:
        return NetworkChoice(
            LITE0,
            f"the competition's network takes {COMPETITION_PX} px, not {size_px}: scored by {LITE0}, whose "
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
