"""Small grey pictures in a border: 28×28 digits become 32×32 without being blurred."""

import numpy as np

MOST = 8, 7  # how many times as wide as the picture a border makes it, as a fraction: 28 to 32


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
    return min(max(size_px, side), -(-side * MOST[0] // MOST[1]))
