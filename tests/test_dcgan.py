"""The plain networks of the documents: each layer as written there, counted by hand."""

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from dogsgan.errors import DogsganError
from dogsgan.models import attention_maps, build_networks, parameter_count
from dogsgan.models.layers import ConditionalBatchNorm2d, PartedBatchNorm2d
from dogsgan.presets import PRESETS, preset


def networks(name, *settings, class_count=10):
    with torch.device("meta"):  # shapes only
        return build_networks(preset(name).with_overrides(list(settings)), class_count=class_count)


def shapes(network):
    """Return type, channels, kernel, stride, padding and bias of every convolution and linear layer."""
    found = []
    for name, module in network.named_modules():
        bias = getattr(module, "bias", None) is not None
        if name.startswith("attention"):
            continue
        if isinstance(module, nn.Linear):
            found.append(("linear", module.in_features, module.out_features, bias))
        elif isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
            kind = "up" if isinstance(module, nn.ConvTranspose2d) else "down"
            (kernel, _), (stride, _), (padding, _) = module.kernel_size, module.stride, module.padding
            found.append((kind, module.in_channels, module.out_channels, kernel, stride, padding, bias))
    return found


# ---- MNIST GAN (Hanoi) -------------------------------------------------------------------------------------


def test_mnist_gan_s_discriminator_has_212_865_parameters():
    discriminator = networks("mnist-gan").discriminator
    assert shapes(discriminator) == [
        ("down", 1, 64, 5, 2, 2, True),  # 64·25 + 64 = 1,664
        ("down", 64, 128, 5, 2, 2, True),  # 128·64·25 + 128 = 204,928
        ("linear", 7 * 7 * 128, 1, True),  # 6,273
    ]
    assert parameter_count(discriminator) == 212_865
    assert discriminator.dropout.p == 0.3
    assert not any(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules())


def test_mnist_gan_s_generator():
    generator = networks("mnist-gan").generator
    assert shapes(generator) == [
        ("linear", 100, 7 * 7 * 256, False),
        ("up", 256, 128, 5, 1, 2, False),
        ("up", 128, 64, 5, 2, 2, False),
        ("up", 64, 1, 5, 2, 2, True),
    ]
    batch_norms = 2 * (256 + 128 + 64)
    assert parameter_count(generator) == 1_254_400 + 819_200 + 204_800 + 1_601 + batch_norms
    assert generator.slope == 0.3
    assert preset("mnist-gan").model.noise == "uniform"


# ---- MNIST DCGAN and SAGAN (San José State) ----------------------------------------------------------------

MNIST_GENERATOR = [
    ("up", 100, 512, 4, 1, 0, False),
    ("up", 512, 256, 4, 2, 1, False),
    ("up", 256, 128, 4, 2, 1, False),
    ("up", 128, 1, 4, 2, 1, True),
]
MNIST_DISCRIMINATOR = [
    ("down", 1, 128, 4, 2, 1, False),
    ("down", 128, 256, 4, 2, 1, False),
    ("down", 256, 512, 4, 2, 1, False),
    ("linear", 8192, 1, True),
]


def test_mnist_dcgan():
    generator, discriminator = networks("mnist-dcgan")
    assert shapes(generator) == MNIST_GENERATOR
    assert shapes(discriminator) == MNIST_DISCRIMINATOR
    assert (generator.slope, discriminator.slope) == (0.0, 0.01)
    assert [m.num_features for m in generator.modules() if isinstance(m, nn.BatchNorm2d)] == [512, 256, 128]
    assert [m.num_features for m in discriminator.modules() if isinstance(m, nn.BatchNorm2d)] == [
        128,
        256,
        512,
    ]
    # 100·512·16 + 512·256·16 + 256·128·16 + 128·16 + 1, and a gain and a bias per normalised channel
    assert parameter_count(generator) == 819_200 + 2_097_152 + 524_288 + 2_049 + 2 * 896
    assert parameter_count(discriminator) == 2_048 + 524_288 + 2_097_152 + 8_193 + 2 * 896
    assert not generator.attention
    assert not discriminator.attention


def test_mnist_sagan_is_the_same_with_attention_on_128_and_512_channels():
    plain, (generator, discriminator) = networks("mnist-dcgan"), networks("mnist-sagan")
    assert shapes(generator) == MNIST_GENERATOR
    assert shapes(discriminator) == MNIST_DISCRIMINATOR
    assert list(generator.attention) == ["16"]
    assert (generator.attention["16"].query.in_channels, generator.attention["16"].query.out_channels) == (
        128,
        16,
    )
    assert list(discriminator.attention) == ["4"]
    assert discriminator.attention["4"].key.in_channels == 512
    assert discriminator.attention["4"].key.out_channels == 64
    # query and key C·C/8 each, value C·C/2 and out C/2·C, and γ
    assert parameter_count(generator) - parameter_count(plain.generator) == 128 * 128 * 5 // 4 + 1
    assert parameter_count(discriminator) - parameter_count(plain.discriminator) == 512 * 512 * 5 // 4 + 1


