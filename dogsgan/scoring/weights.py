"""Where a network's weights come from: a file that was named, the cache, or an attached Kaggle dataset."""

import os
import pickle
from dataclasses import dataclass
from pathlib import Path

import torch

from dogsgan.errors import DogsganError
from dogsgan.files import sha256_of


@dataclass(frozen=True)
class ReleasedWeights:
    """A public weights file: its name, where it is released, and its sha256 (or the start of it that is published)."""

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
"""The competition's two networks. The second hash is the part of it that the release carries in its file name."""

KAGGLE_INPUT = Path("/kaggle/input")
"""Where Kaggle mounts the datasets attached to a kernel."""


def default_cache_dir() -> Path:
    """Return the folder for fetched weights and cached features: `$DOGSGAN_CACHE`, else the user's cache folder."""
    if named := os.environ.get("DOGSGAN_CACHE"):
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dogsgan"


def is_released(network: str, sha256: str) -> bool:
    """Return whether `sha256` is that of the released weights of `network`."""
    return network in RELEASED and sha256.startswith(RELEASED[network].sha256)


def find_weights(network: str, *, weights: Path | None = None, cache_dir: Path | None = None) -> Path:
    """Return the weights file of a network: `weights` if given, else from the cache, else from a Kaggle dataset.

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
    if network not in RELEASED:
        raise DogsganError(f"the network {network} needs its weights: give them with --weights FILE")
    released = RELEASED[network]
    cached = (cache_dir or default_cache_dir()) / "weights" / released.file_name
    attached = sorted(KAGGLE_INPUT.rglob(released.file_name)) if KAGGLE_INPUT.is_dir() else []
    for candidate in (cached, *attached):
        if candidate.is_file():
            if not is_released(network, sha256_of(candidate)):
                raise DogsganError(
                    f"{candidate} does not have the sha256 of {released.file_name}: it is damaged; remove it, then "
                    f"run dogsgan weights {network}"
                )
            return candidate
    raise DogsganError(
        f"no weights for the network {network}: run dogsgan weights {network} where there is internet, give the file "
        f"with --weights, or attach a Kaggle dataset that holds {released.file_name}"
    )


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file or of a torch file, which is read without running code in it.

    Raises:
        DogsganError: it is neither, or holds anything but named tensors.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        OSError,
        ValueError,
        KeyError,
    ) as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise DogsganError(
            f"{path} is not a readable weights file ({reason}): give a .safetensors file or a torch state dict"
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
