"""Real crops beside generated pictures, for a classifier: squares around boxes, cut in a shared pass."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dogsgan.config import DataRecipe
from dogsgan.data.cropping import crop_image
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.prepare import VERSION
from dogsgan.data.sources import Source
from dogsgan.decoding import DECODERS, Decoded
from dogsgan.errors import DogsganError
from dogsgan.features.cache import CacheFile
from dogsgan.features.extraction import Side, features_of_stream
from dogsgan.features.networks import FeatureNetwork
from dogsgan.files import atomic_path
from dogsgan.pictures import PictureReader
from dogsgan.progress import say
from dogsgan.recognition.shares import best_guesses

_SEED = 0
_SPARE = 1.02
"""So many more pictures are cut than crops are wanted, as some cannot be read."""


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
