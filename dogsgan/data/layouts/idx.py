"""The idx format of MNIST's files: bytes in, checked array out. The content is untrusted.

Two zero bytes, a type (8 is uint8), the number of dimensions, each dimension as a big-endian uint32, then the
values; often gzipped. Source: the description on MNIST's own page, yann.lecun.com/exdb/mnist.
"""

import gzip
import io
import math
import re
import struct
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from dogsgan.errors import DogsganError

MAX_IDX_BYTES = 2**30  # the largest of MNIST's kin, EMNIST byclass, unpacks to 547 MB
_TYPE_UINT8 = 8
_GZIP = b"\x1f\x8b"
_NAME = re.compile(r"(?P<set>.*?)-?(?P<content>images|labels)[-.]idx[0-9]-ubyte(\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class IdxName:
    """What the path of an idx file says: `train-images-idx3-ubyte.gz` holds the images of the set train."""

    folder: str
    set_name: str
    content: str  # images or labels


def parse_idx_name(member: str) -> IdxName | None:
    """Return what a path with `/` says, or None where its name is not as MNIST's files are called.

    A file in a folder of its own name (so one of Kaggle's copies has them) counts as beside that folder.
    """
    if "-ubyte" not in member.lower():  # almost every file of almost every source
        return None
    path = PurePosixPath(member)
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    folder = path.parent.parent if path.parent.name == path.name else path.parent
    return IdxName(str(folder), match["set"], match["content"].lower())


def starts_like_idx(head: bytes) -> bool:
    """Return whether a file that begins so is an idx file of bytes, or gzipped as one may be."""
    return head.startswith((_GZIP, bytes((0, 0, _TYPE_UINT8))))


def parse_idx(content: bytes, name: str, *, dimensions: int) -> np.ndarray:
    """Read an idx file, gzipped or not, to a uint8 array of that many dimensions, none of them 0.

    `name` is only used in messages. No more is unpacked than the header announces, and no more than
    `MAX_IDX_BYTES`.

    Raises:
        DogsganError: another magic, type or number of dimensions, or longer or shorter than announced.
    """
    header_bytes = 4 + 4 * dimensions
    with io.BytesIO(content) as packed:
        file = gzip.GzipFile(fileobj=packed) if content.startswith(_GZIP) else packed
        shape = _shape(_read(file, header_bytes, name), name, dimensions)
        announced = math.prod(shape)
        if not 0 < announced <= MAX_IDX_BYTES:
            raise DogsganError(
                f"{name} announces {' × '.join(map(str, shape))} values: no genuine idx file does; replace it"
            )
        values = _read(file, announced, name)
        more = _read(file, 1, name)  # and with it gzip's own checksum
    if len(values) < announced or more:
        found = f"only {len(values):,}" if not more else "more than that"
        raise DogsganError(
            f"{name} announces {' × '.join(map(str, shape))} values and holds {found}: download it again"
        )
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _shape(header: bytes, name: str, dimensions: int) -> tuple[int, ...]:
    if len(header) < 4 or header[:2] != b"\0\0":
        raise DogsganError(
            f"{name} is no idx file (it begins with {header[:4].hex(' ') or 'nothing'}): download it again"
        )
    if header[2] != _TYPE_UINT8:
        raise DogsganError(
            f"{name} holds values of type {header[2]:#04x}, not bytes (0x08): convert it, or give pictures"
        )
    if header[3] != dimensions:
        kinds = {1: "labels", 3: "grey pictures"}
        raise DogsganError(
            f"{name} has {header[3]} dimension(s), and {kinds[dimensions]} have {dimensions}: "
            f"it holds {kinds.get(header[3], 'something else')}; put the right file in its place"
        )
    if len(header) < 4 + 4 * dimensions:
        raise DogsganError(f"{name} ends within its header: download it again")
    return struct.unpack(f">{dimensions}I", header[4:])


def _read(file: gzip.GzipFile | io.BytesIO, count: int, name: str) -> bytes:
    try:
        return file.read(count)
    except Exception as error:  # gzip of hostile content raises anything
        raise DogsganError(f"{name} cannot be unpacked ({error}): download it again") from error
