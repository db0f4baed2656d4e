"""Safetensors files, read and written as bytes, because the library refuses paths that are not UTF-8."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from safetensors import SafetensorError

if TYPE_CHECKING:
    from torch import Tensor

GENERATOR_FILE = "generator.safetensors"
"""The averaged generator in a run and in its checkpoints; `models.generator_file` reads it."""


def load_file(path: Path) -> tuple[dict[str, "Tensor"], dict[str, str]]:
    """Return the tensors of a safetensors file by name, and its metadata.

    Raises:
        OSError: the file cannot be read.
        SafetensorError: it is not such a file.
    """
    import safetensors.torch  # only here: metadata are read without torch

    content = path.read_bytes()
    return safetensors.torch.load(content), _metadata(content)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a safetensors file, without its tensors; raise as `load_file`."""
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if length > path.stat().st_size:
            raise SafetensorError("its header is longer than the file")
        return _metadata(start + file.read(length))


def save_file(
    tensors: "Mapping[str, Tensor]", path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file, the same bytes as the library would."""
    import safetensors.torch

    path.write_bytes(safetensors.torch.save(dict(tensors), metadata=dict(metadata) if metadata else None))


def _metadata(content: bytes) -> dict[str, str]:
    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        return dict(header.get("__metadata__") or {})
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise SafetensorError(f"its header is damaged ({error})") from error
