"""Pictures decoded as the competition's scorer decoded them: the one decoder of the score and the audit.

The organisers read JPEGs through TensorFlow 1.15, which takes libjpeg's fast integer DCT with smooth chroma
upsampling and ignores EXIF's rotation. simplejpeg, told the same, gives TensorFlow's pixels bit for bit.
Pillow takes the accurate DCT: its pixels are 0.8 grey levels brighter on average.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import __version__ as pillow_version

from dogsgan.data.pictures import PNG_SIGNATURE, OpenPicture, open_picture

VERSION = 1
"""To be raised when the same bytes give other pixels: cached features and views are then made anew."""

DECODERS = f"decoding {VERSION}, simplejpeg {simplejpeg.__version__}, Pillow {pillow_version}"
"""What decides the pixels beside the bytes."""

_JPEG_START = b"\xff\xd8\xff"
_LIKE_TENSORFLOW = {"colorspace": "RGB", "fastdct": True, "fastupsample": False}
_COLOURS = ("Gray", "YCbCr", "RGB")  # TensorFlow converts CMYK by a formula of its own


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
