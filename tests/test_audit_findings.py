"""Kinds: what was done to a training picture, in words."""

from collections.abc import Callable

import numpy as np
import pytest
from copied import training_clouds, unseen_clouds, views_of
from drawn_pictures import saved_as_jpeg
from PIL import Image, ImageFilter

from dogsgan.audit.findings import MEANINGS, covered_part, kind_of
from dogsgan.audit.overlay import lay_blend_on, lay_on, simplified
from dogsgan.audit.search import find_candidates
from dogsgan.audit.verification import verify


def photographs(count: int) -> np.ndarray:
    """Return clouds as a camera would see them: mostly grey, with busy and with calm parts."""
    clouds = training_clouds(count).astype(np.float64)
    grey = 0.9 * clouds.mean(axis=3, keepdims=True) + 0.1 * clouds
    calm = np.clip(np.linspace(-0.5, 1.5, clouds.shape[2]), 0.05, 1)[:, None]
    return (128 + 1.4 * calm * (grey - 128)).clip(0, 255).astype(np.uint8)


TRAINING = photographs(8)
STAY = np.eye(3, dtype=np.float32)


def kind(
    picture: np.ndarray, view: np.ndarray, *, mirrored: bool = False, transform: np.ndarray = STAY
) -> str:
    laid = lay_on(picture, view, mirrored=mirrored, transform=transform)
    return kind_of(laid, mirrored=mirrored, transform=transform)


def with_noise(picture: np.ndarray) -> np.ndarray:
    added = np.random.default_rng(0).normal(0, 8, picture.shape)
    return np.clip(picture + added, 0, 255).astype(np.uint8)


def covered(picture: np.ndarray) -> np.ndarray:
    changed = picture.copy()
    changed[20:36, 8:24] = (255, 0, 0)
    return changed


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda picture: picture, "exact"),
        (lambda picture: saved_as_jpeg(picture, quality=40), "JPEG"),
        (lambda picture: np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1))), "blurred"),
        (with_noise, "noise"),
        (lambda picture: np.clip(picture * 0.7 + 10, 0, 255).astype(np.uint8), "recoloured"),
        (lambda picture: np.clip(picture * [1.2, 1.0, 0.7], 0, 255).astype(np.uint8), "recoloured"),
        (covered, "covered"),
    ],
    ids=["exact", "JPEG", "blur", "noise", "darker", "warmer", "covered"],
)
def test_what_was_done_is_named(change: Callable[[np.ndarray], np.ndarray], wanted: str) -> None:
    kinds = [kind(change(view), view) for view in TRAINING]
    assert kinds.count(wanted) >= 7, kinds


def resized(picture: np.ndarray, side: int) -> np.ndarray:
    small = Image.fromarray(picture).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small.resize(picture.shape[:2], Image.Resampling.BILINEAR))


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)))


@pytest.mark.parametrize("side", [32, 48, 96])
def test_a_resize_is_no_jpeg(side: int) -> None:
    found = [kind(resized(view, side), view) for view in TRAINING]
    assert set(found) <= {"blurred", "near-exact"}, found


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda picture: blurred(picture, 1.0), "blurred"),
        (lambda picture: blurred(picture, 2.0), "blurred"),
        (lambda picture: resized(picture, 32), "blurred"),
        (with_noise, "noise"),
        (lambda picture: saved_as_jpeg(picture, quality=30), "JPEG"),
        (lambda picture: np.roll(picture, 6, axis=1), "shift"),
        (lambda picture: picture[6:58, 4:56], "crop"),
    ],
    ids=["blur 1", "blur 2", "resized", "noise", "JPEG", "shift", "crop"],
)
def test_what_alignment_is_unsure_of_is_not_named(
    change: Callable[[np.ndarray], np.ndarray], wanted: str
) -> None:
    """A blurred copy is aligned a little askew: that makes it no crop, and not stretched."""
    copies = np.stack([np.asarray(Image.fromarray(change(view)).resize((64, 64))) for view in TRAINING])
    views = views_of(TRAINING)
    found = verify(copies, views, find_candidates(copies, views))
    found = simplified(copies, views, found, rows=np.arange(len(copies)))
    kinds = [
        kind(copy, TRAINING[view], mirrored=bool(mirrored), transform=transform)
        for copy, view, mirrored, transform in zip(
            copies, found.view, found.mirrored, found.transform, strict=True
        )
    ]
    assert kinds.count(wanted) >= 7, kinds


