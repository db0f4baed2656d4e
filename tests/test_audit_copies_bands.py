"""Bands: what a copier cannot easily change about a picture."""

import numpy as np
import pytest
import torch
from drawn_pictures import drawn_pictures
from scipy.ndimage import gaussian_filter

from dogsgan.audit.copies.bands import Window, band, luminance, window_bands


def correlated(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten(), b.flatten())[0, 1])


def test_luminance_weighs_the_colours() -> None:
    picture = np.array([[[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]], dtype=np.uint8)
    assert luminance(picture)[0, 0, 0].tolist() == pytest.approx([76.245, 149.685, 29.07])


def test_light_and_contrast_leave_the_band_alone() -> None:
    light = luminance(drawn_pictures(1, size_px=64)).float()
    other = band(0.6 * light + 40, size_px=32, sigma=2.5)
    assert correlated(band(light, size_px=32, sigma=2.5), other) > 0.99


def test_slow_shading_leaves_the_band_alone_and_another_picture_does_not() -> None:
    light = luminance(drawn_pictures(2, size_px=64)).float()
    shaded = light[:1] + 60 * torch.linspace(-1, 1, 64)
    bands = band(torch.cat([light, shaded]), size_px=32, sigma=2.5)
    assert correlated(bands[0], bands[2]) > 0.95
    assert abs(correlated(bands[0], bands[1])) < 0.3


def test_the_blur_is_scipys() -> None:
    light = luminance(drawn_pictures(1, size_px=32)).double().numpy()[0, 0]
    small = light - gaussian_filter(light, 2.0, mode="nearest", truncate=3.0)
    wanted = small / np.sqrt(gaussian_filter(small**2, 2.0, mode="nearest", truncate=3.0) + 4.0)
    ours = band(torch.from_numpy(light).float()[None, None], size_px=32, sigma=2.0)[0, 0]
    np.testing.assert_allclose(ours, wanted, atol=1e-4)


def test_a_window_of_a_picture_is_the_whole_of_its_crop() -> None:
    pictures = drawn_pictures(8, size_px=96)
    crops = pictures[:, 24:72, 24:72]
    inner = window_bands(luminance(pictures), (Window(scale=0.5),), size_px=12, sigma=2.0)[0]
    whole = window_bands(luminance(crops), (Window(),), size_px=12, sigma=2.0)[0]
    similarity = inner @ whole.T
    assert similarity.argmax(dim=1).tolist() == list(range(8))
    assert float(similarity.diagonal().min()) > 0.6


def test_windows_are_unit_rows() -> None:
    rows = window_bands(luminance(drawn_pictures(3)), (Window(), Window(turn=0.2)), size_px=12, sigma=2.0)
    assert rows.shape == (2, 3, 144)
    torch.testing.assert_close(rows.norm(dim=2), torch.ones(2, 3))


def test_a_flat_picture_has_no_band_and_no_nan() -> None:
    flat = np.full((1, 64, 64, 3), 200, dtype=np.uint8)
    assert torch.isfinite(window_bands(luminance(flat), (Window(),), size_px=12, sigma=2.0)).all()
    assert float(band(luminance(flat), size_px=32, sigma=2.5).abs().max()) < 1e-3
