"""Where a network's weights come from: a file that was named, the cache, or an attached Kaggle dataset."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dogsgan.cache import VARIABLE, user_cache_dir
from dogsgan.errors import DogsganError
from dogsgan.features.download import download
from dogsgan.features.timm_weights import PREFIX, fetch_timm_weights, find_timm_weights
from dogsgan.files import sha256_of

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class ReleasedWeights:
    """A public weights file: its name, where it is released, and its sha256 or the start of that."""

    network: str
    file_name: str
    url: str
    sha256: str


RELEASED = {
    "public": ReleasedWeights(
        network="public",
        file_name="pt_inception-2015-12-05-6726825d.pth",
        url=(
            "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth"
        ),
        sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "private": ReleasedWeights(
        network="private",
        file_name="nasnetalarge-dc4a7b8b.pth",
        url=(
            "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
            "nasnetalarge-dc4a7b8b.pth"
        ),
        sha256="dc4a7b8b",
    ),
}
"""The competition's two networks. Of the second hash, the release publishes the start, in the file's name."""

KAGGLE_INPUT = Path("/kaggle/input")
"""Where Kaggle mounts the datasets attached to a kernel."""


def is_released(network: str, sha256: str) -> bool:
    """Return whether `sha256` is that of the released weights of `network`."""
    return network in RELEASED and sha256.startswith(RELEASED[network].sha256)


def find_weights(network: str, *, weights: Path | None = None, cache_dir: Path | None = None) -> Path:
    """Return a network's weights file: `weights` if given, else the cache's, else a Kaggle dataset's.

    A file that is found rather than named must have the released file's sha256.

    Raises:
        DogsganError: there is none, or the one found is damaged.
    """
    if weights is not None:
        if not Path(weights).is_file():
            raise DogsganError(
                f"no weights file at {weights}: give the path of an existing file with --weights"
            )
        return Path(weights)
    cache = cache_dir or user_cache_dir()
    if network.startswith(PREFIX):
        fetched = find_timm_weights(network, folder=cache / "weights") if cache is not None else None
        if fetched is not None:
            return fetched
        raise DogsganError(
            f"the network {network} needs its weights: give them with --weights FILE, or run dogsgan weights "
            f"{PREFIX}{network.removeprefix(PREFIX).split(':')[0]} where there is internet"
        )
    if network not in RELEASED:
        raise DogsganError(f"the network {network} needs its weights: give them with --weights FILE")
    released = RELEASED[network]
    cached = [cache / "weights" / released.file_name] if cache is not None else []
    attached = sorted(KAGGLE_INPUT.rglob(released.file_name)) if KAGGLE_INPUT.is_dir() else []
    for candidate in (*cached, *attached):
        if os.path.isfile(candidate):  # noqa: PTH113 (False, too, where the cache may not be looked into)
            if not is_released(network, sha256_of(candidate)):
                raise DogsganError(
                    f"{candidate} does not have the sha256 of {released.file_name}: it is damaged; "
                    f"remove it, then run dogsgan weights {network}"
                )
            return candidate
    raise DogsganError(
        f"no weights for the network {network}: run dogsgan weights {network} where there is internet, "
        f"give the file with --weights, or attach a Kaggle dataset that holds {released.file_name}; "
        "--network efficientnet-lite0 needs none, but its figure is not Kaggle's"
    )


def fetch_weights(
    network: str,
    *,
    cache_dir: Path | None = None,
    url: str | None = None,
    sha256: str | None = None,
    show_progress: bool = True,
) -> Path:
    """Download the released weights of `network` into the cache, unless they are there, and return the file.

    `url` names another place to fetch the file from; its hash must be the released one's unless `sha256` (or
    the start of it) says otherwise. Of `timm:NAME` they are timm's own, see `timm_weights`.

    Raises:
        DogsganError: no weights are released for `network`, the download fails, or the hash is wrong.
    """
    cache = cache_dir or user_cache_dir()
    if cache is None:
        raise DogsganError(f"no home folder to keep weights in: set {VARIABLE} to a folder")
    folder = cache / "weights"
    if network.startswith(PREFIX):
        return fetch_timm_weights(network, folder=folder, url=url, sha256=sha256, show_progress=show_progress)
    if network not in RELEASED:
        raise DogsganError(
            f"no weights are to be fetched for {network!r}: choose from {', '.join(RELEASED)} or timm:NAME"
        )
    released = RELEASED[network]
    return download(
        url or released.url,
        folder / released.file_name,
        sha256=sha256 or released.sha256,
        show_progress=show_progress,
    )


def read_weights(path: Path) -> "dict[str, torch.Tensor]":
    """Return the tensors of a safetensors file or of a torch file, which is read without running code in it.

    Raises:
        DogsganError: it is neither, or holds anything but named tensors.
    """
    import torch

    from dogsgan.tensors import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)[0]
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises anything
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DogsganError(
            f"{path} is not a readable weights file ({reason}): give a .safetensors file or a state dict"
        ) from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if (
        not isinstance(state, dict)
        or not state
        or not all(isinstance(value, torch.Tensor) for value in state.values())
    ):
        raise DogsganError(f"{path} holds no table of tensors: give a state dict")
    return state
