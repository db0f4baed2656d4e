"""Weights of timm's own networks: from where they are released, into the cache, and found there again.

Only some releases name a hash. So the hash and the size of what was fetched are written beside the file,
and a file that no longer has them is refused.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.features.download import download
from dogsgan.files import read_json, sha256_of, write_json

PREFIX = "timm:"
_HASH_IN_NAME = re.compile(r"-([0-9a-f]{8,64})\.(?:pth|pt|safetensors)$")


@dataclass(frozen=True)
class TimmRelease:
    """Where the weights of one of timm's networks are released."""

    file_name: str
    """In the cache; it names the network and its training."""
    url: str
    sha256: str
    """The start of the hash that the file's name tells; empty where it tells none."""


def release_of(network: str) -> TimmRelease:
    """Return the release of `timm:NAME`; its options (`:px=128`) do not matter here.

    That is timm's own address where the file's name there tells its hash, else the network's page at Hugging
    Face (`$HF_ENDPOINT` or https://huggingface.co).

    Raises:
        DogsganError: timm has no such network, or no weights for it that can be read here.
    """
    import timm

    model = network.removeprefix(PREFIX).split(":")[0]
    configuration = timm.get_pretrained_cfg(model) if timm.is_model(model) else None
    if configuration is None:
        raise DogsganError(f"timm has no network called {model!r}: `timm.list_models()` lists what it has")
    name = ".".join(part for part in (configuration.architecture, configuration.tag) if part)
    url = str(configuration.url or "")
    if told := _HASH_IN_NAME.search(url):
        return TimmRelease(f"timm-{name}{Path(url).suffix}", url, told[1])
    if configuration.hf_hub_id:
        place = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        file = configuration.hf_hub_filename or "model.safetensors"
        url = f"{place}/{configuration.hf_hub_id}/resolve/main/{file}"
        return TimmRelease(f"timm-{name}{Path(file).suffix}", url, "")
    raise DogsganError(f"timm has no weights for {model} that can be read here: give a file with --weights")


def fetch_timm_weights(
    network: str,
    *,
    folder: Path,
    url: str | None = None,
    sha256: str | None = None,
    show_progress: bool = True,
) -> Path:
    """Download the weights of `timm:NAME` into `folder`, unless they are there, and return the file.

    `url` names another place to fetch them from, and `sha256` the hash, or its start, that they must have.

    Raises:
        DogsganError: there are none, the download fails, or the hash is wrong.
    """
    release = release_of(network)
    if (kept := find_timm_weights(network, folder=folder)) is not None:
        return kept
    expected = release.sha256 if sha256 is None else sha256
    source = url or release.url
    file = download(source, folder / release.file_name, sha256=expected, show_progress=show_progress)
    write_json(_record(file), {"url": source, "sha256": sha256_of(file), "bytes": file.stat().st_size})
    return file


def find_timm_weights(network: str, *, folder: Path) -> Path | None:
    """Return the file that was fetched for `timm:NAME`, None where there is none.

    Raises:
        DogsganError: timm has no such network, or the file is not as it was fetched.
    """
    file = folder / release_of(network).file_name
    if not (file.is_file() and _record(file).is_file()):
        return None
    record = read_json(_record(file))
    if not isinstance(record, dict) or record.get("sha256") != sha256_of(file):
        raise DogsganError(
            f"{file} does not have the sha256 that it was fetched with: it is damaged; remove it, then run "
            f"dogsgan weights {PREFIX}{network.removeprefix(PREFIX).split(':')[0]}"
        )
    return file


def _record(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")
