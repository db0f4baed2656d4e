"""The networks' structure, counted by hand, and what they must do whatever their weights."""

import pytest
import torch

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.models import Networks, build_networks, outline_networks, parameter_count
from dogsgan.models.sagan import Discriminator, Generator, discriminator_maps, generator_maps
from dogsgan.presets import preset

# One generator block from i to o channels: 3×3 convolutions 9io + o and 9oo + o, skip io + o, and two batch
# norms with a gain and a bias per channel, 2i + 2o.
#   linear 128 → 4·4·1024      128·16384 + 16384                          =  2,113,536
#   1024 → 512                 4718592 + 2359296 + 524288 + 1536 + 3072   =  7,606,784
#   512 → 256                  1179648 + 589824 + 131072 + 768 + 1536     =  1,902,848
#   256 → 128                  294912 + 147456 + 32768 + 384 + 768        =    476,288
#   attention at 32 px, 128    2·128·16 + 128·64 + 64·128 + 1             =     20,481
#   128 → 64                   73728 + 36864 + 8192 + 192 + 384           =    119,360
#   batch norm, 3×3 to RGB     2·64  +  9·64·3 + 3                        =      1,859
UNCONDITIONAL_GENERATOR = 12_241_156
# With 120 classes, each of the eight batch norms has 120 gains and biases a channel instead of one: 238 more
# for each of 1024 + 512 + 512 + 256 + 256 + 128 + 128 + 64 = 2880 channels.
CONDITIONAL_GENERATOR = UNCONDITIONAL_GENERATOR + 685_440
# One discriminator block: 9io + o, 9oo + o, skip io + o.
#   3 → 64                     1728 + 36864 + 192 + 192                   =     38,976
#   attention at 32 px, 64     2·64·8 + 64·32 + 32·64 + 1                 =      5,121
#   64 → 128                   73728 + 147456 + 8192 + 384                =    229,760
#   128 → 256                  294912 + 589824 + 32768 + 768              =    918,272
#   256 → 512                  1179648 + 2359296 + 131072 + 1536          =  3,671,552
#   512 → 1024                 4718592 + 9437184 + 524288 + 3072          = 14,683,136
#   linear                     1024 + 1                                   =      1,025
UNCONDITIONAL_DISCRIMINATOR = 19_547_842
CONDITIONAL_DISCRIMINATOR = UNCONDITIONAL_DISCRIMINATOR + 120 * 1024


@pytest.fixture(scope="module")
def full_width() -> Networks:
    with torch.device("meta"):  # shapes only
        return build_networks(preset("dogs-sagan"), class_count=120)


def test_parameter_counts_of_the_main_preset(full_width):
    assert parameter_count(full_width.generator) == CONDITIONAL_GENERATOR
    assert parameter_count(full_width.discriminator) == CONDITIONAL_DISCRIMINATOR


def test_parameter_counts_without_classes():
    recipe = preset("dogs-sagan").with_overrides(["model.conditional=false"])
    with torch.device("meta"):
        networks = build_networks(recipe, class_count=120)
    assert parameter_count(networks.generator) == UNCONDITIONAL_GENERATOR
    assert parameter_count(networks.discriminator) == UNCONDITIONAL_DISCRIMINATOR


def test_the_generator_starts_at_4x4x1024(full_width):
    generator = full_width.generator
    assert isinstance(generator, Generator)
    assert generator.linear.out_features == 4 * 4 * 1024
    assert [block.conv1.out_channels for block in generator.blocks] == [512, 256, 128, 64]
    assert list(generator.attention) == ["32"]
    assert generator.attention["32"].query.in_channels == 128


def test_the_last_discriminator_block_does_not_halve(full_width):
    discriminator = full_width.discriminator
    assert isinstance(discriminator, Discriminator)
    assert [block.halve for block in discriminator.blocks] == [True] * 4 + [False]
    assert [block.activate_first for block in discriminator.blocks] == [False] + [True] * 4


def small(size_px: int, *settings: str) -> Recipe:
    return preset("demo").with_overrides([f"data.size_px={size_px}", *settings])


