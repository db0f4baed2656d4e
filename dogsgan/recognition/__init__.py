"""How often a classifier of ImageNet's classes sees in a picture what it should show: part of the score.

The guesses come from the features that the score has anyway, by the network's last layer. A figure of
generated pictures means something beside the same figure of real crops of their size, so both are given.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from dogsgan.config import DataRecipe
from dogsgan.data.cropping import crop_image
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.prepare import VERSION
from dogsgan.data.sources import Source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork, features_of_stream
from dogsgan.features.sides import CacheFile, Side
from dogsgan.features.timm_networks import LITE0, Classifier
from dogsgan.files import atomic_path
from dogsgan.metrics.distances import parts_of
from dogsgan.number_text import percent
from dogsgan.pictures import DECODERS, Decoded, PictureReader
from dogsgan.progress import say
from dogsgan.recognition.imagenet import DOGS, ClassSet, imagenet_indices, wnids_of

AMONG = 5
_SEED = 0
_SPARE = 1.02
"""So many more pictures are cut than crops are wanted, as some cannot be read."""


class Guesses(NamedTuple):
    """The classes that a network takes N pictures for."""

    best: np.ndarray
    """N×5 int64: the most likely classes, the likeliest first."""
    probability: np.ndarray
    """N float32: that of the class a picture is of, or of the class set."""


@dataclass(frozen=True)
class Shares:
    """What a classifier makes of some pictures."""

    pictures: int
    in_classes: float
    """The share whose first guess is in the class set."""
    labelled: int = 0
    """How many are of a class that ImageNet has."""
    first: float | None = None
    """Of the labelled ones, the share whose class is the first guess; None where there are none."""
    among_five: float | None = None
    """The share whose class is among the first five guesses."""
    by_index: dict[int, tuple[int, float, float]] = field(default_factory=dict)
    """Of each of ImageNet's classes here: how many pictures, and `first` and `among_five` of them."""

    def to_json(self) -> dict[str, Any]:
        """Return the shares of the whole as plain values."""
        names = ("pictures", "in_classes", "labelled", "first", "among_five")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, eq=False)
class Recognition:
    """How a classifier recognises generated pictures, and real crops beside them."""

    classes: ClassSet
    generated: Shares
    real: Shares | None
    """None where the real side is a statistics file, or no crop of it can be had."""
    real_crops: str
    """In words: which real crops these are."""
    indices: Mapping[str, int]
    """Of each class's name: the index of ImageNet's class."""
    probability: Mapping[str, float]
    """Of each generated picture by name: how likely its class is to the network, or the class set."""

    def ordered(self) -> list[str]:
        """Return the names of the generated pictures, the best recognised first."""
        return sorted(self.probability, key=lambda name: (-self.probability[name], name))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values: the shares of the generated pictures, and those of real crops."""
        return {
            "classes": self.classes.name,
            "class_indices": list(self.classes.indices),
            "in_classes": self.generated.in_classes,
            "first": self.generated.first,
            "among_five": self.generated.among_five,
            "generated": self.generated.to_json(),
            "real": self.real.to_json() if self.real else None,
            "real_crops": self.real_crops,
        }

    def summary(self) -> str:
        """Return it in a line or two for people."""
        lines = [
            f"first guess one of {self.classes.name}: {percent(self.generated.in_classes)} of the generated "
            f"pictures{self._beside('in_classes')}"
        ]
        if self.generated.labelled:
            lines.append(
                f"their class is the first guess: {percent(self.generated.first)}{self._beside('first')}; "
                f"among five: {percent(self.generated.among_five)}{self._beside('among_five')}"
            )
        if self.real is not None:
            lines.append(f"(real: {self.real.pictures:,} {self.real_crops})")
        return "\n".join(lines)

    def _beside(self, figure: str) -> str:
        value = getattr(self.real, figure) if self.real is not None else None
        return "" if value is None else f" (real {percent(value)})"


def guesses_of(
    features: np.ndarray, classifier: Classifier, *, classes: ClassSet, own: Sequence[int | None]
) -> Guesses:
    """Return a classifier's guesses from features, N×D.

    The probability is that of the picture's own class (index in 0..999) where `own` has one, else the sum
    over the class set.
    """
    best, probability = [], []
    in_set = torch.zeros(len(classifier.bias), dtype=torch.bool)
    in_set[list(classes.indices)] = True
    truth = torch.tensor([-1 if index is None else index for index in own], dtype=torch.long)
    for rows in parts_of(len(features)):
        with torch.inference_mode():
            chances = classifier.logits(torch.as_tensor(features[rows])).softmax(dim=1)  # R×C
        best.append(chances.topk(AMONG, dim=1).indices)
        of_own = chances.gather(1, truth[rows].clamp(min=0)[:, None])[:, 0]
        probability.append(torch.where(truth[rows] >= 0, of_own, chances[:, in_set].sum(dim=1)))
    if not best:
        return Guesses(np.zeros((0, AMONG), dtype=np.int64), np.zeros(0, dtype=np.float32))
    return Guesses(torch.cat(best).numpy(), torch.cat(probability).numpy())


def best_guesses(features: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Return the classes that a classifier takes pictures for, N×5, from features, N×D."""
    return guesses_of(features, classifier, classes=DOGS, own=[None] * len(features)).best


