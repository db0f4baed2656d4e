"""The laws that the layers obey."""

import copy
import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import RECIPE
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm as torch_spectral_norm

from dogsgan.models import build_networks
from dogsgan.models.layers import (
    ConditionalBatchNorm2d,
    ConvDownsample2d,
    SelfAttention,
    UpsampleConv2d,
    _Normalised,
    blur,
    spectral_norm,
)
from dogsgan.models.sagan import GeneratorBlock


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
def test_upsampling_fused_into_the_convolution_changes_nothing(in_channels, out_channels, height, width):
    layer = UpsampleConv2d(in_channels, out_channels).double()
    x = torch.randn(2, in_channels, height, width, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x), expected)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6), st.integers(1, 6))
def test_pooling_fused_into_the_convolution_changes_nothing(in_channels, out_channels, height, width):
    layer = ConvDownsample2d(in_channels, out_channels).double()
    x = torch.randn(2, in_channels, 2 * height, 2 * width, dtype=torch.float64)
    expected = F.avg_pool2d(F.conv2d(x, layer.weight, layer.bias, padding=1), 2)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("use_spectral_norm", [True, False])
def test_attention_at_gamma_zero_is_the_identity(use_spectral_norm):
    layer = SelfAttention(16, use_spectral_norm=use_spectral_norm)
    x = torch.randn(2, 16, 8, 8)
    assert torch.equal(layer(x), x)
    layer.gamma.data.fill_(1.0)
    assert not torch.allclose(layer(x), x, atol=1e-3)


def test_attention_is_the_paper_s_formula():
    torch.manual_seed(0)
    layer = SelfAttention(16, use_spectral_norm=False)
    layer.gamma.data.fill_(0.7)
    x = torch.randn(2, 16, 4, 6)

    def positions(y):
        return y.reshape(y.shape[0], y.shape[1], -1)

    theta = positions(layer.query(x))  # N×2×24
    phi = positions(F.max_pool2d(layer.key(x), 2))  # N×2×6
    g = positions(F.max_pool2d(layer.value(x), 2))  # N×8×6
    beta = torch.einsum("ncq,nck->nqk", theta, phi).exp()
    beta = beta / beta.sum(dim=2, keepdim=True)
    o = torch.einsum("nqk,nck->ncq", beta, g).reshape(2, 8, 4, 6)
    torch.testing.assert_close(layer(x), x + 0.7 * layer.out(o))
    assert (layer.query.out_channels, layer.value.out_channels) == (2, 8)
    assert all(convolution.bias is None for convolution in (layer.query, layer.key, layer.value, layer.out))


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(7, 5),
        nn.Conv2d(4, 6, 3),
        nn.ConvTranspose2d(4, 6, 3),
        nn.Embedding(9, 4),
        UpsampleConv2d(4, 6),
        ConvDownsample2d(4, 6),
    ],
    ids=lambda module: type(module).__name__,
)
def test_the_top_singular_value_is_one(module):
    torch.manual_seed(0)
    nn.init.normal_(module.weight, std=3.0)
    module = spectral_norm(module)
    for _ in range(50):
        _ = module.weight  # a power iteration each
    weight = module.eval().weight.detach()
    if isinstance(module, nn.ConvTranspose2d):
        weight = weight.transpose(0, 1)
    top = torch.linalg.svdvals(weight.flatten(1).double())[0]
    assert abs(top - 1) < 1e-3


@pytest.mark.parametrize(
    "module",
    [nn.Conv2d(4, 6, 3), nn.ConvTranspose2d(4, 6, 3), nn.Linear(5, 7)],
    ids=lambda m: type(m).__name__,
)
def test_weight_and_gradient_are_those_of_torch_s_spectral_norm(module):
    theirs = torch_spectral_norm(copy.deepcopy(module))
    ours = spectral_norm(copy.deepcopy(module))
    ours.load_state_dict(theirs.state_dict())
    direction = torch.randn_like(module.weight)
    for _ in range(2):  # a power iteration each
        found, expected = ours.weight, theirs.weight
        torch.testing.assert_close(found, expected)
        (found * direction).sum().backward()
        (expected * direction).sum().backward()
    torch.testing.assert_close(
        ours.parametrizations.weight.original.grad, theirs.parametrizations.weight.original.grad
    )
    for name in ("_u", "_v"):
        ours_now, theirs_now = (getattr(m.parametrizations.weight[0], name) for m in (ours, theirs))
        torch.testing.assert_close(ours_now, theirs_now)