def test_the_simplest_account_is_the_form_that_was_copied() -> None:
    """Of two forms of one picture the copied one is named, whichever was found, and no crop of the other."""
    part = np.asarray(Image.fromarray(TRAINING[0]).resize((64, 64), box=(8, 8, 56, 56)))
    views = views_of(np.stack([TRAINING[0], part]), [0, 0])
    copy = blurred(part, 1.0)[None]
    found = verify(copy, views_of(TRAINING[:1]), find_candidates(copy, views_of(TRAINING[:1])))
    assert found.view[0] == 0
    simple = simplified(copy, views, found, rows=np.arange(1))
    assert simple.view[0] == 1
    assert np.array_equal(simple.transform[0], STAY)


def test_every_part_of_a_kind_is_explained() -> None:
    named = {"exact", "near-exact", "flip", "crop", "shrunk", "shift", "turned", "stretched", "recoloured"}
    assert named | {"blurred", "noise", "JPEG", "covered", "blend", "look-alike"} == set(MEANINGS)


def test_a_mirror_image_is_a_flip() -> None:
    assert kind(TRAINING[0][:, ::-1], TRAINING[0], mirrored=True) == "flip"
    assert kind(covered(TRAINING[0][:, ::-1]), TRAINING[0], mirrored=True) == "flip + covered"


@pytest.mark.parametrize(
    ("transform", "wanted"),
    [
        ([[0.8, 0, 0.1], [0, 0.8, -0.1], [0, 0, 1]], "crop"),
        ([[1.2, 0, 0], [0, 1.2, 0], [0, 0, 1]], "shrunk"),
        ([[1, 0, 0.15], [0, 1, 0], [0, 0, 1]], "shift"),
        ([[0.99, -0.139, 0], [0.139, 0.99, 0], [0, 0, 1]], "turned"),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], "turned 90°"),
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], "turned 180°"),
        ([[0.7, 0, 0], [0, 1.0, 0], [0, 0, 1]], "crop + stretched"),
    ],
)
def test_how_it_was_moved_is_named(transform: list[list[float]], wanted: str) -> None:
    matrix = np.array(transform, dtype=np.float32)
    moved = lay_on(TRAINING[0], TRAINING[0], mirrored=False, transform=matrix)
    picture = np.where(moved.inside[..., None], moved.moved, TRAINING[0]).astype(np.uint8)
    assert kind(picture, TRAINING[0], transform=matrix) == wanted


def test_the_cover_is_found_where_it_is() -> None:
    laid = lay_on(covered(TRAINING[1]), TRAINING[1], mirrored=False, transform=STAY)
    part = covered_part(laid)
    assert part[24:32, 8:24].all()
    assert part.mean() < 0.15


def test_another_picture_is_not_called_covered() -> None:
    laid = lay_on(unseen_clouds(1)[0], TRAINING[1], mirrored=False, transform=STAY)
    assert covered_part(laid).mean() < 0.34


def test_the_pair_shows_the_difference_around_mid_grey() -> None:
    pair = lay_on(covered(TRAINING[2]), TRAINING[2], mirrored=False, transform=STAY).pair()
    assert np.abs(pair.difference[44:].astype(int) - 128).max() < 12
    assert np.abs(pair.difference[22:34, 10:22].astype(int) - 128).max() > 60
    assert (pair.generated == covered(TRAINING[2])).all()


@pytest.mark.parametrize("share", [0.5, 0.7, 0.9])
def test_the_share_of_a_blend_is_measured(share: float) -> None:
    mixed = (TRAINING[3] * share + TRAINING[4] * (1 - share)).astype(np.uint8)
    pair, found = lay_blend_on(
        mixed, TRAINING[[3, 4]], mirrored=np.array([False, False]), transform=np.stack([STAY, STAY])
    )
    assert found == pytest.approx(share, abs=0.03)
    assert np.abs(pair.difference.astype(int) - 128).mean() < 2
