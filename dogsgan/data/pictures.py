"""Opening and decoding of pictures: any common format to upright RGB, with limits. The content is untrusted.

A JPEG can be decoded at a half, a quarter or an eighth of its size for a fraction of the work; `decode` does
so where the caller needs no more pixels than that.
"""

import io
import math
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dogsgan.errors import DogsganError

_BORDER_AT_MOST = 8, 7  # how many times as wide as the picture a border makes it, as a fraction: 28 to 32


def add_border(picture: np.ndarray, size_px: int) -> np.ndarray:
    """Return an H×W×3 uint8 picture in the middle of black, as near to `size_px` as a border may bring it.

    The border stands in for enlarging up to 8/7 of each side: a 28×28 digit is 28×28 for a size of 28 and
    below, 30×30 for 30, 32×32 for 32 and above. What is then resized to `size_px` keeps its pixels from 28 to
    32, is made smaller below, and above is the picture of 32 px enlarged, so that a digit takes up 7/8 of the
    side at 32, 64 and 128 px alike. The other way in use, to enlarge 28 to 32, blurs every stroke, and a
    generator would learn the blur.
    """
    height, width = picture.shape[:2]
    framed_height, framed_width = (_framed(side, size_px) for side in (height, width))
    if (framed_height, framed_width) == (height, width):
        return picture
    top, left = (framed_height - height) // 2, (framed_width - width) // 2
    framed = np.zeros((framed_height, framed_width, *picture.shape[2:]), dtype=np.uint8)
    framed[top : top + height, left : left + width] = picture
    return framed