@pytest.mark.parametrize("size_px", [32, 64, 128])
@pytest.mark.parametrize("conditional", ["true", "false"])
def test_every_size_makes_pictures_in_range_and_one_logit_each(size_px, conditional):
    settings = [
        f"model.conditional={conditional}",
        "model.generator_attention_px=16",
        "model.discriminator_attention_px=16",
    ]
    generator, discriminator = build_networks(small(size_px, *settings), class_count=5)
    labels = torch.tensor([0, 4, 2])
    with torch.no_grad():
        generator.to_picture.parametrizations.weight.original.mul_(1.0)
        generator.to_picture.bias.fill_(30.0)  # far outside, were there no tanh
        pictures = generator(torch.randn(3, 64) * 10, labels)
    assert pictures.shape == (3, 3, size_px, size_px)
    assert pictures.abs().max() <= 1
    assert discriminator(pictures, labels).shape == (3,)


def test_the_class_changes_the_picture_and_the_logit():
    torch.manual_seed(0)
    generator, discriminator = build_networks(
        small(32, "model.generator_attention_px=16", "model.discriminator_attention_px=16"), class_count=5
    )
    for module in generator.modules():
        if hasattr(module, "gain"):
            torch.nn.init.normal_(module.gain.weight)
    generator.eval()
    z = torch.randn(1, 64).expand(2, -1)
    pictures = generator(z, torch.tensor([1, 3]))
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-3)
    same = pictures[:1].expand(2, -1, -1, -1)
    logits = discriminator(same, torch.tensor([1, 3]))
    assert abs(logits[0] - logits[1]) > 1e-4


def test_grey_pictures():
    generator, discriminator = build_networks(
        small(32, "data.channels=1", "model.generator_attention_px=", "model.discriminator_attention_px="),
        class_count=2,
    )
    pictures = generator(torch.randn(2, 64), torch.tensor([0, 1]))
    assert pictures.shape == (2, 1, 32, 32)
    assert discriminator(pictures, torch.tensor([0, 1])).shape == (2,)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["model.generator_attention_px=48"], "generator_attention_px=48"),
        (["model.discriminator_attention_px=64"], "discriminator_attention_px=64"),
        (["data.size_px=48"], "size_px=48"),
        (["data.size_px=16"], "size_px=16"),
        (["model.architecture=vit"], "vit"),
        (["model.generator_width=1"], "attention needs 8"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(settings, named):
    with pytest.raises(DogsganError, match=named):
        build_networks(preset("demo").with_overrides(settings), class_count=3)


def test_labels_asked_of_unlabelled_data_are_refused():
    with pytest.raises(DogsganError, match="conditional=false"):
        build_networks(preset("demo"), class_count=0)


def test_every_convolution_and_linear_layer_is_normalised():
    for network in build_networks(preset("demo"), class_count=3):
        for name, module in network.named_modules():
            if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
                assert torch.nn.utils.parametrize.is_parametrized(module, "weight"), name


@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_the_maps_that_attention_is_checked_against_are_the_networks_own(size_px):
    settings = ["model.generator_attention_px=", "model.discriminator_attention_px="]
    networks = build_networks(small(size_px, *settings), class_count=2)
    found = []
    for network in networks:
        maps: dict[int, int] = {}

        def note(module, inputs, output, maps=maps):
            maps.setdefault(output.shape[-1], output.shape[1])

        for block in network.blocks:
            block.register_forward_hook(note)
        found.append(maps)
    labels = torch.tensor([0, 1])
    with torch.no_grad():
        networks.discriminator(networks.generator(torch.randn(2, 64), labels), labels)
    assert found == [generator_maps(size_px, 8), discriminator_maps(size_px, 8)]


def test_the_last_discriminator_block_at_128_px_has_the_identity_as_its_skip():
    recipe = preset("dogs-sagan").with_overrides(["data.size_px=128"])
    counts = [
        parameter_count(outline_networks(r, class_count=120).discriminator)
        for r in (recipe, recipe.with_overrides(["model.discriminator_identity_skip=false"]))
    ]
    assert counts[1] - counts[0] == 1024 * 1024 + 1024  # a 1×1 convolution of 1,024 channels