# ---- CelebA SAGAN (IVUS 2024) ------------------------------------------------------------------------------


def test_celeba_sagan_has_five_layers_in_each_network_all_spectrally_normalised():
    generator, discriminator = networks("celeba-sagan")
    assert shapes(generator) == [
        ("up", 100, 512, 4, 1, 0, False),
        ("up", 512, 256, 4, 2, 1, False),
        ("up", 256, 128, 4, 2, 1, False),
        ("up", 128, 64, 4, 2, 1, False),
        ("up", 64, 3, 4, 2, 1, True),
    ]
    assert shapes(discriminator) == [
        ("down", 3, 64, 4, 2, 1, False),
        ("down", 64, 128, 4, 2, 1, False),
        ("down", 128, 256, 4, 2, 1, False),
        ("down", 256, 512, 4, 2, 1, False),
        ("linear", 8192, 1, True),
    ]
    for network in (generator, discriminator):
        for name, module in network.named_modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                assert parametrize.is_parametrized(module, "weight"), name
    assert sum(isinstance(m, nn.BatchNorm2d) for m in generator.modules()) == 4
    assert sum(isinstance(m, nn.BatchNorm2d) for m in discriminator.modules()) == 4
    # between the third and the fourth layer: 16 px in the generator, 8 px in the discriminator
    assert list(generator.attention) == ["16"]
    assert generator.attention["16"].query.in_channels == 128
    assert list(discriminator.attention) == ["8"]
    assert discriminator.attention["8"].query.in_channels == 256
    training = preset("celeba-sagan").training
    assert (training.loss, training.generator_lr, training.discriminator_lr) == ("bce", 1e-4, 4e-4)
    assert (training.beta1, training.beta2) == (0.5, 0.999)
    assert training.gradient_penalty > 0


def test_the_last_linear_layer_is_a_4x4_convolution_without_padding():
    discriminator = build_networks(
        preset("celeba-sagan").with_overrides(["model.discriminator_width=8"]), class_count=0
    ).discriminator.eval()
    x = torch.randn(3, 64, 4, 4)
    as_convolution = nn.functional.conv2d(
        x, discriminator.linear.weight.view(1, 64, 4, 4), discriminator.linear.bias
    )
    torch.testing.assert_close(discriminator.linear(x.flatten(1))[:, 0], as_convolution[:, 0, 0, 0])


# ---- whatever the structure --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["celeba-sagan", "mnist-gan", "mnist-dcgan", "mnist-sagan", "mnist-cgan"])
def test_pictures_are_in_range_and_each_has_one_logit(name):
    settings = ["model.generator_width=16", "model.discriminator_width=16"]
    recipe = preset(name).with_overrides(settings)
    generator, discriminator = build_networks(recipe, class_count=10)
    labels = torch.tensor([0, 9, 4, 4])
    with torch.no_grad():
        generator.to_picture.bias.fill_(30.0)  # far outside, were there no tanh
    pictures = generator(torch.randn(4, recipe.model.z_dim), labels)
    assert pictures.shape == (4, recipe.data.channels, recipe.data.size_px, recipe.data.size_px)
    assert pictures.abs().max() <= 1
    assert discriminator(pictures, labels).shape == (4,)


@pytest.mark.parametrize(
    ("architecture", "size_px"),
    [("dcgan", 16), ("dcgan", 32), ("dcgan", 64), ("dcgan", 128)]
    + [("dcgan-5x5", size) for size in (8, 28, 32, 36, 64)],
)
@pytest.mark.parametrize("conditional", ["true", "false"])
def test_every_size_is_made_and_judged(architecture, size_px, conditional):
    recipe = preset("mnist-cgan").with_overrides(
        [
            f"model.architecture={architecture}",
            f"data.size_px={size_px}",
            f"model.conditional={conditional}",
            "model.generator_width=2",
            "model.discriminator_width=2",
        ]
    )
    generator, discriminator = build_networks(recipe, class_count=3)
    labels = torch.tensor([0, 2])
    pictures = generator(torch.randn(2, 100), labels)
    assert pictures.shape == (2, 1, size_px, size_px)
    assert discriminator(pictures, labels).shape == (2,)


def test_the_class_changes_the_picture_and_the_logit():
    torch.manual_seed(0)
    generator, discriminator = build_networks(preset("mnist-cgan"), class_count=10)
    for module in generator.modules():
        if isinstance(module, ConditionalBatchNorm2d):
            nn.init.normal_(module.gain.weight)
    generator.eval()
    pictures = generator(torch.randn(1, 100).expand(2, -1), torch.tensor([1, 3]))
    assert not torch.allclose(pictures[0], pictures[1], atol=1e-4)
    logits = discriminator(pictures[:1].expand(2, -1, -1, -1), torch.tensor([1, 3]))
    assert abs(logits[0] - logits[1]) > 1e-6


