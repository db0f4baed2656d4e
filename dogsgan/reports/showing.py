"""Pictures of what a generator has learned: breeds, truncation, interpolation, nearest training pictures.

`show` draws each into a folder. One that fails does not stop the others.
"""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from dogsgan.data.class_names import class_index
from dogsgan.data.grids import save_grid
from dogsgan.data.layouts.layout import SourceImage
from dogsgan.data.pictures import in_colour
from dogsgan.data.sources import Source, open_source
from dogsgan.features.networks import FeatureNetwork, features_of, open_network
from dogsgan.features.sides import real_side_of
from dogsgan.files import atomic_path
from dogsgan.metrics.distances import nearest_rows
from dogsgan.models.sampling import BATCH, Sampler, balanced_labels
from dogsgan.progress import optional

COLUMNS = 10
MOST_BREEDS = 120
TRUNCATIONS = (0.3, 0.5, 0.7, 1.0)
SCALE = 2
"""Each generated pixel is drawn as a square of this side."""
STOPS, FRAMES_BETWEEN, FRAMES_PER_SECOND = 6, 15, 15
FILM_ROWS, FILM_COLUMNS = 2, 4
NEAREST_ROWS, NEAREST = 12, 5


@dataclass(frozen=True)
class Shown:
    """The files that `show` drew, and a line for each that it could not draw."""

    folder: Path
    files: dict[str, str]
    """What each file shows, by its name."""
    failed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {"folder": str(self.folder), "files": self.files, "failed": list(self.failed)}

    def summary(self) -> str:
        """Return one line a file."""
        width = max(map(len, self.files), default=0)
        lines = [f"{name:<{width}}  {what}" for name, what in self.files.items()]
        return "\n".join([*lines, f"{len(self.files)} files in {self.folder}"])


def show(
    run: Path,
    out: Path,
    *,
    breeds: list[str] | None = None,
    real: Path | None = None,
    seed: int = 0,
    truncation: float = 1.0,
    network: str = "auto",
    weights: Path | None = None,
    device: str = "auto",
) -> Shown:
    """Draw what the generator of a run (or a generator file) has learned into the folder `out`.

    `breeds.png` has a row for each class (of `breeds`, if given), the same noise in each column;
    `truncation.png` a row for each truncation; `interpolation.gif`, and `.mp4` where imageio-ffmpeg is
    installed, go from noise to noise; with `real`, `nearest.png` shows generated pictures beside the nearest
    of that source's pictures, in the features of `network` (as for `score`).

    Raises:
        DogsganError: there is no usable generator, a breed is unknown, or `real` is no source.
    """
    out = Path(out)
    source = open_source(Path(real)) if real is not None else None
    sampler = Sampler.open(Path(run), device=device, truncation=truncation, keep_statistics=True)
    if source is not None:  # what nobody can use is refused before anything is drawn
        size_px = sampler.recipe.data.size_px
        judge = open_network(network, weights=weights, device=device, size_px=size_px)
        judge.refuse_other_size(size_px)
    names = sampler.class_names
    classes = [class_index(breed, names) for breed in breeds] if breeds else range(len(names))
    files: dict[str, str] = {}
    failed: list[str] = []

    def draw(name: str, what: str, draw_to: Callable[[Path], None]) -> None:
        with optional(name, failed):
            draw_to(out / name)
            files[name] = what

    if names:
        rows = list(classes)[:MOST_BREEDS]
        listed = ", ".join(names[index] for index in rows)
        draw("breeds.png", f"a row for each of: {listed}", lambda path: _breeds(sampler, rows, path, seed))
    if sampler.recipe.model.noise == "normal":
        listed = ", ".join(f"{each:g}" for each in TRUNCATIONS)
        draw(
            "truncation.png",
            f"truncation {listed} from top to bottom, the same seed in each",
            lambda path: _truncations(Path(run), path, seed, device),
        )
    frames = _film(sampler, seed=seed)
    draw("interpolation.gif", "from noise to noise and back", lambda path: _save_gif(frames, path))
    if importlib.util.find_spec("imageio_ffmpeg") is not None:
        draw("interpolation.mp4", "the same as a film", lambda path: _save_mp4(frames, path))
    if source is not None:
        draw(
            "nearest.png",
            f"generated pictures (left) and the {NEAREST} nearest of {real}, by features",
            lambda path: _nearest(sampler, source, path, seed, judge),
        )
    return Shown(out, files, tuple(failed))


