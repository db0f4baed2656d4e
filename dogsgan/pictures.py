"""Pictures as the competition's scorer saw them: each read once, decoded and resized like TensorFlow 1.

The organisers read JPEGs through TensorFlow 1.15, which takes libjpeg's fast integer DCT with smooth chroma
upsampling and ignores EXIF's rotation. simplejpeg, told the same, gives TensorFlow's pixels bit for bit;
those of Pillow's accurate DCT are 0.8 grey levels brighter on average. Both networks were fed through
`tf.image.resize_bilinear` with `align_corners=False`, `half_pixel_centers=False`: an output pixel i looks at
the input position i · (input size / output size), in float32, and nothing is averaged when a picture shrinks.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
import simplejpeg
import torch
from PIL import __version__ as pillow_version

from dogsgan.cores import in_threads, usable_cores
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.pictures import PNG_SIGNATURE, OpenPicture, add_border, open_picture
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError, SourceChangedError

DECODING_VERSION = 1
"""To be raised when the same bytes give other pixels: cached features and views are then made anew."""

DECODERS = f"decoding {DECODING_VERSION}, simplejpeg {simplejpeg.__version__}, Pillow {pillow_version}"
"""What decides the pixels beside the bytes."""

_JPEG_START = b"\xff\xd8\xff"
_LIKE_TENSORFLOW = {"colorspace": "RGB", "fastdct": True, "fastupsample": False}
_COLOURS = ("Gray", "YCbCr", "RGB")  # TensorFlow converts CMYK by a formula of its own

PIXELS_VERSION = 2
"""To be raised when the same decoded picture reaches a network as other pixels: border, resize."""

PIXELS = f"{DECODERS}, pixels {PIXELS_VERSION}"
"""What decides the pixels that a network is given, beside the pictures' bytes and the size asked for."""

_MOST_WORKERS = 8
_IN_MEMORY_BYTES = 256 * 2**20
"""Pixels that are larger lie in a temporary file, mapped."""


@dataclass(frozen=True)
class Decoded:
    """A picture as it is stored, without EXIF's rotation."""

    pixels: np.ndarray
    """H×W×3 uint8."""
    by_pillow: bool
    """Whether it is a JPEG that only Pillow could read, so that its pixels are not the competition's."""
    orientation: int = 1
    """EXIF's 1..8, which `pixels` do not follow."""
    is_png: bool = False

    def upright(self, name: str) -> OpenPicture:
        """Return the picture for cutting: upright, as its boxes are, and not decoded again."""
        return dataclasses.replace(OpenPicture.of(self.pixels, name), orientation=self.orientation)


def decode(content: bytes, name: str) -> Decoded:
    """Decode a picture of any common format; a JPEG as the competition's scorer did.

    A JPEG that is cut short is refused, as TensorFlow refuses it; damage within one is tolerated, as there.

    Raises:
        DogsganError: the content is no picture, is cut short, or is too large; the message names the picture.
    """
    header = open_picture(content, name)
    picture = dataclasses.replace(header, orientation=1)
    if not content.startswith(_JPEG_START):
        is_png = content.startswith(PNG_SIGNATURE)
        return Decoded(np.asarray(picture.decode()[0]), False, header.orientation, is_png)
    pixels = _like_tensorflow(content, strict=True)
    if pixels is None:
        by_pillow = np.asarray(picture.decode()[0])  # raises for a file that is cut short
        pixels = _like_tensorflow(content, strict=False)
        if pixels is None or pixels.shape != by_pillow.shape:
            return Decoded(by_pillow, True, header.orientation)
    return Decoded(pixels, False, header.orientation)


def _like_tensorflow(content: bytes, *, strict: bool) -> np.ndarray | None:
    """Return a JPEG's pixels, or None where it cannot be read so; `strict` tolerates no damage."""
    try:
        _, _, colours, _ = simplejpeg.decode_jpeg_header(content, strict=strict)
        if colours not in _COLOURS:
            return None
        pixels: np.ndarray = simplejpeg.decode_jpeg(content, strict=strict, **_LIKE_TENSORFLOW)
        return pixels
    except Exception:  # decoders of hostile content raise anything
        return None