def test_every_class_starts_with_a_gain_of_1_and_a_bias_of_0():
    recipe = preset("mnist-cgan").with_overrides(["model.generator_spectral_norm=true"])
    generator, discriminator = build_networks(recipe, class_count=10)
    norms = [module for module in generator.modules() if isinstance(module, ConditionalBatchNorm2d)]
    assert len(norms) == 3
    for norm in norms:
        assert (norm.gain.weight == 1).all()
        assert (norm.bias.weight == 0).all()
        assert not parametrize.is_parametrized(norm.gain)
    assert parametrize.is_parametrized(discriminator.embedding)


def test_real_and_generated_pictures_are_normalised_apart():
    torch.manual_seed(0)
    norm = PartedBatchNorm2d(3)
    real, fake = torch.randn(8, 3, 4, 4) * 5 + 20, torch.randn(8, 3, 4, 4)
    both = norm(torch.cat([real, fake]), 2)
    alone = nn.BatchNorm2d(3)
    torch.testing.assert_close(both, torch.cat([alone(real), alone(fake)]))
    assert not torch.allclose(norm(torch.cat([real, fake]), 1), both, atol=0.1)


def test_a_discriminator_with_batch_norm_judges_real_pictures_alike_whatever_comes_with_them():
    torch.manual_seed(0)
    recipe = preset("mnist-dcgan").with_overrides(["model.discriminator_width=8"])
    discriminator = build_networks(recipe, class_count=0).discriminator
    real, fake, other = (torch.rand(4, 1, 32, 32) * scale for scale in (1, 0.2, 3))
    first = discriminator(torch.cat([real, fake]), parts=2)[:4]
    second = discriminator(torch.cat([real, other]), parts=2)[:4]
    torch.testing.assert_close(first, second)


def test_maps_that_can_have_attention():
    assert attention_maps(preset("mnist-sagan")).generator == {4: 512, 8: 256, 16: 128}
    assert attention_maps(preset("mnist-sagan")).discriminator == {16: 128, 8: 256, 4: 512}
    assert attention_maps(preset("mnist-gan")).generator == {7: 128, 14: 64}  # of two of 7 px the later one
    assert attention_maps(preset("mnist-gan")).discriminator == {14: 64, 7: 128}
    assert attention_maps(preset("dogs-sagan")).generator == {8: 512, 16: 256, 32: 128, 64: 64}
    assert attention_maps(preset("dogs-sagan")).discriminator == {32: 64, 16: 128, 8: 256, 4: 512}


def test_attention_on_maps_of_odd_sides():
    recipe = preset("mnist-gan").with_overrides(
        ["model.generator_attention_px=7,14", "model.discriminator_attention_px=7,14"]
    )
    generator, discriminator = build_networks(recipe, class_count=0)
    assert discriminator(generator(torch.randn(2, 100))).shape == (2,)
    for network in (generator, discriminator):  # each takes part
        for layer in network.attention.values():
            layer.gamma.data.fill_(1.0)
        seen = []
        for layer in network.attention.values():
            layer.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        x = torch.randn(2, 100) if network is generator else torch.randn(2, 1, 28, 28)
        network(x)
        assert len(seen) == 2


@pytest.mark.parametrize(
    ("name", "setting", "named"),
    [
        ("mnist-dcgan", "data.size_px=28", "size_px=28"),
        ("mnist-gan", "data.size_px=30", "size_px=30"),
        ("mnist-sagan", "model.generator_attention_px=32", "generator_attention_px=32"),
        ("mnist-sagan", "model.discriminator_attention_px=32", "discriminator_attention_px=32"),
        ("mnist-sagan", "model.generator_width=4", "attention needs 8"),
        ("dogs-sagan", "model.discriminator_dropout=0.3", "discriminator_dropout"),
        ("dogs-sagan", "model.discriminator_batch_norm=true", "discriminator_batch_norm"),
        ("dogs-sagan", "model.generator_slope=0.1", "generator_slope"),
        ("dogs-sagan", "data.size_px=28", "size_px=28"),
    ],
)
def test_what_cannot_be_built_is_refused_by_name(name, setting, named):
    with pytest.raises(DogsganError, match=named):
        networks(name, setting)


def test_batch_norm_can_be_left_out_of_a_residual_generator():
    recipe = preset("demo").with_overrides(["model.conditional=false", "model.generator_batch_norm=false"])
    generator = build_networks(recipe, class_count=0).generator
    assert not any(isinstance(m, nn.BatchNorm2d) for m in generator.modules())
    assert generator(torch.randn(2, 64)).shape == (2, 3, 64, 64)


def test_without_batch_norm_every_layer_has_a_bias():
    generator, discriminator = networks(
        "mnist-dcgan", "model.generator_batch_norm=false", "model.discriminator_batch_norm=false"
    )
    assert all(shape[-1] for shape in shapes(generator) + shapes(discriminator))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_says_where_it_comes_from_and_can_be_built(name):
    assert PRESETS[name].source
    networks(name, class_count=PRESETS[name].class_count)
