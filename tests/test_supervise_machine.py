"""What a kernel trains on a CPU that could not sample its recipe within the budget."""

import dataclasses
import time

import pytest
from tiny import RECIPE

from dogsgan.presets import preset
from dogsgan.supervise.children import Ended
from dogsgan.supervise.driver import choose_machine
from dogsgan.supervise.session import Clock, Session, Terminal

SECONDS = {"dogs-sagan": 700.0, "dogs-best-cpu": 60.0, "demo": 15.0, "tiny": 700.0}


@pytest.fixture
def chosen():
    def chosen(recipe, *, budget_s):
        class Timed(Session):
            def run(self, part, request, *, stop_at, gpus=()):
                recipe = request["cpu_recipe"] if part == "survey" else request["recipe"]
                timed = {"recipe": recipe["name"], "finishing_s": SECONDS[recipe["name"]]}
                return Ended("done", 0, ({"gpus": 0, **timed},), (), 1.0)

        session = Timed(Clock(time.monotonic(), budget_s), Terminal())
        session.clock.note_startup(1.0)
        found, gpus = choose_machine(session, recipe, recipe, count=10_000)
        assert gpus == []
        return found, session

    return chosen


def test_a_recipe_that_samples_in_time_is_kept(chosen):
    recipe, session = chosen(preset("dogs-sagan"), budget_s=9 * 3600.0)
    assert recipe.name == "dogs-sagan"
    assert not any("WARNING" in event for event in session.events)


def test_one_that_does_not_gives_way_to_the_smallest_with_a_warning(chosen):
    unlabelled = preset("dogs-sagan").with_overrides(["model.conditional=false", "data.policy=whole"])
    recipe, session = chosen(unlabelled, budget_s=300.0)
    assert (recipe.name, recipe.data, recipe.model.conditional) == ("demo", unlabelled.data, False)
    assert session.clock.finishing_s == 15.0
    (warning,) = [event for event in session.events if "WARNING" in event]
    assert "dogs-sagan takes 700 s of 300: demo is trained instead" in warning


def test_where_there_is_no_smaller_one_it_is_said(chosen):
    recipe, session = chosen(dataclasses.replace(RECIPE), budget_s=300.0)
    assert recipe == RECIPE
    assert "images.zip may not be there in time" in session.events[-1]
