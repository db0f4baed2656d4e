"""The audit's time: measured beforehand, said, kept within a limit by a sample."""

import numpy as np
import pytest
import torch
from copied import training_clouds, views_of

from dogsgan.audit.planning import Plan, Speed, measure_speed, plan, sample_within

SPEED = Speed(network=0.01, bands=1e-4, search=1e-7, alignment=0.02)
VIEWS = views_of(training_clouds(30))


def seconds(**changes: int) -> float:
    sizes = {"looked_at": 1000, "null": 500, "generated": 2000, "dimension": 64} | changes
    return plan(SPEED, VIEWS, **sizes).seconds


def test_more_pictures_take_longer() -> None:
    assert seconds(looked_at=2000) > seconds() > seconds(looked_at=500)
    assert seconds(null=1000) > seconds()
    alignment = SPEED.alignment * 1000 + SPEED.network * 1000
    assert seconds(looked_at=2000) - seconds() == pytest.approx(alignment, rel=0.1)


def test_the_plan_is_the_sum_of_its_bars() -> None:
    planned = plan(SPEED, VIEWS, looked_at=100, null=100, generated=100, dimension=64)
    assert planned.seconds > 100 * (SPEED.alignment + SPEED.network)
    assert {"generated: alignment", "real: search in pixels", "features: pictures"} <= set(planned.rates)


def test_the_sample_that_fits_a_limit_shrinks_the_null_sample_first() -> None:
    def plan_of(looked_at: int, null: int) -> Plan:
        return Plan(float(looked_at + null), {})

    assert sample_within(13_000, plan_of, looked_at=10_000, null=2000) == (10_000, 2000)
    pictures, null = sample_within(11_500, plan_of, looked_at=10_000, null=2000)
    assert (pictures, null < 2000) == (10_000, True)
    pictures, null = sample_within(3000, plan_of, looked_at=10_000, null=2000)
    assert null == 400
    assert 2000 < pictures <= 2600
    assert sample_within(0.0, plan_of, looked_at=10_000, null=2000) == (200, 400)
    assert sample_within(0.0, plan_of, looked_at=50, null=30) == (50, 30)


def test_the_speed_is_that_of_this_machine() -> None:
    speed = measure_speed(training_clouds(8), VIEWS, network_s=0.01, device=torch.device("cpu"))
    assert speed.network == 0.01
    assert min(speed.bands, speed.search) >= 0
    assert 1e-4 < speed.alignment < 10
    assert np.isfinite(plan(speed, VIEWS, looked_at=8, null=30, generated=8, dimension=288).seconds)
