"""Pictures of a source in batches, decoded ahead in threads while the network works on the batch before."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

import numpy as np

from dogsgan.cores import usable_cores
from dogsgan.data.borders import add_border
from dogsgan.data.sources import Source, SourceImage
from dogsgan.decoding import DECODERS, decode
from dogsgan.errors import DogsganError
from dogsgan.resize import tf1_resize

VERSION = 2
"""To be raised when the same decoded picture reaches a network as other pixels: border, resize."""

PIXELS = f"{DECODERS}, pixels {VERSION}"
"""What decides the pixels that a network is given, beside the pictures' bytes and the size asked for."""

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass
class PictureStream:
    """The pictures of a source, each N×size×size×3, and what was noticed while they were read."""

    source: Source
    size_px: int
    resize: bool
    """Resize every picture whole to `size_px`; else a picture of another size is an error."""
    skip_unreadable: bool
    """Leave out a picture that cannot be decoded; else it is an error."""
    unreadable: list[str] = field(default_factory=list)
    """One line for each picture left out so far."""
    not_png: int = 0
    """How many pictures so far were in another format than PNG."""
    jpegs_by_pillow: int = 0
    """How many JPEGs so far were decoded by Pillow, as the competition's decoder cannot read them."""
    rows: list[int] = field(default_factory=list)
    """Which pictures of the source were yielded so far, by their place in it."""

    def __len__(self) -> int:
        """Return how many pictures there are, readable or not."""
        return len(self.source.images)

    def batches(self, batch_size: int) -> Iterator[tuple[np.ndarray, list[str]]]:
        """Yield pictures, N×size×size×3 uint8 or float32 in 0..255, with their names, in the source's order.

        Raises:
            DogsganError: a picture cannot be decoded or has the wrong size, and that was not to be mended.
        """
        pictures: list[np.ndarray] = []
        names: list[str] = []
        for row, picture in self._pictures():
            self.rows.append(row)
            pictures.append(picture)
            names.append(self.source.images[row].name)
            if len(pictures) == batch_size:
                yield np.stack(pictures), names
                pictures, names = [], []
        if pictures:
            yield np.stack(pictures), names

    def _pictures(self) -> Iterator[tuple[int, np.ndarray]]:
        """Yield each picture after its place in the source."""
        if self.source.crop_set is not None:
            crops = self.source.crop_set.pictures
            for row, image in enumerate(self.source.images):
                yield row, self._fitted(np.asarray(crops[int(image.member)]), image.name)
            return
        for row, result in enumerate(_in_threads(self._load, self.source.images)):
            if isinstance(result, DogsganError):
                if not self.skip_unreadable:
                    raise result
                self.unreadable.append(str(result))
                continue
            self.not_png += not result.is_png
            self.jpegs_by_pillow += result.by_pillow
            yield row, result.picture

    def _load(self, image: SourceImage) -> "_Loaded":
        try:
            content = self.source.read(image)
            decoded = decode(content, image.name)
        except DogsganError as error:
            return error
        except Exception as error:  # of hostile content anything may come
            return DogsganError(f"picture {image.name} cannot be read ({type(error).__name__}): remove it")
        picture = self._fitted(decoded.pixels, image.name)
        return _Picture(picture, content.startswith(_PNG_SIGNATURE), decoded.by_pillow)

    def _fitted(self, picture: np.ndarray, name: str) -> np.ndarray:
        height, width = picture.shape[:2]
        if self.resize:
            if self.source.bordered:  # as the generator was shown them
                picture = add_border(picture, self.size_px)
            return tf1_resize(picture, self.size_px)
        if (height, width) != (self.size_px, self.size_px):
            raise DogsganError(
                f"picture {name} in {self.source.path} is {width}×{height} px, "
                f"expected {self.size_px}×{self.size_px}: generated pictures must all have one size"
            )
        return picture


def size_of_first(source: Source) -> int:
    """Return the side in px of a source's first picture, which must be square.

    Raises:
        DogsganError: it cannot be decoded, or is not square.
    """
    if source.crop_set is not None:
        return source.crop_set.size_px
    image = source.images[0]
    height, width = decode(source.read(image), image.name).pixels.shape[:2]
    if width != height:
        raise DogsganError(
            f"picture {image.name} in {source.path} is {width}×{height} px: generated pictures must be square"
        )
    return width


class _Picture(NamedTuple):
    """A picture that was read, S×S×3, and what its file was."""

    picture: np.ndarray
    is_png: bool
    by_pillow: bool


_Loaded: TypeAlias = _Picture | DogsganError


def _in_threads(load: Callable[[SourceImage], _Loaded], images: list[SourceImage]) -> Iterator[_Loaded]:
    """Yield what `load` made of each image, in order, while threads work a few dozen ahead."""
    workers = min(8, usable_cores())
    waiting: deque[Future[_Loaded]] = deque()
    remaining = iter(images)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for image in itertools.islice(remaining, 64 * workers):
                waiting.append(pool.submit(load, image))
            while waiting:
                yield waiting.popleft().result()
                for following in itertools.islice(remaining, 1):
                    waiting.append(pool.submit(load, following))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
