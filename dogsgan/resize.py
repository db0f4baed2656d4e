"""TensorFlow 1's bilinear resize, which both networks of the competition were fed with.

An output pixel i looks at the input position i · (input size / output size): pixel corners rather than
centres are aligned, on one side only, and nothing is averaged when a picture shrinks
(`align_corners=False`, `half_pixel_centers=False` of `tf.image.resize_bilinear`). The position is computed
in float32, as TensorFlow does.
"""

import functools

import numpy as np
import torch


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
