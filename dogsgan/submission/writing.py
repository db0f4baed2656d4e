"""Pictures ─▶ images.zip as a stream: encoded by several threads, written in order, no folder in between."""

import io
import json
import time
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dogsgan.cores import in_threads, usable_cores
from dogsgan.data.storage import GENERATED_FILE
from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, is_occupied

CHUNK = 64  # pictures that a thread encodes at a time
ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip can hold: the same bytes on any day


@dataclass(frozen=True)
class SubmissionReport:
    """What was written: the zip, how many pictures, how long it took (sampling included), and its size."""

    path: Path
    count: int
    seconds: float
    bytes: int
    images_seen: int | None = None
    """What the generator was trained on; None where that is not known."""
    failed: tuple[str, ...] = ()
    """A line for each thing that was asked for beside the zip and could not be written."""

    @property
    def untrained(self) -> bool:
        """Whether the generator has learned nothing: its pictures are noise."""
        return self.images_seen == 0

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**asdict(self), "path": str(self.path), "untrained": self.untrained}

    def summary(self) -> str:
        """Return one line for people."""
        said = f"{self.path}: {self.count} pictures, {self.bytes / 1e6:.1f} MB, in {self.seconds:.1f} s"
        return f"{said}; WORTHLESS: the generator is untrained, they are noise" if self.untrained else said


def write_submission(
    pictures: Iterable[np.ndarray],
    path: Path,
    *,
    count: int,
    workers: int | None = None,
    names: Sequence[str] | None = None,
) -> SubmissionReport:
    """Write exactly `count` pictures as PNGs into the zip `path`.

    They are called `00000.png`, `00001.png`, …, or by `names`.

    `pictures` yields uint8 batches B×H×W×3 (saved as RGB) or B×H×W×1 (saved as 8-bit grey), all of one size;
    the caller may fill a batch anew once the next one is asked for. The bytes depend on the pictures alone,
    not on `workers` (default: every CPU this process may use), the batch size or the date. Nothing stands
    under `path` before the zip is complete; an exception, a keyboard interrupt included, leaves what was
    there before. Memory holds a few chunks of pictures at a time.

    Raises:
        DogsganError: `pictures` yields more or fewer than `count`, or something other than such batches; the
            disk is full, or the folder cannot be written to.
    """
    path, start = Path(path), time.monotonic()
    encoded = _named_pngs(pictures, path, count, workers, names)
    with atomic_path(path) as partial:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:  # PNGs are deflated already
            for name, png in encoded:
                archive.writestr(_entry(name), png)
        size = partial.stat().st_size
    return SubmissionReport(path, count, time.monotonic() - start, size)


def write_folder(
    pictures: Iterable[np.ndarray],
    folder: Path,
    *,
    count: int,
    workers: int | None = None,
    names: Sequence[str] | None = None,
) -> SubmissionReport:
    """Write exactly `count` pictures as PNGs into a new folder; arguments and errors as `write_submission`.

    A file beside them marks the folder, so that it is not taken for training pictures where it is in some.

    Raises:
        DogsganError: `folder` is there and not empty, or as `write_submission`; it is as it was then.
    """
    folder, start, size = Path(folder), time.monotonic(), 0
    refuse_full_folder(folder)
    encoded = _named_pngs(pictures, folder, count, workers, names)
    with atomic_path(folder) as partial:
        partial.mkdir()
        for name, png in encoded:
            size += (partial / name).write_bytes(png)
        (partial / GENERATED_FILE).write_text(json.dumps({"count": count}) + "\n")
    return SubmissionReport(folder, count, time.monotonic() - start, size)


def refuse_full_folder(folder: Path) -> None:
    """Refuse to write pictures to something that is there already.

    Raises:
        DogsganError: `folder` is a file, or a folder that holds anything.
    """
    if is_occupied(folder):
        raise DogsganError(f"{folder} is there already and not empty: name a new folder for the pictures")


def _named_pngs(
    pictures: Iterable[np.ndarray], path: Path, count: int, workers: int | None, names: Sequence[str] | None
) -> Iterator[tuple[str, bytes]]:
    """Check what was asked for, and return the names and PNGs, `count` in all."""
    if count < 1:
        raise DogsganError(f"cannot write {count} pictures to {path}: ask for at least 1")
    if workers is not None and workers < 1:
        raise DogsganError(f"cannot write {path} with {workers} workers: use at least 1")
    pngs = _encoded(_counted_chunks(pictures, path, count), workers or usable_cores())
    return zip(names or picture_names(count), pngs, strict=True)


def picture_names(count: int) -> Iterator[str]:
    """Yield the names of `count` pictures in a submission, which sort as they are numbered."""
    digits = max(5, len(str(count - 1)))
    return (f"{index:0{digits}d}.png" for index in range(count))


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, ZIP_EPOCH)
    entry.create_system = 3  # Unix, whatever this runs on: the same bytes everywhere
    entry.external_attr = 0o100644 << 16
    return entry


def _counted_chunks(pictures: Iterable[np.ndarray], path: Path, count: int) -> Iterator[np.ndarray]:
    """Cut the batches into chunks with memory of their own, and insist on `count` pictures of one shape."""
    seen = 0
    shape: tuple[int, ...] | None = None
    for batch in pictures:
        batch = np.asarray(batch)
        _check_batch(batch, path, shape)
        shape = batch.shape[1:]
        seen += len(batch)
        if seen > count:
            raise DogsganError(f"{path} not written: more than {count} pictures came; give exactly that many")
        for first in range(0, len(batch), CHUNK):
            yield batch[first : first + CHUNK].copy()  # in C order
    if seen < count:
        raise DogsganError(f"{path} not written: {seen} of {count} pictures came; give exactly that many")


def _check_batch(batch: np.ndarray, path: Path, shape: tuple[int, ...] | None) -> None:
    if batch.dtype != np.uint8 or batch.ndim != 4 or batch.shape[3] not in (1, 3) or 0 in batch.shape[1:3]:
        got = f"{batch.dtype} {'×'.join(map(str, batch.shape))}"
        raise DogsganError(f"{path} not written: a batch is {got}; give uint8 batches B×H×W×3 or B×H×W×1")
    if shape not in (None, batch.shape[1:]):
        raise DogsganError(f"{path} not written: pictures {shape} and {batch.shape[1:]} mixed; give one size")


def _encoded(chunks: Iterable[np.ndarray], workers: int) -> Iterator[bytes]:
    """Yield each picture's PNG in order. A few chunks are encoded while the next batch is being made."""
    for pngs in in_threads(_encode_chunk, chunks, workers=workers, ahead=2 * workers + 1):
        yield from pngs


def _encode_chunk(chunk: np.ndarray) -> list[bytes]:
    return [encode_png(picture) for picture in chunk]


def encode_png(picture: np.ndarray) -> bytes:
    """Return one uint8 picture, H×W×3 or H×W×1 in C order, as an 8-bit PNG without metadata.

    In the filtered rows of photographs zlib's run-length strategy saves as much as its full search does, in
    about four fifths of the time: `scripts/bench_zip.py` measures both.
    """
    buffer = io.BytesIO()
    image = Image.fromarray(picture[:, :, 0] if picture.shape[2] == 1 else picture)
    image.save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()