def _framed(side: int, size_px: int) -> int:
    return min(max(size_px, side), -(-side * _BORDER_AT_MOST[0] // _BORDER_AT_MOST[1]))


PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"))


def without_extras(content: bytes) -> bytes:
    """Return a PNG with only the chunks that decide its pixels and orientation, each as it stands.

    Text, colour profiles and animation make Pillow give up the whole picture where one is malformed or larger
    than its limit. Anything that is no PNG, or has no other chunks, is returned as it is. From where a PNG is
    damaged on, the rest is kept: the decoder has to judge it.
    """
    if not content.startswith(PNG_SIGNATURE):
        return content
    kept = [PNG_SIGNATURE]
    left_out = False
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(content):
        kind = content[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(content[position : position + 4])
        if end > len(content) or not kind.isalpha():
            break
        if kind in _NEEDED:
            kept.append(content[position:end])
        else:
            left_out = True
        position = end
        if kind == b"IEND":
            break
    return b"".join(kept) + content[position:] if left_out else content


FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # never EPS, which would run Ghostscript
SUFFIXES = frozenset(  # all that torchvision's ImageFolder and pytorch-fid take, and others of these formats
    (
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".webp", ".bmp", ".dib", ".gif"),
        *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
    )
)
_STARTS = (PNG_SIGNATURE, b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
HEAD_BYTES = 12  # as many as `starts_like_picture` looks at
MAX_PIXELS = 89_478_485  # Pillow's own default: 256 MiB of RGB
MAX_PICTURE_BYTES = 64 * 1024 * 1024

_ORIENTATION, _TIFF_WIDTH, _TIFF_HEIGHT = 0x0112, 0x0100, 0x0101  # tags
_UPRIGHT = 1
_TURNS = {  # EXIF orientation to what makes the picture upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def has_picture_suffix(name: str) -> bool:
    """Return whether a file of that name claims to be a picture."""
    base, dot, suffix = name[name.rfind("/") + 1 :].rpartition(".")
    return bool(base) and dot + suffix.lower() in SUFFIXES


def starts_like_picture(head: bytes) -> bool:
    """Return whether content that begins so is in a picture format, whatever its name says."""
    return head.startswith(_STARTS) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")


@dataclass(frozen=True)
class OpenPicture:
    """A picture whose header has been read and whose pixels have not."""

    name: str
    stored_size: tuple[int, int]  # width and height in px, before EXIF's rotation
    orientation: int  # EXIF's 1..8; 1 is upright as stored
    _image: Image.Image

    @classmethod
    def of(cls, pixels: np.ndarray, name: str) -> "OpenPicture":
        """Return a picture that is decoded already, from H×W×3 uint8."""
        image = Image.fromarray(pixels)
        return cls(name, image.size, _UPRIGHT, image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px, upright."""
        return self.stored_size if self.orientation < 5 else self.stored_size[::-1]

    def decode(self, *, min_size: tuple[int, int] | None = None) -> tuple[Image.Image, int]:
        """Decode once to upright RGB; return the picture and by how much it was reduced: 1, 2, 4 or 8.

        With `min_size` (width, height in px) a JPEG is decoded at the smallest scale that is still at least
        that big. A column x of the full picture is then at x / reduction.

        Raises:
            DogsganError: the pixels cannot be decoded.
        """
        reduction = 1
        try:
            # A rotated picture is never reduced: its padded last column would become the first.
            if (
                min_size is not None
                and self.orientation == _UPRIGHT
                and self._image.format in ("JPEG", "MPO")
            ):
                drafted = self._image.draft(None, min_size)
                if drafted is not None:
                    reduction = round(self.size[0] / drafted[1][2])
            rgb = _as_rgb(self._image)
            if reduction == 1 and rgb.size != self.stored_size:
                raise ValueError(f"{rgb.width}×{rgb.height} px, not {self.stored_size} as its header says")
            return turned_upright(rgb, self.orientation), reduction
        except Exception as error:  # decoders of hostile content raise anything
            raise _undecodable(self.name, error) from error


def open_picture(content: bytes, name: str) -> OpenPicture:
    """Read a picture's header. `name` is only used in messages: the format is told from the content.

    Raises:
        DogsganError: no bytes, not a picture, or more than `MAX_PIXELS` pixels.
    """
    if not content:
        raise DogsganError(f"picture {name} is empty (0 bytes): replace or remove it")
    try:
        image = Image.open(io.BytesIO(without_extras(content)), formats=FORMATS)
        size, orientation = _size(image), _orientation(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(name) from error
    except Image.UnidentifiedImageError as error:
        raise DogsganError(f"picture {name} is in no format known here: replace or remove it") from error
    except Exception as error:  # decoders of hostile content raise anything
        raise _undecodable(name, error) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_large(name)
    return OpenPicture(name=name, stored_size=size, orientation=orientation, _image=image)


def turned_upright(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture as EXIF's `orientation`, 1..8, says that it is to be seen."""
    return picture if orientation == _UPRIGHT else picture.transpose(_TURNS[orientation])


def decode_picture(content: bytes, name: str, *, min_size: tuple[int, int] | None = None) -> Image.Image:
    """Decode a picture of any common format to upright RGB.

    Transparency is laid over white, 16 bits are scaled to 8, EXIF's rotation is applied. With `min_size`
    (width, height in px) the result may be smaller than the original, but not smaller than that.

    Raises:
        DogsganError: the content is no picture, is cut short, or is too large; the message names the picture.
    """
    picture, _ = open_picture(content, name).decode(min_size=min_size)
    return picture


def in_colour(pixels: np.ndarray) -> np.ndarray:
    """Return pixels, …×C with C of 1 or 3, with three channels: a view, which may not be written to."""
    return np.broadcast_to(pixels, (*pixels.shape[:-1], 3))


def _size(image: Image.Image) -> tuple[int, int]:
    """Return width and height as decoding gives them: Pillow turns TIFF, old ones only the pixels."""
    if image.format != "TIFF":
        return image.size
    tags = image.getexif()
    size = tags[_TIFF_WIDTH], tags[_TIFF_HEIGHT]
    return size[::-1] if tags.get(_ORIENTATION, _UPRIGHT) in (5, 6, 7, 8) else size


def _orientation(image: Image.Image) -> int:
    if image.format == "TIFF" or "exif" not in image.info:  # Pillow turns TIFF by itself
        return _UPRIGHT
    try:
        orientation = image.getexif().get(_ORIENTATION, _UPRIGHT)
    except Exception:  # a broken EXIF block does not make the pixels unreadable
        return _UPRIGHT
    return orientation if orientation in _TURNS else _UPRIGHT


def _as_rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith("I"):
        return _from_deep_grey(image)
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_deep_grey(image: Image.Image) -> Image.Image:
    """Scale 16-bit grey to 8 bits; Pillow's own `convert` would clip everything above 255 to white."""
    deep = np.asarray(image).astype(np.int64).clip(0, 65535)
    return Image.fromarray((deep >> 8).astype(np.uint8)).convert("RGB")


def _too_large(name: str) -> DogsganError:
    return DogsganError(
        f"picture {name} has more than {math.floor(MAX_PIXELS / 1e6)} million pixels: scale it down"
    )


def _undecodable(name: str, error: Exception) -> DogsganError:
    detail = str(error)[:120] or type(error).__name__
    return DogsganError(f"picture {name} cannot be decoded ({detail}): replace or remove it")
