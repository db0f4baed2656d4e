"""The names of a kernel: `USER/SLUG`, or the folder that was built, whose `kernel-metadata.json` holds it."""

import re
from dataclasses import dataclass
from pathlib import Path

from dogsgan.competition import SLUG
from dogsgan.errors import DogsganError
from dogsgan.files import read_json

METADATA_FILE = "kernel-metadata.json"


@dataclass(frozen=True)
class KernelRef:
    """Names a kernel on Kaggle."""

    owner: str
    slug: str

    def __str__(self) -> str:
        return f"{self.owner}/{self.slug}"

    @property
    def url(self) -> str:
        """The page of the kernel."""
        return f"https://www.kaggle.com/code/{self}"


@dataclass(frozen=True)
class Metadata:
    """What has to be known of a kernel's folder before it is pushed."""

    path: Path
    ref: KernelRef
    title: str
    code_file: Path
    gpu: bool
    competitions: tuple[str, ...]


def parse_ref(text: str) -> KernelRef:
    """Parse `USER/SLUG` or the address of a kernel's page.

    Raises:
        DogsganError: it is neither.
    """
    name = re.sub(r"^https?://(www\.)?kaggle\.com/(code/)?", "", text.strip()).rstrip("/")
    if not re.fullmatch(r"[\w-]+/[\w-]{5,}", name, re.ASCII):
        raise DogsganError(
            f"{text!r} names no kernel: write USER/SLUG as in the address of its page (a slug has five "
            f"characters at least), or give the folder that holds its {METADATA_FILE}"
        )
    owner, slug = name.split("/")
    return KernelRef(owner, slug)


def resolve(kernel: str | Path) -> tuple[KernelRef, str]:
    """Return which kernel is meant, by a name or by its folder, and the competition that it is for.

    Raises:
        DogsganError: there is no such folder, and it is no name either.
    """
    if not Path(kernel).is_dir():
        return parse_ref(str(kernel)), SLUG
    metadata = read_metadata(Path(kernel))
    return metadata.ref, metadata.competitions[0] if metadata.competitions else SLUG


def read_metadata(folder: Path) -> Metadata:
    """Read the metadata of a kernel's folder.

    Raises:
        DogsganError: there is none, or the identifier or title is unusable.
    """
    path = Path(folder) / METADATA_FILE
    if not path.is_file():
        raise DogsganError(f"{folder} holds no {METADATA_FILE}: make the folder with `dogsgan kernel build`")
    fields = read_json(path)
    if not isinstance(fields, dict):
        raise DogsganError(f"{path} holds no JSON object: make it anew with `dogsgan kernel build`")
    try:
        ref = parse_ref(str(fields.get("id", "")))
    except DogsganError as error:
        raise DogsganError(f"`id` in {path}: {error}") from error
    return Metadata(
        path,
        ref,
        title=str(fields.get("title") or ""),
        code_file=Path(folder) / Path(str(fields.get("code_file") or "")).name,
        gpu=str(fields.get("enable_gpu")).lower() == "true",
        competitions=tuple(map(str, fields.get("competition_sources") or ())),
    )
