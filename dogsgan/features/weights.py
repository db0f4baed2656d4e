"""Weights of networks: found in a named file, the cache or an attached Kaggle dataset, or downloaded."""

import http.client
import os
import re
import socket
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dogsgan.cache import VARIABLE, user_cache_dir
from dogsgan.errors import DogsganError
from dogsgan.files import read_json, sha256_of, write_json

if TYPE_CHECKING:
    import torch

TIMM = "timm:"
KAGGLE_INPUT = Path("/kaggle/input")
"""Where Kaggle mounts the datasets attached to a kernel."""
_TIMEOUT_S = 30.0
_TRY_AGAIN = (429, 500, 502, 503, 504)
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")


@dataclass(frozen=True)
class Release:
    """A public weights file."""

    file_name: str
    """In the cache; of timm's networks it names the network and its training."""
    url: str
    sha256: str
    """The hash, or the start of it that the file's name tells; empty where nothing tells it."""


RELEASED = {
    "public": Release(
        "pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
        "pt_inception-2015-12-05-6726825d.pth",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    "private": Release(
        "nasnetalarge-dc4a7b8b.pth",
        "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/"
        "nasnetalarge-dc4a7b8b.pth",
        "dc4a7b8b",
    ),
}
"""The competition's two networks."""


def release_of(network: str) -> Release:
    """Return the release of `public`, `private` or `timm:NAME`, whose options (`:px=128`) do not matter here.

    Of timm's networks that is timm's own address where the file's name there tells its hash, else the
    network's page at Hugging Face (`$HF_ENDPOINT` or https://huggingface.co).

    Raises:
        DogsganError: there is no such network, or no weights for it that can be read here.
    """
    if network in RELEASED:
        return RELEASED[network]
    if not network.startswith(TIMM):
        raise DogsganError(
            f"no weights are to be fetched for {network!r}: choose from {', '.join(RELEASED)} or timm:NAME"
        )
    import timm

    model = network.split(":")[1]
    configuration = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if configuration is None:
        raise DogsganError(f"timm has no network called {model!r}: `timm.list_models()` lists what it has")
    name = ".".join(part for part in (configuration.architecture, configuration.tag) if part)
    url = str(configuration.url or "")
    if told := _HASH_IN_NAME.search(url):
        return Release(f"timm-{name}{Path(url).suffix}", url, told[1])
    if configuration.hf_hub_id:
        place = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        file = configuration.hf_hub_filename or "model.safetensors"
        url = f"{place}/{configuration.hf_hub_id}/resolve/main/{file}"
        return Release(f"timm-{name}{Path(file).suffix}", url, "")
    raise DogsganError(f"timm has no weights for {model} that can be read here: give a file with --weights")


def is_released(network: str, sha256: str) -> bool:
    """Return whether `sha256` is that of the released weights of `network`, one of the competition's."""
    return sha256.startswith(RELEASED[network].sha256)


def find_weights(network: str, *, weights: Path | None = None, cache_dir: Path | None = None) -> Path:
    """Return a network's weights file: `weights` if given, else the cache's, else a Kaggle dataset's.

    A file that is found rather than named must have the released file's sha256, or where no release tells
    one, that with which it was fetched.

    Raises:
        DogsganError: there is none, or the one found is damaged.
    """
    if weights is not None:
        if not Path(weights).is_file():
            raise DogsganError(
                f"no weights file at {weights}: give the path of an existing file with --weights"
            )
        return Path(weights)
    release, fetch = release_of(network), f"dogsgan weights {':'.join(network.split(':')[:2])}"
    cache = user_cache_dir(cache_dir)
    cached = [cache / "weights" / release.file_name] if cache is not None else []
    attached = sorted(KAGGLE_INPUT.rglob(release.file_name)) if KAGGLE_INPUT.is_dir() else []
    for candidate in (*cached, *attached):
        if not os.path.isfile(candidate):  # noqa: PTH113 (False, too, where the cache may not be looked into)
            continue
        if not release.sha256 and not _record(candidate).is_file():
            continue
        if not sha256_of(candidate).startswith(release.sha256 or _recorded(candidate)):
            raise DogsganError(
                f"{candidate} does not have the sha256 of the released file: it is damaged; remove it, then "
                f"run {fetch}"
            )
        return candidate
    raise DogsganError(
        f"no weights for the network {network}: run {fetch} where there is internet, give the file with "
        f"--weights, or attach a Kaggle dataset that holds {release.file_name}; --network efficientnet-lite0 "
        "needs none, but its figure is not Kaggle's"
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
    the start of it) says otherwise. Where no release tells a hash, that of what was fetched is written beside
    the file, which is held against it from then on.

    Raises:
        DogsganError: no weights are released for `network`, the download fails, or the hash is wrong.
    """
    release = release_of(network)
    cache = user_cache_dir(cache_dir)
    if cache is None:
        raise DogsganError(f"no home folder to keep weights in: set {VARIABLE} to a folder")
    file = cache / "weights" / release.file_name
    if not release.sha256 and file.is_file() and _record(file).is_file():
        return find_weights(network, cache_dir=cache)
    source = url or release.url
    download(source, file, sha256=sha256 or release.sha256, show_progress=show_progress)
    if not release.sha256:
        write_json(_record(file), {"url": source, "sha256": sha256_of(file), "bytes": file.stat().st_size})
    return file


def _record(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def _recorded(file: Path) -> str:
    """Return the sha256 with which a file was fetched; a word that is none where the record is damaged."""
    record = read_json(_record(file))
    found = record.get("sha256") if isinstance(record, dict) else None
    return found if isinstance(found, str) and found else "damaged"


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


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    show_progress: bool = True,
    attempts: int = 4,
    pause_s: float = 1.0,
) -> Path:
    """Fetch `url` to `target`, whose sha256 must start with `sha256`, and return `target`.

    Nothing is fetched if `target` is there with that hash. A file with another hash is fetched again, as it
    may be cut short, until the same one has come twice.

    Raises:
        DogsganError: the server refuses, the connection keeps failing, the hash is wrong, or the disk is
        full.
    """
    import torch

    if not url.startswith(("https://", "http://")):
        raise DogsganError(f"cannot fetch {url}: the address should start with https://")
    if target.is_file() and sha256_of(target).startswith(sha256):
        return target
    wrong = ""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)  # torch's function takes none
    try:
        for attempt in range(attempts):
            time.sleep(pause_s * 2 ** (attempt - 1) if attempt else 0)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(target), hash_prefix=sha256, progress=show_progress)
                return target
            except RuntimeError as error:  # the hash
                if str(error) == wrong:
                    raise DogsganError(
                        f"{url} sent a file that is cut short or another one ({error}): not kept; try again "
                        "later, or fetch it elsewhere and give it with --weights"
                    ) from error
                wrong = str(error)
            except OSError as error:
                _refuse_unless_passing(error, url, target)
            except http.client.HTTPException:
                pass
    finally:
        socket.setdefaulttimeout(timeout)
    raise DogsganError(f"the connection to {url} keeps failing: run the command again")


def _refuse_unless_passing(error: OSError, url: str, target: Path) -> None:
    """Raise the line for an error that another attempt would meet again."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        if error.code not in _TRY_AGAIN:
            raise DogsganError(f"{url} answers {error.code} {error.reason}: check the address") from error
    elif isinstance(reason, (TimeoutError, ConnectionError)):
        pass
    elif isinstance(error, urllib.error.URLError):
        raise DogsganError(f"cannot reach {url} ({reason}): check the address and the network") from error
    else:
        raise DogsganError(
            f"cannot write {target} ({error.strerror or error}): free space, or set DOGSGAN_CACHE to a "
            "folder with room"
        ) from error
