"""Real crops beside generated pictures, for a classifier: squares around boxes, cut in a shared pass."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogsgan.config import DataRecipe
from dogsgan.data.cropping import crop_image
from dogsgan.data.prepare import VERSION
from dogsgan.data.source_image import SourceImage
from dogsgan.data.sources import Source
from dogsgan.decoding import DECODERS, Decoded
from dogsgan.errors import DogsganError
from dogsgan.features.extraction import features_of_batches
from dogsgan.features.networks import FeatureNetwork
from dogsgan.files import atomic_path
from dogsgan.pictures import PictureReader
from dogsgan.progress import say
from dogsgan.recognition.imagenet import ClassSet
from dogsgan.recognition.shares import guesses_of

_SEED = 0
_SPARE = 1.02
"""So many more pictures are cut than crops are wanted, as some cannot be read."""
_NOTHING = np.zeros((0, 5), dtype=np.int64)


class RealGuesses(NamedTuple):
    """A classifier's guesses of real crops, N×5, and the class of each."""

    best: np.ndarray
    class_names: list[str | None]


class RealCrops:
    """A consumer that cuts `count` crops of `size_px` out of pictures of a source chosen by chance."""

    def __init__(self, source: Source, *, count: int, size_px: int) -> None:
        order = np.random.default_rng(_SEED).permutation(len(source.images))
        self._source, self.count, self.size_px = source, count, size_px
        self._chosen = [source.images[index] for index in order[: int(count * _SPARE) + 8]]
        self._names = {image.name for image in self._chosen}
        self._data = DataRecipe(size_px=min(max(size_px, 8), 1024), policy="square")  # whatever was generated
        self._crops: dict[str, list[np.ndarray]] = {}

    def view(self, image: SourceImage, picture: Decoded) -> tuple[str, list[np.ndarray]] | None:
        """Cut the picture if it was chosen."""
        if image.name not in self._names:
            return None
        cropped = crop_image(self._source, image, self._data, picture=picture.upright(image.name))
        return image.name, [crop for crop, _ in cropped.crops]

    def take(self, row: int, made: tuple[str, list[np.ndarray]] | DogsganError | None) -> None:
        """Keep the crops."""
        if isinstance(made, tuple):
            self._crops[made[0]] = made[1]

    def guesses(self, network: FeatureNetwork, classes: ClassSet) -> RealGuesses:
        """Return the guesses of the crops, in the order by chance; read the pictures if no pass did."""
        assert network.classifier is not None
        if not self._crops:
            chosen = replace(self._source, images=self._chosen)
            for _ in PictureReader(chosen).stream(lambda image, picture: None, [self]):
                pass
        crops = [
            (crop, image.class_name) for image in self._chosen for crop in self._crops.get(image.name, [])
        ][: self.count]
        if not crops:
            return RealGuesses(_NOTHING, [])
        step = network.batch_size
        parts = (crops[start : start + step] for start in range(0, len(crops), step))
        batches = ((np.stack([crop for crop, _ in part]), ["a real crop"] * len(part)) for part in parts)
        features = features_of_batches(batches, network, total=len(crops), description="real crops")
        best = guesses_of(features, network.classifier, classes=classes).best
        return RealGuesses(best, [name for _, name in crops])


class KeptGuesses:
    """The guesses of a source's crops in the cache folder, named as features are: `LISTING-CONTENTS.npz`."""

    def __init__(
        self, cache_dir: Path, source: Source, network: FeatureNetwork, *, count: int, size_px: int
    ) -> None:
        decisive = ("real crops 2", network.identity, count, size_px, _SEED, VERSION, DECODERS)
        self._folder, self._source = cache_dir / "guesses", source
        self._listing = _hash(*decisive, source.kind, *(image.name for image in source.images))

    def are_likely(self) -> bool:
        """Return whether there are guesses of a source with such names; nothing is read for it."""
        return any(self._folder.glob(f"{self._listing}-*.npz"))

    def load(self) -> RealGuesses | None:
        """Return the guesses of these contents, or None where there are none that can be read."""
        try:
            with np.load(self._path(), allow_pickle=False) as kept:
                best, names = kept["best"], kept["names"].tolist()
        except Exception:  # not there, or damaged in any way: made anew
            return None
        if best.ndim != 2 or best.shape[1] != 5 or len(best) != len(names):
            return None
        return RealGuesses(best, [name or None for name in names])

    def keep(self, guesses: RealGuesses) -> None:
        """Write guesses; where that fails, say so and go on."""
        names = np.array([name or "" for name in guesses.class_names], dtype=str)
        try:
            with atomic_path(self._path()) as partial, partial.open("wb") as file:
                np.savez(file, best=guesses.best, names=names)
        except (DogsganError, OSError) as error:
            say(f"guesses of real crops are not cached: {error}")

    def _path(self) -> Path:
        return self._folder / f"{self._listing}-{_hash(self._source.fingerprint())}.npz"


def crops_to_cut(
    source: Source, network: FeatureNetwork, *, count: int, size_px: int, cache_dir: Path, asked: bool
) -> Sequence[RealCrops]:
    """Return the consumer that recognition will need of a pass over real pictures, if it needs any.

    `asked` tells whether classes were named, so that digits and faces are looked at too.
    """
    if network.classifier is None or source.crop_set is not None or not (asked or source.may_show_dogs):
        return []
    if KeptGuesses(cache_dir, source, network, count=count, size_px=size_px).are_likely():
        return []
    return [RealCrops(source, count=count, size_px=size_px)]


def _hash(*parts: object) -> str:
    return hashlib.sha256("\n".join(map(str, parts)).encode(errors="surrogateescape")).hexdigest()[:32]
