"""The classifier of all real training pictures: it says whether generated ones show what they should."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dogsgan.errors import DogsganError
from dogsgan.files import atomic_path, read_json, write_json
from dogsgan.studies.augmentation.classifier import (
    Feed,
    Labelled,
    accuracy,
    build_classifier,
    train_classifier,
)
from dogsgan.tensors import load_file, save_file

WEIGHTS_FILE = "reference.safetensors"
RECORD_FILE = "reference.json"


@dataclass(frozen=True)
class Reference:
    """A classifier, and how well it does on the test pictures."""

    network: nn.Module
    accuracy: float | None


def reference_classifier(
    folder: Path, train: Labelled, test: Labelled, *, class_count: int, images: int
) -> Reference:
    """Train the reference in `folder`, or open the one that is there."""
    weights, record = folder / WEIGHTS_FILE, folder / RECORD_FILE
    if weights.exists() and record.exists():
        return Reference(_opened(weights, train, class_count=class_count), read_json(record)["accuracy"])
    network = train_classifier([Feed(train)], class_count=class_count, images=images, seed=0)
    share = accuracy(network, test)
    with atomic_path(weights) as partial:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, partial)
    write_json(record, {"accuracy": share})
    return Reference(network, share)


def _opened(path: Path, train: Labelled, *, class_count: int) -> nn.Module:
    network = build_classifier(channels=train.pictures.shape[3], class_count=class_count, seed=0)
    try:
        network.load_state_dict(load_file(path)[0])
    except Exception as error:  # what a damaged file makes of it is anything
        raise DogsganError(f"{path} is damaged ({error}): remove it, it will be made again") from error
    return network.to(train.pictures.device).eval()
