"""Each network's features against an independent implementation with the same random weights."""

import copy
import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from dogsgan.data.pictures import decode_picture
from dogsgan.errors import DogsganError
from dogsgan.features.inception import Conv, Inception2015, folded_keys
from dogsgan.features.networks import _exact
from dogsgan.features.timm_networks import PRIVATE_RECIPE, TimmFeatures, parse_recipe
from dogsgan.scoring import features_of, frechet_distance_of_features, open_network

STAND_IN_FEATURES = (3.3533501625, 2.9265749454, 2.8488681316)


def random_inception() -> dict[str, torch.Tensor]:
    """Return random weights under the published file's names, scaled so that signals neither die nor grow."""
    generator = torch.Generator().manual_seed(0)
    state = {}
    for name, module in Inception2015().named_modules():
        if isinstance(module, Conv):
            weight, gain, bias, mean, variance = folded_keys(name)
            fan_in = module.weight[0].numel()
            state[weight] = torch.randn(module.weight.shape, generator=generator) * (2 / fan_in) ** 0.5
            state[gain] = torch.rand(module.out_channels, generator=generator) + 0.5
            state[bias] = torch.randn(module.out_channels, generator=generator) * 0.1
            state[mean] = torch.randn(module.out_channels, generator=generator) * 0.1
            state[variance] = torch.rand(module.out_channels, generator=generator) + 0.5
            state[f"{name}.bn.num_batches_tracked"] = torch.tensor(0)
    state["fc.weight"], state["fc.bias"] = torch.zeros(1008, 2048), torch.zeros(1008)
    return state


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random-inception.pth"
    torch.save(random_inception(), path)
    return path


def real_pictures(shared_data: Path, count: int) -> list[np.ndarray]:
    """Return real pictures in their several original sizes."""
    files = sorted((shared_data / "generative-dog-images-mini").rglob("*.jpg"))[:: 510 // count][:count]
    return [np.asarray(decode_picture(file.read_bytes(), file.name)) for file in files]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def test_inception_agrees_with_torch_fidelity_on_real_pictures(
    shared_data: Path, inception_file: Path
) -> None:
    extractor = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    theirs = extractor.FeatureExtractorInceptionV3(
        "random", ["2048"], feature_extractor_weights_path=str(inception_file)
    )
    ours = open_network("public", weights=inception_file, device="cpu")
    pictures = real_pictures(shared_data, 5)
    pictures.append(np.random.RandomState(0).randint(0, 256, (64, 64, 3)).astype(np.uint8))
    assert len({picture.shape for picture in pictures}) >= 3
    for picture in pictures:
        batch = torch.from_numpy(np.array(picture))[None]
        expected = theirs(batch.permute(0, 3, 1, 2))[0]
        assert expected.abs().max() > 0.1
        assert relative_error(ours.features(batch), expected) < 1e-4


def test_unknown_weights_are_not_called_the_competitions(inception_file: Path) -> None:
    network = open_network("public", weights=inception_file, device="cpu")
    assert network.epsilon == 0.1
    assert not network.competition


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.update({"AuxLogits.fc.bias": torch.zeros(1000)}), "another Inception"),
        (lambda state: state.update({"fc.bias": torch.zeros(1000)}), "another Inception"),
        (lambda state: state.pop("Mixed_7c.branch_pool.bn.running_var"), "running_var should have shape"),
        (
            lambda state: state.update({"Conv2d_1a_3x3.conv.weight": torch.zeros(32, 1, 3, 3)}),
            r"Conv2d_1a_3x3.conv.weight should have shape \(32, 3, 3, 3\)",
        ),
    ],
)
def test_another_networks_weights_are_refused_by_name(change, message: str) -> None:  # type: ignore[no-untyped-def]
    state = dict(random_inception())
    change(state)
    with pytest.raises(DogsganError, match=message):
        Inception2015.from_state_dict(state, "file.pth")