def shares_of(best: np.ndarray, *, classes: ClassSet, own: Sequence[int | None]) -> Shares:
    """Return the shares of guesses, N×5, that are in the class set and right; `own` has N classes or None."""
    truth = np.array([-1 if index is None else index for index in own])
    hits = best == truth[:, None]  # a class of −1 is never guessed
    first, among_five = hits[:, 0], hits.any(axis=1)
    labelled = truth >= 0
    rows: dict[int, list[int]] = defaultdict(list)
    for row in np.flatnonzero(labelled).tolist():
        rows[int(truth[row])].append(row)
    some = bool(labelled.any())
    return Shares(
        pictures=len(best),
        in_classes=float(np.isin(best[:, 0], classes.indices).mean()),
        labelled=int(labelled.sum()),
        first=float(first[labelled].mean()) if some else None,
        among_five=float(among_five[labelled].mean()) if some else None,
        by_index={
            index: (len(own_rows), float(first[own_rows].mean()), float(among_five[own_rows].mean()))
            for index, own_rows in rows.items()
        },
    )


class RealGuesses(NamedTuple):
    """A classifier's guesses of real crops, M×5, the class of each, and which crops these are in words."""

    best: np.ndarray
    class_names: list[str | None]
    description: str


class RealCrops:
    """Crops of `size_px` for a classifier, `count` at most, out of pictures of a source chosen by chance.

    Those of a prepared set are taken as they are. Of other sources they are squares around the boxes, cut as
    a consumer of the pass over the real pictures; their guesses are kept in the cache folder.
    """

    def __init__(
        self, source: Source, network: FeatureNetwork, *, count: int, size_px: int, cache_dir: Path
    ) -> None:
        order = np.random.default_rng(_SEED).permutation(len(source.images))
        self.source, self._network, self._count, self._size_px = source, network, count, size_px
        self._chosen = [source.images[index] for index in order[: int(count * _SPARE) + 8]]
        self._names = {image.name for image in self._chosen}
        self._data = DataRecipe(size_px=min(max(size_px, 8), 1024), policy="square")  # whatever was generated
        self._crops: dict[str, list[np.ndarray]] = {}
        decisive = ("real crops 2", network.identity, count, size_px, _SEED, VERSION, DECODERS)
        self._file = CacheFile(cache_dir / "guesses", source, *decisive)

    def wanted(self, *, asked: bool) -> "Sequence[RealCrops]":
        """Return the consumers that a pass over the real pictures needs for recognition: itself or none.

        `asked` tells whether classes were named, so that digits and faces are looked at too.
        """
        needless = self._network.classifier is None or self.source.crop_set is not None
        if needless or not (asked or self.source.may_show_dogs) or self._file.is_likely():
            return []
        return [self]

    def view(self, image: SourceImage, picture: Decoded) -> tuple[str, list[np.ndarray]] | None:
        """Cut the picture if it was chosen."""
        if image.name not in self._names:
            return None
        cropped = crop_image(self.source, image, self._data, picture=picture.upright(image.name))
        return image.name, [crop for crop, _ in cropped.crops]

    def take(self, row: int, made: tuple[str, list[np.ndarray]] | DogsganError | None) -> None:
        """Keep the crops."""
        if isinstance(made, tuple):
            self._crops[made[0]] = made[1]

    def guesses(self, side: Side) -> RealGuesses:
        """Return the guesses, given the source's side; the pictures are read if no pass did."""
        assert self._network.classifier is not None
        images = self.source.images
        if self.source.crop_set is not None and side.features is not None and side.count == len(images):
            chosen = np.sort(np.random.default_rng(_SEED).permutation(len(images))[: self._count])
            best = best_guesses(side.features[chosen], self._network.classifier)
            policy = self.source.crop_set.provenance.get("policy", "unknown")
            names = [images[row].class_name for row in chosen]
            return RealGuesses(best, names, f"crops of the prepared set ({policy})")
        best_and_names = self._kept()
        if best_and_names is None:
            best_and_names = self._made()
            self._keep(*best_and_names)
        return RealGuesses(*best_and_names, f"square crops of the boxes at {self._size_px} px")

    def _made(self) -> tuple[np.ndarray, list[str | None]]:
        assert self._network.classifier is not None
        if not self._crops:
            chosen = replace(self.source, images=self._chosen)
            PictureReader(chosen).feed([self])
        crops = [
            (crop, image.class_name) for image in self._chosen for crop in self._crops.get(image.name, [])
        ][: self._count]
        stream = (("a real crop", crop) for crop, _ in crops)
        features = features_of_stream(stream, self._network, total=len(crops), description="real crops")
        return best_guesses(features, self._network.classifier), [name for _, name in crops]

    def _kept(self) -> tuple[np.ndarray, list[str | None]] | None:
        """Return the guesses that are kept, or None where there are none that can be read."""
        try:
            with np.load(self._file.path(), allow_pickle=False) as kept:
                best, names = kept["best"], kept["names"].tolist()
        except Exception:  # not there, or damaged in any way: made anew
            return None
        if best.ndim != 2 or best.shape[1] != 5 or len(best) != len(names):
            return None
        return best, [name or None for name in names]

    def _keep(self, best: np.ndarray, class_names: Sequence[str | None]) -> None:
        names = np.array([name or "" for name in class_names], dtype=str)
        try:
            with atomic_path(self._file.path()) as partial, partial.open("wb") as file:
                np.savez(file, best=best, names=names)
        except (DogsganError, OSError) as error:
            say(f"guesses of real crops are not cached: {error}")


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