def test_a_gradient_penalty_can_go_through_the_normalisation():
    weight = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    u, v = (nn.functional.normalize(torch.randn(n, dtype=torch.float64), dim=0) for n in (3, 4))
    u, v = u[:, None], v[None]

    def normalised(weight):
        return _Normalised.apply(weight, u, v, (weight * u * v).sum().detach())

    assert torch.autograd.gradcheck(normalised, (weight,))
    assert torch.autograd.gradgradcheck(normalised, (weight,))


@pytest.mark.parametrize("architecture", ["sagan", "dcgan"])
def test_iterations_of_all_layers_at_once_are_those_of_each_by_itself(architecture):
    torch.manual_seed(0)
    model = dataclasses.replace(RECIPE.model, architecture=architecture)
    together = build_networks(dataclasses.replace(RECIPE, model=model), class_count=3)
    for parameter in (*together.generator.parameters(), *together.discriminator.parameters()):
        parameter.data.add_(0.1 * torch.randn_like(parameter))  # orthogonal weights have no direction to find
    apart = copy.deepcopy(together)
    inputs = (torch.randn(4, 16), torch.randn(4, 3, 32, 32))
    labels = torch.arange(4) % 3
    for network, twin, x in zip(together, apart, inputs, strict=True):
        before = copy.deepcopy(network.state_dict())
        twin._forward_pre_hooks.clear()
        for _ in range(2):
            found, expected = network(x, labels), twin(x, labels)
            torch.testing.assert_close(found, expected)
            found.square().sum().backward()
            expected.square().sum().backward()
        for (name, ours), theirs in zip(network.named_parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(ours.grad, theirs.grad, msg=name)
        torch.testing.assert_close(network.state_dict(), twin.state_dict())
        names = [name for name in before if name.endswith("._u") and len(before[name]) > 1]
        assert len(names) > 3
        assert all(not torch.equal(before[name], network.state_dict()[name]) for name in names)
        network.eval()(x, labels)
        torch.testing.assert_close(network.state_dict(), twin.state_dict())


def test_spectral_norm_stays_in_float32_under_autocast():
    torch.manual_seed(0)
    module = spectral_norm(nn.Linear(64, 64))
    twin = copy.deepcopy(module)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        weight = module.weight
    assert weight.dtype is torch.float32
    assert torch.equal(weight, twin.weight)


def test_a_copy_after_a_forward_works():
    module = spectral_norm(nn.Linear(3, 3))
    module(torch.randn(2, 3)).sum().backward()
    assert torch.equal(copy.deepcopy(module).eval().weight, module.eval().weight)


def test_conditional_batch_norm_normalises_then_scales_by_class():
    layer = ConditionalBatchNorm2d(3, 2)
    layer.gain.weight.data = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    layer.bias.weight.data = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])
    x = torch.randn(6, 3, 4, 4)
    labels = torch.tensor([0, 1, 1, 0, 1, 0])
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True, unbiased=False)
    expected = (x - mean) / (var + 1e-5).sqrt()
    expected = (
        expected * layer.gain.weight[labels][:, :, None, None] + layer.bias.weight[labels][:, :, None, None]
    )
    torch.testing.assert_close(layer(x, labels), expected)


@pytest.mark.parametrize("side", [1, 4, 7])
def test_blurred_nearest_upsampling_is_bilinear(side):
    x = torch.randn(2, 3, side, side, dtype=torch.float64)
    nearest = F.interpolate(x, scale_factor=2, mode="nearest")
    torch.testing.assert_close(blur(nearest), F.interpolate(x, scale_factor=2, mode="bilinear"))


def test_a_smooth_generator_leaves_less_of_a_frequency_s_mirror_image():
    """Up from 128 to 256 px, 48 waves across come with an image of 80: nearest weighs both by a cosine."""
    waves = torch.cos(2 * torch.pi * 48 * torch.arange(128) / 128).expand(1, 8, 128, 128)

    def image(is_smooth):
        torch.manual_seed(0)
        block = GeneratorBlock(
            8, 4, class_count=0, is_smooth=is_smooth, use_spectral_norm=False, use_batch_norm=False
        )
        torch.nn.init.zeros_(block.conv2.weight)  # what is left is the skip
        power = torch.fft.rfft(block(waves.clone(), None).mean((0, 1, 2))).abs()
        return (power[80] / power[48]).item()

    assert image(is_smooth=False) == pytest.approx(0.668, abs=0.01)
    assert image(is_smooth=True) == pytest.approx(0.668**3, abs=0.02)