def _breeds(sampler: Sampler, classes: list[int], path: Path, seed: int) -> None:
    z = sampler.noise(COLUMNS, seed).repeat(len(classes), 1)
    labels = torch.tensor(classes).repeat_interleave(COLUMNS)
    save_grid(_in_batches(sampler, z, labels), path, columns=COLUMNS, scale=SCALE)


def _truncations(run: Path, path: Path, seed: int, device: str) -> None:
    rows = []
    for truncation in TRUNCATIONS:
        sampler = Sampler.open(run, device=device, truncation=truncation)
        rows.append(sampler.sample(COLUMNS, seed=seed))
    save_grid(np.concatenate(rows), path, columns=COLUMNS, scale=SCALE)


def _film(sampler: Sampler, *, seed: int) -> np.ndarray:
    """Return frames, F×H×W×C uint8, of a grid whose noise goes from stop to stop and ends where it began."""
    places = FILM_ROWS * FILM_COLUMNS
    stops = sampler.noise(STOPS * places, seed).view(STOPS, places, -1)
    labels = balanced_labels(places, len(sampler.class_names))
    frames = []
    for start, end in zip(stops, stops.roll(-1, dims=0), strict=True):
        for step in range(FRAMES_BETWEEN):
            z = spherical_mean(start, end, share=step / FRAMES_BETWEEN)
            pictures = _in_batches(sampler, z, labels).repeat(SCALE, axis=1).repeat(SCALE, axis=2)
            rows = pictures.reshape(FILM_ROWS, FILM_COLUMNS, *pictures.shape[1:])
            frames.append(np.concatenate([np.concatenate(list(row), axis=1) for row in rows]))
    return np.stack(frames)


def spherical_mean(a: torch.Tensor, b: torch.Tensor, *, share: float) -> torch.Tensor:
    """Return the point at `share` of the arc from each row of `a` to that of `b`, both N×Z.

    A straight line between two points of normal noise passes too near to 0 (White 2016, arXiv 1609.04468).
    """
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1 + 1e-6, 1 - 1e-6)
    angle = cosine.acos()[:, None]
    return (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)


def _save_gif(frames: np.ndarray, path: Path) -> None:
    first, *others = (Image.fromarray(frame.squeeze()) for frame in frames)
    with atomic_path(path) as partial:
        first.save(
            partial,
            format="GIF",
            save_all=True,
            append_images=others,
            duration=1000 // FRAMES_PER_SECOND,
            loop=0,
        )


def _save_mp4(frames: np.ndarray, path: Path) -> None:
    import imageio_ffmpeg

    height, width = frames.shape[1:3]
    with atomic_path(path) as partial:
        film = partial.with_suffix(".mp4")  # its ending tells ffmpeg the format
        writer = imageio_ffmpeg.write_frames(
            str(film), (width, height), fps=FRAMES_PER_SECOND, macro_block_size=1, quality=8
        )
        writer.send(None)
        for frame in frames:
            writer.send(np.ascontiguousarray(in_colour(frame)))
        writer.close()
        film.replace(partial)


def _nearest(
    sampler: Sampler,
    source: Source,
    path: Path,
    seed: int,
    network: FeatureNetwork,
) -> None:
    pictures = in_colour(sampler.sample(NEAREST_ROWS, seed=seed))
    size_px = pictures.shape[1]
    side, _ = real_side_of(source, network, size_px=size_px)
    assert side.features is not None  # of pictures, not of a statistics file
    assert side.rows is not None
    places = nearest_rows(features_of(pictures, network), side.features, count=NEAREST).indices
    rows = []
    for picture, found in zip(pictures, places, strict=True):
        reals = (source.images[side.rows[place]] for place in found)
        rows += [picture, *(_thumbnail(source, image, size_px) for image in reals)]
    save_grid(np.stack(rows), path, columns=NEAREST + 1, scale=SCALE)


def _thumbnail(source: Source, image: SourceImage, size_px: int) -> np.ndarray:
    return np.asarray(source.decode(image).resize((size_px, size_px), Image.Resampling.LANCZOS))


def _in_batches(sampler: Sampler, z: torch.Tensor, labels: torch.Tensor) -> np.ndarray:
    parts = zip(z.split(BATCH), labels.split(BATCH), strict=True)
    return np.concatenate([sampler.pictures(part, of_part) for part, of_part in parts])
