"""The search in pixels: the bands that it compares, and the wide net."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from copied import training_clouds, unseen_clouds, views_of
from drawn_pictures import drawn_pictures
from PIL import Image
from scipy.ndimage import gaussian_filter

from dogsgan.audit.search import Window, band, find_candidates, luminance, window_bands

SIDE = 64
TRAINING = training_clouds()


def cropped(picture: np.ndarray, side: int, left: int, top: int) -> np.ndarray:
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))


@pytest.mark.parametrize(
    "copy",
    [
        lambda picture: picture,
        lambda picture: picture[:, ::-1],
        lambda picture: picture[::-1],
        lambda picture: np.rot90(picture),
        lambda picture: cropped(picture, 54, 9, 1),
        lambda picture: cropped(picture, 45, 0, 19)[:, ::-1],
        lambda picture: np.roll(picture, (6, -6), (0, 1)),
        lambda picture: np.asarray(Image.fromarray(picture).rotate(10, Image.Resampling.BILINEAR)),
    ],
    ids=["exact", "flip", "head over", "on its side", "crop", "half, mirrored", "shift", "turn"],
)
def test_a_copy_is_among_the_candidates(copy: Callable[[np.ndarray], np.ndarray]) -> None:
    copies = np.stack([copy(picture) for picture in TRAINING[:12]])
    found = find_candidates(copies, views_of(TRAINING), coarse=5, fine=2)
    assert all(row in found.view[row] for row in range(12))


def test_the_transform_says_where_the_copy_lies() -> None:
    found = find_candidates(cropped(TRAINING[3], 45, 0, 19)[None], views_of(TRAINING), coarse=1, fine=1)
    assert found.view[0, 0] == 3
    assert not found.mirrored[0, 0]
    left, top = (found.transform[0, 0] @ [-1, -1, 1])[:2]
    assert left == pytest.approx(-1, abs=0.12)
    assert top == pytest.approx(19 / 32 - 1, abs=0.12)


def test_a_mirrored_copy_is_told_and_its_transform_is_that_of_the_mirrored_view() -> None:
    copy = cropped(TRAINING[3], 45, 0, 19)[None, :, ::-1]
    found = find_candidates(copy, views_of(TRAINING), coarse=1, fine=1)
    assert found.view[0, 0] == 3
    assert found.mirrored[0, 0]
    right, top = (found.transform[0, 0] @ [1, -1, 1])[:2]
    assert right == pytest.approx(1, abs=0.12)  # what was on the left is on the right of the mirrored view
    assert top == pytest.approx(19 / 32 - 1, abs=0.12)


def test_both_parts_of_a_blend_are_found() -> None:
    blend = (TRAINING[5].astype(float) / 2 + TRAINING[9] / 2).astype(np.uint8)
    found = find_candidates(blend[None], views_of(TRAINING), coarse=2, fine=3)
    assert {5, 9} <= set(found.view[0])


def test_a_picture_does_not_meet_its_own_group() -> None:
    groups = np.arange(len(TRAINING))
    groups[7] = 4
    found = find_candidates(
        TRAINING[[4, 7, 8]],
        views_of(TRAINING),
        own_group=np.array([4, 4, -1]),
        group_of_picture=groups,
    )
    assert not np.isin(found.view[:2], [4, 7]).any()
    assert 8 in found.view[2]


def test_fewer_views_than_asked_for_leave_gaps() -> None:
    found = find_candidates(unseen_clouds(2), views_of(TRAINING[:3]), coarse=5, fine=5)
    assert found.view.shape == (2, 10)
    assert (np.sort(found.view[:, :5], axis=1) == [-1, -1, 0, 1, 2]).all()
    assert np.isfinite(found.transform).all()


def test_blocks_do_not_change_what_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = unseen_clouds(9)
    once = find_candidates(pictures, views_of(TRAINING), coarse=4, fine=3)
    monkeypatch.setattr("dogsgan.audit.search.VIEWS_AT_ONCE", 7)
    monkeypatch.setattr("dogsgan.audit.search._QUERIES_AT_ONCE", 4)
    in_blocks = find_candidates(pictures, views_of(TRAINING), coarse=4, fine=3)
    assert (once.view == in_blocks.view).all()
    np.testing.assert_allclose(once.transform, in_blocks.transform)


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