def test_nasnet_agrees_with_timms_own_preprocessing_and_network() -> None:
    """At a size where both resizes are the identity, ours is timm's transform, then timm's network."""
    torch.manual_seed(0)
    theirs = timm.create_model("nasnetalarge", num_classes=0).eval()
    ours = TimmFeatures(PRIVATE_RECIPE, theirs.state_dict(), "file")
    assert ours.dimension == 4032
    data = timm.data.resolve_data_config({}, model=theirs)
    assert data["input_size"] == (3, 331, 331)
    transform = timm.data.transforms_factory.transforms_imagenet_eval(
        img_size=331, crop_pct=1.0, mean=data["mean"], std=data["std"]
    )
    picture = np.random.RandomState(0).randint(0, 256, (331, 331, 3)).astype(np.uint8)
    with torch.inference_mode():
        expected = theirs(transform(Image.fromarray(picture))[None])
        found = ours(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    assert expected.shape == (1, 4032)
    assert relative_error(found, expected) < 1e-4


def test_mobilenet_follows_its_recipe(shared_data: Path) -> None:
    """The recipe of the weights' description, written out here once more."""
    from safetensors.torch import load_file

    file = shared_data / "mobilenetv1_100.safetensors"
    theirs = timm.create_model("mobilenetv1_100", pad_type="same", num_classes=0).eval()
    theirs.load_state_dict(load_file(file))
    pictures = np.stack([picture[:64, :64] for picture in real_pictures(shared_data, 6)])
    batch = torch.from_numpy(pictures).permute(0, 3, 1, 2).float()
    with torch.inference_mode():
        expected = theirs(torch.nn.functional.interpolate(batch / 127.5 - 1, (128, 128), mode="bilinear"))
    ours = open_network("timm:mobilenetv1_100", weights=file, device="cpu")
    found = torch.from_numpy(features_of(pictures, ours, batch_size=4))
    assert found.shape == (6, 1024)
    assert relative_error(found, expected) < 1e-5
    assert not ours.competition
    assert ours.epsilon is None


def test_recipes_can_be_changed_by_name() -> None:
    recipe = parse_recipe("timm:mobilenetv1_100:px=96:pad_type=:resize=tf1")
    assert (recipe.input_px, recipe.pad_type, recipe.resize) == (96, "", "tf1")
    plain = parse_recipe("timm:resnet18")
    assert (plain.input_px, plain.pad_type, plain.resize) == (224, None, "bilinear")
    assert plain.mean == pytest.approx((0.485, 0.456, 0.406))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm:no_such_network", "no network called 'no_such_network'"),
        ("timm:", "no network called ''"),
        ("timm:resnet18:px=huge", "cannot use the option 'px=huge'"),
        ("timm:resnet18:px=8", "px=16..2048"),
        ("timm:resnet18:colour=blue", "cannot use the option"),
    ],
)
def test_malformed_timm_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(DogsganError, match=message):
        parse_recipe(name)


def test_timm_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    state = timm.create_model("test_resnet", num_classes=10).state_dict()
    with_classifier = tmp_path / "whole.safetensors"
    save_file(state, with_classifier)
    network = open_network("timm:test_resnet", weights=with_classifier, device="cpu")
    assert network.features(np.zeros((2, 32, 32, 3), np.uint8)).shape == (2, network.dimension)
    lacking = {key: value for key, value in state.items() if "layer1" not in key}
    short = tmp_path / "short.safetensors"
    save_file(lacking, short)
    with pytest.raises(
        DogsganError, match=r"short.safetensors is not a weights file of timm:test_resnet: it lacks"
    ):
        open_network("timm:test_resnet", weights=short, device="cpu")
    with pytest.raises(DogsganError, match="pad_type"):
        open_network("timm:test_vit:pad_type=same", weights=with_classifier, device="cpu")


def test_network_names() -> None:
    with pytest.raises(DogsganError, match="no such network: 'privat'"):
        open_network("privat")
    with pytest.raises(
        DogsganError, match="no weights for the network timm:resnet18: run dogsgan weights timm:resnet18 "
    ):
        open_network("timm:resnet18", device="cpu")
    with pytest.raises(DogsganError, match="leave out --weights"):
        open_network("stand-in", weights=Path("file"), device="cpu")


