"""idx files: what is announced is what is read, and nothing that a file holds raises more than one line."""

import gzip
import math
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dogsgan.data.layouts.digits import IdxName, parse_idx, parse_idx_name, starts_like_idx
from dogsgan.errors import DogsganError


def idx(array: np.ndarray) -> bytes:
    """Write an idx file, as the format's description says."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def digits(count: int = 4, *, height: int = 28, width: int = 28, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, height, width), dtype=np.uint8)


@given(
    shape=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    seed=st.integers(0, 2**32 - 1),
    packed=st.booleans(),
)
def test_what_was_written_is_read(shape: list[int], seed: int, packed: bool) -> None:
    array = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    content = gzip.compress(idx(array)) if packed else idx(array)
    read = parse_idx(content, "x", dimensions=array.ndim)
    assert read.dtype == np.uint8
    assert np.array_equal(read, array)
    assert starts_like_idx(content)


@settings(deadline=None, max_examples=200)
@given(
    cut=st.integers(0, 130),
    junk=st.binary(max_size=6),
    at=st.integers(0, 130),
    packed=st.booleans(),
)
def test_a_damaged_file_is_read_as_it_was_announced_or_refused(
    cut: int, junk: bytes, at: int, packed: bool
) -> None:
    whole = idx(digits(3, height=5, width=6))
    content = gzip.compress(whole) if packed else whole
    content = content[: min(at, cut)] + junk + content[min(at, cut) + len(junk) : len(content) - cut % 7]
    try:
        read = parse_idx(content, "x", dimensions=3)
    except DogsganError:
        return
    assert read.nbytes == math.prod(read.shape) > 0
    if not packed:
        assert idx(read) == content


@given(st.binary(max_size=40), st.integers(1, 4))
def test_any_bytes_are_refused_or_exactly_an_idx_file(content: bytes, dimensions: int) -> None:
    try:
        read = parse_idx(content, "x", dimensions=dimensions)
    except DogsganError:
        return
    assert idx(read) == content


CASES = {
    "empty": (b"", "no idx file"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "no idx file"),
    "half a header": (idx(digits())[:9], "within its header"),
    "int32": (struct.pack(">BBBB3I", 0, 0, 12, 3, 1, 1, 1) + bytes(4), "0x0c, not bytes"),
    "labels": (idx(np.zeros(5, np.uint8)), "labels"),
    "short": (idx(digits())[:-1], "4 × 28 × 28 values and holds only 3,135"),
    "long": (idx(digits()) + b"\0", "holds more"),
    "none": (struct.pack(">BBBB3I", 0, 0, 8, 3, 0, 28, 28), "0 × 28 × 28"),
    "billions": (struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "no genuine idx file"),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_each_refusal_says_what_is_wrong(case: str, packed: bool) -> None:
    content, said = CASES[case]
    with pytest.raises(DogsganError) as caught:
        parse_idx(gzip.compress(content) if packed else content, "digits/train-images", dimensions=3)
    assert said in str(caught.value)
    assert "digits/train-images" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_cut_gzip_and_a_wrong_checksum_are_refused() -> None:
    content = gzip.compress(idx(digits()))
    flipped = content[:-6] + bytes([content[-6] ^ 1]) + content[-5:]  # in the checksum
    for broken in (content[:-20], content[:12], flipped):
        with pytest.raises(DogsganError, match="x cannot be unpacked"):
            parse_idx(broken, "x", dimensions=3)


def test_a_bomb_is_not_unpacked_beyond_what_it_announces() -> None:
    bomb = gzip.compress(idx(digits()) + bytes(200 * 2**20))
    tracemalloc.start()
    with pytest.raises(DogsganError, match="holds more"):
        parse_idx(bomb, "x", dimensions=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_names_say_what_a_file_holds() -> None:
    assert parse_idx_name("raw/train-images-idx3-ubyte.gz") == IdxName("raw", "train", "images")
    assert parse_idx_name("t10k-labels.idx1-ubyte") == IdxName(".", "t10k", "labels")
    assert parse_idx_name("a/t10k-labels-idx1-ubyte/t10k-labels-idx1-ubyte") == IdxName("a", "t10k", "labels")
    emnist = IdxName(".", "emnist-letters-train", "images")
    assert parse_idx_name("emnist-letters-train-images-idx3-ubyte") == emnist
    assert parse_idx_name("train-images.png") is None
    assert parse_idx_name("train-images-idx3-ubyte.zip") is None
