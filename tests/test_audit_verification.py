"""Alignment and verification: candidates put to the proof."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from copied import training_clouds, unseen_clouds, views_of
from drawn_pictures import saved_as_jpeg
from PIL import Image
from scipy import ndimage

from dogsgan.audit.overlay import with_partners
from dogsgan.audit.search import find_candidates, luminance
from dogsgan.audit.verification import (
    FINE_PX,
    Verified,
    multiple_correlation,
    picture_bands,
    refine,
    verify,
    warp,
)
from dogsgan.data.drawn.digits import draw_digit
from dogsgan.data.pictures import add_border

SIDE = 64
TRAINING = training_clouds()
VIEWS = views_of(TRAINING)


def verified(pictures: np.ndarray) -> Verified:
    return verify(pictures, VIEWS, find_candidates(pictures, VIEWS))


def moved(picture: np.ndarray, matrix: tuple[float, ...]) -> np.ndarray:
    """Return a picture with Pillow's affine transform (output px to input px), edges black."""
    image = Image.fromarray(picture).transform(
        (SIDE, SIDE), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC
    )
    return np.asarray(image)


def test_honest_pictures_are_like_nothing() -> None:
    assert verified(unseen_clouds()).similarity.max() < 0.4


@pytest.mark.parametrize(
    ("copy", "least"),
    [
        (lambda picture: picture, 0.999),
        (lambda picture: picture[:, ::-1], 0.999),
        (lambda picture: saved_as_jpeg(picture, quality=40), 0.6),
        (lambda picture: (picture * 0.7 + 20).astype(np.uint8), 0.95),
        (lambda picture: moved(picture, (0.85, 0, 7, 0, 0.85, 2)), 0.8),
        (lambda picture: moved(picture, (0.98, -0.14, 5, 0.14, 0.98, -4)), 0.75),
        (lambda picture: moved(picture, (1.2, 0, -6, 0, 1.2, -6)), 0.75),
        (lambda picture: np.roll(picture, 6, axis=1), 0.75),
        (lambda picture: moved(picture[:, ::-1], (0.8, 0, 3, 0, 0.95, 1)), 0.75),
    ],
    ids=["exact", "flip", "JPEG", "light", "crop", "turn", "shrunk", "shift", "mirrored and stretched"],
)
def test_a_copy_is_aligned_and_confirmed(copy: Callable[[np.ndarray], np.ndarray], least: float) -> None:
    found = verified(np.stack([copy(picture) for picture in TRAINING[:8]]))
    assert found.view.tolist() == list(range(8))
    assert found.similarity.min() > least


@pytest.mark.parametrize("size_px", [28, 32])
@pytest.mark.parametrize(
    ("copy", "least"),
    [
        (lambda digit: digit, 0.999),
        (lambda digit: ndimage.shift(digit, (2, 0)), 0.98),
        (lambda digit: ndimage.shift(digit, (-1, -2)), 0.98),
        (lambda digit: ndimage.rotate(digit, 5, reshape=False, order=1), 0.96),
        (lambda digit: ndimage.gaussian_filter(digit, 0.6), 0.95),
        (lambda digit: (digit * 0.6).astype(np.uint8), 0.98),
    ],
    ids=["exact", "down", "up and left", "turn", "blur", "light"],
)
def test_a_copied_digit_is_confirmed_at_any_size(
    size_px: int, copy: Callable[[np.ndarray], np.ndarray], least: float
) -> None:
    """White strokes on plain black: what is filled in beyond a moved view's edge must not be seen."""
    rng = np.random.default_rng(3)
    digits = np.stack([draw_digit(index % 10, rng) for index in range(40)])
    training = np.stack([add_border(digit[..., None], size_px).repeat(3, axis=2) for digit in digits])
    copies = np.stack([copy(picture[..., 0]) for picture in training[:8]])[..., None].repeat(3, axis=3)
    views = views_of(training)
    found = verify(copies, views, find_candidates(copies, views))
    assert found.view.tolist() == list(range(8))
    assert found.similarity.min() > least


def test_alignment_finds_the_transform_to_a_tenth_of_a_pixel() -> None:
    scale, left, top = 0.85, 7.0, 2.0
    copies = np.stack([moved(picture, (scale, 0, left, 0, scale, top)) for picture in TRAINING[:8]])
    found = verified(copies)
    wanted = np.array(
        [
            [scale, 0, (scale * SIDE / 2 + left) / (SIDE / 2) - 1],
            [0, scale, (scale * SIDE / 2 + top) / (SIDE / 2) - 1],
        ]
    )
    assert np.abs(np.median(found.transform[:, :2], axis=0) - wanted).max() * SIDE / 2 < 0.2


