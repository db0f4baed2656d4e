"""What changes over a run changes by images seen, and by the law that its source states."""

import pytest
import torch
from tiny import RECIPE, crop_set

from dogsgan.config import Recipe, TrainingRecipe
from dogsgan.errors import DogsganError
from dogsgan.training.deadline import Deadline
from dogsgan.training.planning import LengthPlan
from dogsgan.training.schedules import LEAST_RATE, OverfittingShare, build_augmentation_share, rate_factor
from dogsgan.training.state import TrainingState


def test_rates_are_constant_then_fall_linearly_to_the_planned_end():
    def factor(images):
        return rate_factor(images, planned_images=1000, decay=0.4)

    assert [factor(images) for images in (0, 300, 600)] == [1, 1, 1]
    assert factor(800) == pytest.approx(0.5)
    assert factor(900) == pytest.approx(0.25)
    assert factor(1000) == factor(5000) == LEAST_RATE > 0


def test_without_a_plan_or_a_decay_rates_are_constant():
    assert rate_factor(10**9, planned_images=0, decay=0.5) == 1
    assert rate_factor(10**9, planned_images=10, decay=0.0) == 1


def test_a_ramp_augments_a_rising_share():
    share = build_augmentation_share(TrainingRecipe(diffaugment="color", diffaugment_ramp_images=1000))
    share.note_overfitting(1.0, images=10**6)  # of no account
    assert [share.at(images) for images in (0, 250, 1000, 9000)] == [0, 0.25, 1, 1]
    assert build_augmentation_share(TrainingRecipe(diffaugment="color")).at(0) == 1


def test_the_augmented_share_follows_the_overfitting():
    share = build_augmentation_share(
        TrainingRecipe(diffaugment="color", diffaugment_overfitting=0.3, held_out=0.1)
    )
    assert share.at(10**9) == 0
    share.note_overfitting(0.5, images=100_000)
    assert share.at(0) == pytest.approx(0.2)  # from 0 to 1 in 500,000 images
    share.note_overfitting(0.1, images=50_000)
    assert share.at(0) == pytest.approx(0.1)
    for _ in range(20):
        share.note_overfitting(0.5, images=100_000)
    assert share.at(0) == 1
    resumed = OverfittingShare(0.3)
    resumed.load_state_dict(share.state_dict())
    assert resumed.at(0) == 1


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["diffaugment_ramp_images=10"], "diffaugment_ramp_images"),
        (["diffaugment=color", "diffaugment_overfitting=0.5"], "held_out"),
        (
            [
                "diffaugment=color",
                "diffaugment_overfitting=0.5",
                "held_out=0.1",
                "diffaugment_ramp_images=9",
            ],
            "not both",
        ),
        (["lr_decay=1.5"], "lr_decay"),
        (["lecam=-1"], "lecam"),
    ],
)
def test_senseless_combinations_are_refused(settings, named):
    with pytest.raises(DogsganError, match=named):
        Recipe().with_overrides([f"training.{setting}" for setting in settings])


@pytest.fixture
def planned(tmp_path):
    recipe = RECIPE.with_overrides(["training.lr_decay=0.5"])
    return TrainingState(recipe, crop_set(tmp_path), torch.device("cpu"))


def test_the_length_is_planned_once_from_the_speed_and_the_time_left(planned, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    plan = LengthPlan(planned, Deadline(1002.0, started=0.0), images=None)  # 2 s are kept back for the end
    planned.images_seen, now[0] = 40, 10.0
    assert not plan.fix()  # too early to know the speed
    assert planned.planned_images == 0
    planned.images_seen, now[0] = 400, 100.0
    assert plan.fix()
    assert planned.planned_images == 400 + 4 * 900
    planned.images_seen, now[0] = 500, 900.0  # slower now: the plan stays
    assert not plan.fix()
    assert planned.planned_images == 4000
    planned.images_seen = 3000
    planned.set_rates()
    for optimizer in (planned.generator_optimizer, planned.discriminator_optimizer):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * optimizer.defaults["lr"])


def test_the_length_is_planned_by_the_deadline_s_own_clock(planned):
    now = [7.0]
    plan = LengthPlan(planned, Deadline(1000.0, clock=lambda: now[0]), images=None)
    planned.images_seen, now[0] = 400, 107.0
    assert plan.fix()
    assert planned.planned_images == 400 + 4 * 900


def test_the_images_asked_for_bound_the_plan(planned, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    plan = LengthPlan(planned, Deadline(1002.0, started=0.0), images=1000)
    planned.images_seen, now[0] = 400, 100.0
    assert plan.fix()
    assert planned.planned_images == 1000
    planned.planned_images = 0
    assert LengthPlan(planned, Deadline(None), images=700).fix()
    assert planned.planned_images == 700


def test_a_recipe_s_own_length_is_the_plan(tmp_path):
    recipe = RECIPE.with_overrides(["training.lr_decay=0.5", "training.planned_images=64"])
    state = TrainingState(recipe, crop_set(tmp_path), torch.device("cpu"))
    assert not LengthPlan(state, Deadline(100.0), images=500).fix()
    assert state.planned_images == 64


def test_rollbacks_and_the_plan_multiply(planned):
    planned.planned_images, planned.images_seen, planned.rollbacks = 100, 75, 2
    assert planned.rates_scale == pytest.approx(0.5 * 0.25)