def test_stand_in_never_changes() -> None:
    """Its numbers can be compared over years: these were computed once."""
    pictures = np.random.RandomState(0).randint(0, 256, (2, 64, 64, 3)).astype(np.uint8)
    features = features_of(pictures, open_network("stand-in", device="cpu"))
    assert features.shape == (2, 288)
    np.testing.assert_allclose(features[0, :3], STAND_IN_FEATURES, rtol=1e-4)


def test_stand_in_orders_worse_and_worse_pictures(shared_data: Path) -> None:
    """Other real pictures are nearest, then blurred ones, then noisy ones, then pure noise."""
    files = sorted((shared_data / "generative-dog-images-mini").rglob("*.jpg"))
    pictures = [Image.open(file).convert("RGB").resize((64, 64)) for file in files]
    one, other = pictures[::2], pictures[1::2]
    random = np.random.RandomState(0)
    stacks = [
        np.stack([np.asarray(picture) for picture in other]),
        np.stack([np.asarray(picture.resize((16, 16)).resize((64, 64))) for picture in other]),
        np.stack([np.asarray(picture) for picture in other]) * 0.5 + random.rand(len(other), 64, 64, 3) * 127,
        random.rand(len(other), 64, 64, 3) * 255,
    ]
    network = open_network("stand-in", device="cpu")
    real = features_of(np.stack([np.asarray(picture) for picture in one]), network)
    distances = [frechet_distance_of_features(features_of(stack, network), real) for stack in stacks]
    assert distances == sorted(distances)
    assert distances[1] > 2 * distances[0]


def test_batches_do_not_change_features() -> None:
    pictures = np.random.RandomState(0).randint(0, 256, (7, 32, 32, 3)).astype(np.uint8)
    network = open_network("stand-in", device="cpu")
    whole = features_of(pictures, network)
    np.testing.assert_allclose(features_of(pictures, network, batch_size=3), whole, rtol=1e-5)
    np.testing.assert_allclose(features_of(pictures.astype(np.float32), network), whole, rtol=1e-6)


def test_pictures_in_a_mapped_file_are_taken_without_a_warning(tmp_path: Path) -> None:
    pictures = np.random.RandomState(0).randint(0, 256, (5, 32, 32, 3)).astype(np.uint8)
    np.save(tmp_path / "pictures.npy", pictures)
    mapped = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    network = open_network("stand-in", device="cpu")
    expected = network.features(pictures)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(network.features(mapped), expected)
        mirrored = network.features(mapped[:, :, ::-1])
    assert torch.equal(mirrored, network.features(pictures[:, :, ::-1].copy()))


def test_on_a_gpu_cudnn_is_used_but_neither_tf32_nor_what_does_not_repeat() -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic
    with _exact(torch.device("cuda")):
        assert (cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic) == (True, False, True)
    assert (cudnn.enabled, cudnn.allow_tf32, cudnn.deterministic) == before


def test_cores_side_by_side_change_neither_features_nor_settings() -> None:
    pictures = np.random.RandomState(0).randint(0, 256, (50, 32, 32, 3)).astype(np.uint8)
    network = open_network("stand-in", device="cpu")
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = features_of(pictures, network, batch_size=4)
        torch.set_num_threads(3)
        np.testing.assert_allclose(features_of(pictures, network, batch_size=4), alone, rtol=1e-5)
        assert torch.get_num_threads() == 3
        pictures = pictures.astype(np.float32)
        pictures[17] = np.nan
        with pytest.raises(DogsganError, match="for picture 17"):
            features_of(pictures, network, batch_size=4)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_nan_features_name_the_picture() -> None:
    network = copy.copy(open_network("stand-in", device="cpu"))
    pictures = np.zeros((5, 32, 32, 3), np.float32)
    pictures[3, 0, 0, 0] = np.nan
    with pytest.raises(DogsganError, match="NaN or infinite features for picture 3"):
        features_of(pictures, network, batch_size=2)