def test_a_cover_leaves_the_rest_recognisable() -> None:
    covered = TRAINING[:8].copy()
    covered[:, 10:26, 30:46] = (250, 10, 10)
    found = verified(covered)
    assert found.view.tolist() == list(range(8))
    assert found.similarity.min() > 0.7


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_blend_names_both(mirrored: bool) -> None:
    second = TRAINING[8:16, :, ::-1] if mirrored else TRAINING[8:16]
    found = verified((TRAINING[:8].astype(float) / 2 + second / 2).astype(np.uint8))
    for row in range(8):
        assert set(found.blend_view[row]) == {row, row + 8}
        place = list(found.blend_view[row]).index(row + 8)
        assert found.blend_mirrored[row, place] == mirrored
    assert found.blend_similarity.min() > 0.9


def test_two_views_of_one_picture_are_no_blend() -> None:
    pair = np.concatenate([TRAINING[:4], np.roll(TRAINING[:4], 3, axis=1)])
    views = views_of(pair, [0, 1, 2, 3, 0, 1, 2, 3])
    mixed = (pair[:4].astype(float) / 2 + pair[4:] / 2).astype(np.uint8)
    found = verify(mixed, views, find_candidates(mixed, views))
    pictures = np.where(found.blend_view >= 0, found.blend_view % 4, -1)
    assert not ((pictures[:, 0] == pictures[:, 1]) & (pictures[:, 0] >= 0)).any()


def test_a_faint_partner_is_found_in_what_the_first_leaves() -> None:
    blends = (TRAINING[:8] * 0.75 + TRAINING[8:16] * 0.25).astype(np.uint8)
    first = verified(blends)
    blank = Verified(
        **{**first._asdict(), "blend_similarity": np.zeros(8, np.float32)}
    )  # as if none was found
    found = with_partners(blends, VIEWS, blank, rows=np.arange(8), device=torch.device("cpu"))
    assert [set(pair) for pair in found.blend_view] == [{row, row + 8} for row in range(8)]
    assert (found.blend_view[:, 0] == np.arange(8)).all(), "the stronger comes first"
    assert found.blend_similarity.min() > 0.85


def test_no_rows_to_look_at_again_change_nothing() -> None:
    found = verified(TRAINING[:2])
    rows = np.zeros(0, dtype=np.int64)
    assert with_partners(TRAINING[:2], VIEWS, found, rows=rows, device=torch.device("cpu")) is found


def test_a_step_that_would_tear_the_picture_is_taken_back() -> None:
    picture, view = (picture_bands(luminance(x)) for x in (unseen_clouds(4), TRAINING[:4]))
    start = torch.eye(3).expand(4, 3, 3).clone()
    start[:, 0, 0] = 5.0  # five times too wide already
    assert torch.equal(refine(picture, view, start, size_px=FINE_PX), start)


def test_warp_is_affine_grid_and_grid_sample() -> None:
    light = luminance(TRAINING[:3])
    transform = torch.eye(3) + 0.1 * torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0))
    grid = torch.nn.functional.affine_grid(transform[:, :2], [3, 1, 20, 20], align_corners=False)
    wanted = torch.nn.functional.grid_sample(light, grid, align_corners=False)
    torch.testing.assert_close(warp(light, transform, 20), wanted, atol=1e-2, rtol=1e-4)


def test_multiple_correlation_is_that_of_least_squares() -> None:
    random = np.random.default_rng(0)
    picture, a, b = random.standard_normal((3, 5, 200))
    picture += 0.8 * a + 0.5 * b
    ours, weights = multiple_correlation(
        *(torch.from_numpy(x) for x in (picture, a, b)), torch.ones(5, 200, dtype=torch.bool)
    )
    for row in range(5):
        design = np.stack([a[row], b[row], np.ones(200)], axis=1)
        solution, *_ = np.linalg.lstsq(design, picture[row], rcond=None)
        assert float(ours[row]) == pytest.approx(np.corrcoef(design @ solution, picture[row])[0, 1])
        spread = np.array([a[row].std(), b[row].std()]) / picture[row].std()
        np.testing.assert_allclose(weights[row], solution[:2] * spread, atol=1e-6)


def test_a_flat_picture_is_like_nothing_and_makes_no_nan() -> None:
    found = verified(np.full((1, SIDE, SIDE, 3), 128, dtype=np.uint8))
    assert np.isfinite(found.similarity).all()
    assert abs(found.similarity[0]) < 0.2