@functools.lru_cache(maxsize=64)
def _taps(size: int, new_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return, for each output pixel, two input pixels and the second one's weight in float32."""
    position = np.arange(new_size, dtype=np.float32) * np.float32(size / new_size)
    lower = np.minimum(np.floor(position).astype(np.int64), size - 1)
    upper = np.minimum(lower + 1, size - 1)
    return lower, upper, position - lower.astype(np.float32)


def tf1_resize(picture: np.ndarray, size_px: int) -> np.ndarray:
    """Return a picture, H×W×C, resized whole to size×size×C in float32 with the values' range unchanged."""
    height, width = picture.shape[:2]
    if (height, width) == (size_px, size_px):
        return picture.astype(np.float32)
    top, bottom, down = _taps(height, size_px)
    left, right, across = _taps(width, size_px)
    across = across[None, :, None]
    above, below = picture[top], picture[bottom]  # size×W×C: only the rows that are looked at
    upper = _mix(above[:, left], above[:, right], across)
    lower = _mix(below[:, left], below[:, right], across)
    return _mix(upper, lower, down[:, None, None])


def _mix(a: np.ndarray, b: np.ndarray, weight: np.ndarray) -> np.ndarray:
    first = a.astype(np.float32)
    return first + (b.astype(np.float32) - first) * weight


def tf1_resize_batch(pictures: torch.Tensor, size_px: int) -> torch.Tensor:
    """Return float32 pictures, N×C×H×W, resized to N×C×size×size: bit for bit `tf1_resize`."""
    height, width = pictures.shape[2:]
    if (height, width) == (size_px, size_px):
        return pictures
    top, bottom, down = (torch.from_numpy(value).to(pictures.device) for value in _taps(height, size_px))
    left, right, across = (torch.from_numpy(value).to(pictures.device) for value in _taps(width, size_px))
    mixed = _mix_batch(pictures[:, :, :, left], pictures[:, :, :, right], across)  # N×C×H×size
    return _mix_batch(mixed[:, :, top], mixed[:, :, bottom], down[:, None])


def _mix_batch(a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return `a + (b − a) · weight`, rounded after each step as TensorFlow does; `b` is overwritten.

    `torch.lerp` takes another formula where the weight is large, and the last digit differs.
    """
    return b.sub_(a).mul_(weight).add_(a)


T = TypeVar("T")
View: TypeAlias = Callable[[SourceImage, Decoded], T]
"""Makes something of a decoded picture; called in worker threads. A DogsganError leaves the picture out."""


class Consumer(Protocol):
    """What else is made of the pictures of a pass, such as the audit's crops of real ones."""

    def view(self, image: SourceImage, picture: Decoded) -> Any:
        """Make something of a decoded picture, in a worker thread."""

    def take(self, row: int, made: Any) -> None:
        """Take what `view` made of the source's picture `row`, in order; a DogsganError if it failed."""


@dataclass
class PictureReader:
    """One pass over a source's pictures, and what was noticed in it."""

    source: Source
    skip_unreadable: bool = True
    """Leave out a picture that cannot be decoded; else it is an error."""
    rows: list[int] = field(default_factory=list)
    """Places in the source of the pictures that were read."""
    unreadable: list[str] = field(default_factory=list)
    """One line for each picture that was left out."""
    not_png: int = 0
    """How many are in another format than PNG."""
    jpegs_by_pillow: int = 0
    """How many JPEGs were decoded by Pillow, as the competition's decoder could not read them."""
    pixels: np.ndarray | None = field(default=None, repr=False)
    """Those of generated pictures, N×S×S×3 uint8, mapped from disk where they are large."""
    _first: Decoded | None = field(default=None, repr=False)

    def __len__(self) -> int:
        """Return how many pictures there are, readable or not."""
        return len(self.source.images)

    @property
    def names(self) -> tuple[str, ...]:
        """The names in the source of the pictures that were read."""
        return tuple(self.source.images[row].name for row in self.rows)

    def side_px(self) -> int:
        """Return the pictures' side: that of the first one, which must be square and is kept for the pass.

        Raises:
            DogsganError: it cannot be decoded, or is not square.
        """
        if self.pixels is not None:
            return int(self.pixels.shape[1])
        if self.source.crop_set is not None:
            return self.source.crop_set.size_px
        image = self.source.images[0]
        if self._first is None:
            self._first = self._decoded(image)
        height, width = self._first.pixels.shape[:2]
        if width != height:
            raise DogsganError(
                f"picture {image.name} in {self.source.path} is {width}×{height} px: generated pictures must "
                "be square"
            )
        return width

    def stream(self, view: View[T], consumers: Sequence[Consumer] = ()) -> Iterator[tuple[int, T]]:
        """Yield the place in the source of each picture and what `view` makes of it, in the source's order.

        Raises:
            DogsganError: a picture cannot be decoded or viewed, and such are not left out.
            SourceChangedError: one is another than at an earlier reading.
        """

        def load(image: SourceImage) -> tuple[list[Any], T | DogsganError, bool, bool]:
            try:
                picture = self._decoded(image)
            except SourceChangedError:  # features would be kept for other contents than these
                raise
            except DogsganError as error:
                return [error] * len(consumers), error, False, False
            made = [_made(consumer.view, image, picture) for consumer in consumers]
            return made, _made(view, image, picture), picture.is_png, picture.by_pillow

        workers = min(_MOST_WORKERS, usable_cores())
        loaded = in_threads(load, self.source.images, workers=workers, ahead=64 * workers)
        for row, (made, seen, is_png, by_pillow) in enumerate(loaded):
            for consumer, its in zip(consumers, made, strict=True):
                consumer.take(row, its)
            if isinstance(seen, DogsganError):
                if not self.skip_unreadable:
                    raise seen
                self.unreadable.append(str(seen))
                continue
            self.not_png += not is_png
            self.jpegs_by_pillow += by_pillow
            self.rows.append(row)
            yield row, seen

    def feed(self, consumers: Sequence[Consumer]) -> None:
        """Read every picture for consumers alone; raise as `stream`."""
        for _ in self.stream(lambda image, picture: None, consumers):
            pass

    def _decoded(self, image: SourceImage) -> Decoded:
        if self.source.crop_set is not None:
            crop = np.asarray(self.source.crop_set.pictures[int(image.member)])
            return Decoded(crop, by_pillow=False, is_png=True)
        if self._first is not None and image is self.source.images[0]:
            first, self._first = self._first, None
            return first
        try:
            return decode(self.source.read(image), image.name)
        except DogsganError:
            raise
        except Exception as error:  # of hostile content anything may come
            raise DogsganError(
                f"picture {image.name} cannot be read ({type(error).__name__}): remove it"
            ) from error


def read_generated(source: Source | PictureReader, size_px: int | None = None) -> PictureReader:
    """Read generated pictures, which must all be squares of `size_px`, or of the first one's size.

    Raises:
        DogsganError: one cannot be decoded or has another size.
    """
    reader = source if isinstance(source, PictureReader) else PictureReader(source)
    reader.skip_unreadable = False
    size_px = size_px or reader.side_px()
    crop_set = reader.source.crop_set
    if crop_set is not None and crop_set.size_px == size_px:
        chosen = [int(image.member) for image in reader.source.images]
        reader.rows = list(range(len(chosen)))
        whole = len(chosen) == len(crop_set)
        reader.pixels = crop_set.pictures if whole else crop_set.pictures[chosen]
        return reader
    pixels = _empty((len(reader), size_px, size_px, 3))
    for row, picture in reader.stream(as_it_is(reader.source, size_px)):
        pixels[row] = picture
    reader.pixels = pixels
    return reader


def as_it_is(source: Source, size_px: int) -> View[np.ndarray]:
    """Return the view of generated pictures: S×S×3 uint8; another size than `size_px` is an error."""

    def view(image: SourceImage, picture: Decoded) -> np.ndarray:
        height, width = picture.pixels.shape[:2]
        if (height, width) != (size_px, size_px):
            raise DogsganError(
                f"picture {image.name} in {source.path} is {width}×{height} px, "
                f"expected {size_px}×{size_px}: generated pictures must all have one size"
            )
        return picture.pixels

    return view


def whole_at(source: Source, size_px: int) -> View[np.ndarray]:
    """Return the view of real pictures: whole, resized as the competition did to S×S×3 float32."""

    def view(image: SourceImage, picture: Decoded) -> np.ndarray:
        # bordered as the generator was shown them
        pixels = add_border(picture.pixels, size_px) if source.bordered else picture.pixels
        return tf1_resize(pixels, size_px)

    return view


def _empty(shape: tuple[int, ...]) -> np.ndarray:
    """Return an array of uint8, in a temporary file without a name where it is large."""
    if np.prod(shape) <= _IN_MEMORY_BYTES:
        return np.empty(shape, dtype=np.uint8)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype=np.uint8, mode="w+", shape=shape)  # the mapping outlives the file


def _made(view: View[T], image: SourceImage, picture: Decoded) -> T | DogsganError:
    try:
        return view(image, picture)
    except DogsganError as error:
        return error
