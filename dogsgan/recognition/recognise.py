"""Recognition of a generated side and of real crops beside it: what `score` and `audit` add to the score."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dogsgan.data.sources import Source
from dogsgan.features.extraction import Side
from dogsgan.features.networks import FeatureNetwork
from dogsgan.recognition.imagenet import DOGS, ClassSet, imagenet_indices, wnids_of
from dogsgan.recognition.real_crops import KeptGuesses, RealCrops
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
    crops: Sequence[RealCrops] = (),
) -> Recognition | None:
    """Return how `network` recognises generated pictures and as many real crops of `size_px`.

    None where the network has no classifier; and among digits and faces, unless `classes` are given.
    `generated_classes` has a name or None for each generated picture. The real crops are squares around the
    boxes of `real` chosen by chance, and their guesses are kept in `cache_dir`; or the pictures of a prepared
    set, as they are. `crops` is what `crops_to_cut` gave before the pass over the real pictures; without it
    those are read once more. `real` is None where it is a statistics file.
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
            real,
            real_side,
            network,
            count=len(own),
            size_px=size_px,
            cache_dir=cache_dir,
            classes=classes,
            crops=crops,
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
    crops: Sequence[RealCrops],
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
    kept = KeptGuesses(cache_dir, source, network, count=count, size_px=size_px)
    guesses = kept.load()
    if guesses is None:
        some = crops[0] if crops else RealCrops(source, count=count, size_px=size_px)
        guesses = some.guesses(network, classes)
        kept.keep(guesses)
    return *guesses, described
