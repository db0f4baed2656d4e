"""Pictures of a source in batches, decoded ahead in threads while the network works on the batch before."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from dogsgan.cores import usable_cores
from dogsgan.data.borders import add_border
from dogsgan.data.pictures import decode_picture
from dogsgan.data.sources import Source, SourceImage
from dogsgan.errors import DogsganError
from dogsgan.scoring.resize import tf1_resize

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
        for name, picture in self._pictures():
            pictures.append(picture)
            names.append(name)
            if len(pictures) == batch_size:
                yield np.stack(pictures), names
                pictures, names = [], []
        if pictures:
            yield np.stack(pictures), names

    def _pictures(self) -> Iterator[tuple[str, np.ndarray]]:
        if self.source.crop_set is not None:
            crops = self.source.crop_set.pictures
            for image in self.source.images:
                yield image.name, self._fitted(np.asarray(crops[int(image.member)]), image.name)
            return
        for image, result in _in_threads(self._load, self.source.images):
            if isinstance(result, DogsganError):
                if not self.skip_unreadable:
                    raise result
                self.unreadable.append(str(result))
                continue
            picture, is_png = result
            self.not_png += not is_png
            yield image.name, picture

    def _load(self, image: SourceImage) -> tuple[np.ndarray, bool] | DogsganError:
        try:
            content = self.source.read(image)
            picture = np.asarray(decode_picture(content, image.name))
        except DogsganError as error:
            return error
        return self._fitted(picture, image.name), content.startswith(_PNG_SIGNATURE)

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
    width, height = decode_picture(source.read(image), image.name).size
    if width != height:
        raise DogsganError(
            f"picture {image.name} in {source.path} is {width}×{height} px: generated pictures must be square"
        )
    return width


_Loaded: TypeAlias = tuple[np.ndarray, bool] | DogsganError


def _in_threads(
    load: Callable[[SourceImage], _Loaded], images: list[SourceImage]
) -> Iterator[tuple[SourceImage, _Loaded]]:
    """Yield each image with what `load` made of it, in order, while threads work a few dozen ahead."""
    workers = min(8, usable_cores())
    waiting: deque[tuple[SourceImage, Future[_Loaded]]] = deque()
    remaining = iter(images)
    with ThreadPoolExecutor(workers) as pool:
        try:
            for image in itertools.islice(remaining, 64 * workers):
                waiting.append((image, pool.submit(load, image)))
            while waiting:
                image, future = waiting.popleft()
                yield image, future.result()
                for following in itertools.islice(remaining, 1):
                    waiting.append((following, pool.submit(load, following)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
