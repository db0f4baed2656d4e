"""Pictures that are like photographs to a hash: random, with detail at every scale."""

import io

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter


def drawn_pictures(count: int, *, size_px: int = 32, seed: int = 0) -> np.ndarray:
    """Return N×S×S×3 uint8 pictures of clouds, none like another."""
    random = np.random.default_rng(seed)
    pictures = np.full((count, size_px, size_px, 3), 128.0)
    for sigma in (1.0, 2.5, 6.0):
        noise = random.standard_normal(pictures.shape)
        clouds = gaussian_filter(noise, (0, sigma, sigma, 0))
        pictures += 30 * clouds / clouds.std()
    return pictures.clip(0, 255).astype(np.uint8)


def saved_as_jpeg(picture: np.ndarray, *, quality: int) -> np.ndarray:
    """Return a picture as a JPEG gives it back."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def halved_and_back(picture: np.ndarray) -> np.ndarray:
    """Return a picture scaled to half its size and back."""
    size_px = picture.shape[0]
    small = Image.fromarray(picture).resize((size_px // 2, size_px // 2), Image.Resampling.BILINEAR)
    return np.asarray(small.resize((size_px, size_px), Image.Resampling.BICUBIC))
