"""A recipe survives its file, and refuses by name what makes no sense."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dogsgan import models
from dogsgan.config import ARCHITECTURES, ModelRecipe, Recipe, TrainingRecipe
from dogsgan.errors import DogsganError
from dogsgan.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_its_json(name):
    recipe = PRESETS[name].recipe
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_settings_are_read_as_the_type_of_their_field():
    changed = Recipe().with_overrides(
        [
            "training.batch_size=64",
            "training.generator_lr=2e-4",
            "model.conditional=false",
            "model.generator_attention_px=16,32",
            "model.discriminator_attention_px=",
            "data.policy=whole:0.5,context:0.5",
        ]
    )
    assert changed.training.batch_size == 64
    assert changed.training.generator_lr == 2e-4
    assert changed.model.conditional is False
    assert changed.model.generator_attention_px == (16, 32)
    assert changed.model.discriminator_attention_px == ()
    assert changed.data.policy == "whole:0.5,context:0.5"


@pytest.mark.parametrize(
    ("setting", "named"),
    [
        ("training.batch_size=many", "many"),
        ("training.batch_size=1", "batch_size"),
        ("training.speed=3", "speed"),
        ("colour.size=3", "SECTION.FIELD"),
        ("batch_size=3", "SECTION.FIELD"),
        ("training.loss=mse", "hinge"),
        ("training.label_smoothing=0.1", "bce"),
        ("training.generator_lr=nan", "generator_lr"),
        ("training.diffaugment=colour", "color,translation,cutout"),
        ("model.conditional=maybe", "true or false"),
        ("data.channels=2", "grey"),
        ("data.policy=nonsense", "no crop policy 'nonsense'"),
        ("data.policy=square:-1", "is no positive number"),
        ("model.architecture=foo", "take one of sagan, dcgan, dcgan-5x5"),
        ("training.label_smoothing=0.7", "label_smoothing"),
        ("training.label_noise=0.1", "bce"),
        ("model.noise=pink", "uniform"),
        ("model.discriminator_dropout=1", "discriminator_dropout"),
        ("model.discriminator_slope=-0.1", "discriminator_slope"),
        ("model.generator_batch_norm=false", "classes reach the generator"),
    ],
)
def test_a_senseless_setting_is_refused_by_name(setting, named):
    with pytest.raises(DogsganError, match=named):
        Recipe().with_overrides([setting])


def test_compiling_a_gradient_penalty_is_refused():
    with pytest.raises(DogsganError, match="second derivative"):
        Recipe().with_overrides(["training.compile=true", "training.gradient_penalty=10"])


def test_every_architecture_is_known_to_recipes_and_built():
    assert set(ARCHITECTURES) == set(models.ARCHITECTURES)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"model": 3},
        {"model": {"width": 3}},
        {"training": {"batch_size": "32"}},
        {"training": {"batch_size": True}},
        {"training": {"flip": 1}},
        {"model": {"generator_attention_px": [32, "16"]}},
        {"name": 3},
        {"data": {"policy": "nonsense"}},
        {"model": {"architecture": "foo"}},
    ],
)
def test_a_damaged_recipe_file_is_refused(value):
    with pytest.raises(DogsganError):
        Recipe.from_json(value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "data", "model", "training", "size_px", "batch_size", "x"]),
                inner,
                max_size=4,
            )
        ),
    )
)
def test_any_json_is_a_recipe_or_refused(value):
    try:
        recipe = Recipe.from_json(value)
    except DogsganError:
        return
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_differences_name_every_changed_value():
    ours = Recipe()
    theirs = dataclasses.replace(
        ours, name="other", model=ModelRecipe(z_dim=64), training=TrainingRecipe(batch_size=8)
    )
    assert ours.differences(theirs) == ["model.z_dim: 128 -> 64", "training.batch_size: 32 -> 8"]
    assert ours.differences(ours) == []
