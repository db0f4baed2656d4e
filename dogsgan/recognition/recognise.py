"""Recognition of a generated side and of real crops beside it: what `score` and `audit` add to the score."""

from collections.abc import Sequence

from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import Side
from dogsgan.features.networks import LITE0, FeatureNetwork
from dogsgan.recognition.imagenet import DOGS, ClassSet, imagenet_indices, wnids_of
from dogsgan.recognition.real_crops import RealCrops
from dogsgan.recognition.shares import Recognition, guesses_of, shares_of


def refuse_without_classifier(network: FeatureNetwork, option: str) -> None:
    """Refuse an option of recognition for a network that names no classes.

    Raises:
        DogsganError: it is such a network.
    """
    if network.classifier is None:
        raise DogsganError(
            f"{option} goes with --per-class, or with a network that names classes, and {network.name} does "
            f"not: leave it out, or choose --network {LITE0}"
        )


def recognise(
    generated: Source,
    generated_side: Side,
    crops: RealCrops | None,
    real_side: Side,
    network: FeatureNetwork,
    *,
    generated_classes: Sequence[str | None],
    classes: ClassSet | None = None,
) -> Recognition | None:
    """Return how `network` recognises generated pictures, and real crops (None: a statistics file has none).

    None where the network has no classifier; and among digits and faces, unless `classes` are given.
    `generated_classes` has a name or None for each generated picture.
    """
    if network.classifier is None or generated_side.features is None:
        return None
    if classes is None:
        if crops is not None and not crops.source.may_show_dogs:
            return None
        classes = DOGS
    wnids, names = wnids_of(generated), list(generated_classes)
    if crops is not None:
        wnids |= wnids_of(crops.source)
        names += [image.class_name for image in crops.source.images]
    indices = imagenet_indices(names, wnids=wnids, within=classes)

    def own(names: Sequence[str | None]) -> list[int | None]:
        return [indices.get(name) if name else None for name in names]

    guesses = guesses_of(
        generated_side.features, network.classifier, classes=classes, own=own(generated_classes)
    )
    real, described = None, "none: the real side is a statistics file"
    if crops is not None:
        best, real_names, described = crops.guesses(real_side)
        real = shares_of(best, classes=classes, own=own(real_names)) if len(best) else None
    probability = zip((image.name for image in generated.images), guesses.probability.tolist(), strict=True)
    return Recognition(
        classes=classes,
        generated=shares_of(guesses.best, classes=classes, own=own(generated_classes)),
        real=real,
        real_crops=described,
        indices=indices,
        probability=dict(probability),
    )
