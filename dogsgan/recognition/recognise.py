"""Recognition of a generated side and of real crops beside it: what `score` and `audit` add to the score."""

import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import PIL

from dogsgan.config import DataRecipe
from dogsgan.cores import usable_cores
from dogsgan.data.prepare import VERSION, crops_in_order
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side, features_of_batches
from dogsgan.features.networks import FeatureNetwork
from dogsgan.files import atomic_path
from dogsgan.progress import say
from dogsgan.recognition.imagenet import DOGS, ClassSet, imagenet_indices, wnids_of
from dogsgan.recognition.shares import Recognition, guesses_of, shares_of

_SEED = 0


def recognise(
    generated: Source,
    generated_side: Side,
    real: Source | None,
    real_side: Side,
    network: FeatureNetwork,
    *,
    generated_classes: Sequence[str | None],
    size_px: int,
    cache_dir: Path,
    classes: ClassSet | None = None,
) -> Recognition | None:
    """Return how `network` recognises generated pictures and as many real crops of `size_px`.

    None where the network has no classifier; and among digits and faces, unless `classes` are given.
    `generated_classes` has a name or None for each generated picture. The real crops are squares around the
    boxes of `real` chosen by chance, as `prepare` cuts them, and their guesses are kept in `cache_dir`; or
    the pictures of a prepared set, as they are. `real` is None where it is a statistics file.
    """
    if network.classifier is None or generated_side.features is None:
        return None
    if classes is None:
        if real is not None and not real.may_show_dogs:
            return None
        classes = DOGS
    wnids = {**wnids_of(generated), **(wnids_of(real) if real is not None else {})}
    real_names = [image.class_name for image in real.images] if real is not None else []
    indices = imagenet_indices([*generated_classes, *real_names], wnids=wnids, within=classes)
    own = [indices.get(name) if name else None for name in generated_classes]
    guesses = guesses_of(generated_side.features, network.classifier, classes=classes, own=own)
    assert guesses.probability is not None
    real_shares, described = None, "none: the real side is a statistics file"
    if real is not None:
        best, names, described = _real_guesses(
            real, real_side, network, count=len(own), size_px=size_px, cache_dir=cache_dir, classes=classes
        )
        if len(best):
            real_own = [indices.get(name) if name else None for name in names]
            real_shares = shares_of(best, classes=classes, own=real_own)
    return Recognition(
        classes=classes,
        generated=shares_of(guesses.best, classes=classes, own=own),
        real=real_shares,
        real_crops=described,
        indices=indices,
        probability=dict(
            zip((image.name for image in generated.images), guesses.probability.tolist(), strict=True)
        ),
    )


def _real_guesses(
    source: Source,
    side: Side,
    network: FeatureNetwork,
    *,
    count: int,
    size_px: int,
    cache_dir: Path,
    classes: ClassSet,
) -> tuple[np.ndarray, list[str | None], str]:
    """Return guesses of real crops N×5, the class of each, and what they are in words."""
    assert network.classifier is not None
    if source.crop_set is not None and side.features is not None and side.count == len(source.images):
        chosen = np.sort(np.random.default_rng(_SEED).permutation(len(source.images))[:count])
        best = guesses_of(side.features[chosen], network.classifier, classes=classes).best
        names = [source.images[row].class_name for row in chosen]
        policy = source.crop_set.provenance.get("policy", "unknown")
        return best, names, f"crops of the prepared set ({policy})"
    described = f"square crops of the boxes at {size_px} px"
    path = _cache_path(cache_dir, source, network, count=count, size_px=size_px)
    if (kept := _load(path)) is not None:
        return *kept, described
    names = []
    batches = _batches(_squares(source, size_px), names, count=count, batch_size=network.batch_size)
    features = features_of_batches(
        batches, network, total=min(count, _most_crops(source)), description="real crops"
    )
    best = guesses_of(features, network.classifier, classes=classes).best if len(features) else _NOTHING
    _keep(path, best, names)
    return best, names, described


_NOTHING = np.zeros((0, 5), dtype=np.int64)


def _most_crops(source: Source) -> int:
    return sum(max(1, len(image.boxes)) for image in source.images)


def _squares(source: Source, size_px: int) -> Iterator[tuple[np.ndarray, str | None]]:
    """Yield square crops with their classes, of pictures in an order by chance."""
    order = np.random.default_rng(_SEED).permutation(len(source.images))
    shuffled = dataclasses.replace(source, images=[source.images[index] for index in order])
    data = DataRecipe(size_px=min(max(size_px, 8), 1024), policy="square")  # whatever was generated
    for cropped in crops_in_order(shuffled, data, workers=usable_cores()):
        for picture, _ in cropped.crops:
            yield picture, cropped.image.class_name


def _batches(
    crops: Iterator[tuple[np.ndarray, str | None]],
    names: list[str | None],
    *,
    count: int,
    batch_size: int,
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yield at most `count` crops in batches for a network; their classes are added to `names`."""
    wanted = itertools.islice(crops, count)
    while batch := list(itertools.islice(wanted, batch_size)):
        names += [name for _, name in batch]
        yield np.stack([picture for picture, _ in batch]), [f"real crop {len(names)}" for _ in batch]


def _cache_path(
    cache_dir: Path, source: Source, network: FeatureNetwork, *, count: int, size_px: int
) -> Path:
    decisive = (
        "real crops 1",
        source.fingerprint(),
        network.identity,
        count,
        size_px,
        _SEED,
        VERSION,
        PIL.__version__,
    )
    key = hashlib.sha256("\n".join(map(str, decisive)).encode()).hexdigest()
    return cache_dir / "guesses" / f"{key}.npz"


def _load(path: Path) -> tuple[np.ndarray, list[str | None]] | None:
    try:
        with np.load(path, allow_pickle=False) as kept:
            best, names = kept["best"], kept["names"].tolist()
    except Exception:  # not there, or damaged in any way: made anew
        return None
    if best.ndim != 2 or best.shape[1] != 5 or len(best) != len(names):
        return None
    return best, [name or None for name in names]


def _keep(path: Path, best: np.ndarray, names: Sequence[str | None]) -> None:
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez(file, best=best, names=np.array([name or "" for name in names], dtype=str))
    except (DogsganError, OSError) as error:
        say(f"guesses of real crops are not cached: {error}")
