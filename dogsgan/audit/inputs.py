"""The inputs of an audit, opened and checked, and the place where an interrupted audit of them goes on."""

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dogsgan.audit.calibration import refuse_few
from dogsgan.audit.copies.views import VERSION as VIEWS_VERSION
from dogsgan.audit.workspace import Workspace
from dogsgan.cache import default_cache_dir
from dogsgan.data.sources import Source, open_source
from dogsgan.errors import DogsganError
from dogsgan.features.networks import FeatureNetwork
from dogsgan.features.sides import generated_size, opened_for
from dogsgan.files import write_text
from dogsgan.pictures import PIXELS, PictureReader, read_generated
from dogsgan.progress import say
from dogsgan.submission.labels import labelled_sample

VERSION = 5
"""To be raised when the same pixels give other evidence."""
_WORK = ".work"
_WORK_NOTE = "What an audit has found so far. It goes on from here, and removes this when it is done.\n"


@dataclass(frozen=True, eq=False)
class Inputs:
    """Both sides of an audit and the network that sees them."""

    generated: Source
    """The generated pictures that are scored."""
    reader: PictureReader
    """Those pictures, read."""
    submitted: int
    """How many generated pictures there are."""
    classes: Sequence[str | None]
    """The class that each generated picture is of, where known."""
    real: Source
    held_out: Source | None
    network: FeatureNetwork
    size_px: int
    cache_dir: Path
    notes: tuple[str, ...]
    """Remarks on the choice of the network."""


def open_inputs(
    generated: Path,
    real: Path | Source,
    *,
    held_out: Path | None,
    network: str,
    weights: Path | None,
    device: str,
    cache_dir: Path | None,
    labels: Path | None,
    scored: int | None,
    seed: int,
) -> Inputs:
    """Open the inputs; see `audit` for what they are.

    Raises:
        DogsganError: one is missing or unreadable, both sides are the same pictures, the generated ones are
            of another size than the network takes, or there are too few.
    """
    sources = open_source(generated), open_source(real)
    unseen = open_source(held_out) if held_out is not None else None
    cache_dir = Path(cache_dir) if cache_dir is not None else default_cache_dir()
    some, classes = labelled_sample(sources[0], labels, count=scored, seed=seed)
    reader = PictureReader(some)
    opened = opened_for(reader, network, weights=weights, device=device, cache_dir=cache_dir)
    if generated.resolve() == sources[1].path.resolve() or _same_pictures(*sources):
        raise DogsganError(
            f"{generated} and {sources[1].path} are the same pictures: give the training set as --real"
        )
    if unseen is not None and _same_pictures(unseen, sources[1]):
        raise DogsganError(
            f"{unseen.path} is the training set: --held-out takes pictures that were not trained on"
        )
    refuse_few(len(sources[1].images))
    size_px = generated_size(reader, opened)
    return Inputs(
        generated=some,
        reader=read_generated(reader, size_px),
        submitted=len(sources[0].images),
        classes=classes,
        real=sources[1],
        held_out=unseen,
        network=opened,
        size_px=size_px,
        cache_dir=cache_dir,
        notes=(opened.note,) if opened.note else (),
    )


def _same_pictures(one: Source, other: Source) -> bool:
    """Return whether two sources hold the same pictures.

    All are read only where names and the first one agree.
    """
    if [image.name for image in one.images] != [image.name for image in other.images]:
        return False
    if one.digest(one.images[0]) != other.digest(other.images[0]):
        return False
    return one.fingerprint() == other.fingerprint()


@contextlib.contextmanager
def work_folder(out: Path | None) -> Iterator[Path]:
    """Yield a folder for what an audit finds; it stays if the audit is interrupted, and goes when it ends."""
    if out is None:
        with tempfile.TemporaryDirectory() as passing:
            yield Path(passing)
        return
    folder = Path(out) / _WORK
    write_text(folder / "README.txt", _WORK_NOTE)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def workspace_of(inputs: Inputs, folder: Path, *decisive: object) -> Workspace:
    """Return the place in a work folder where the same audit finds what it has found before.

    `decisive` is what decides the findings beside the inputs, which have been read.
    """
    contents = inputs.generated.fingerprint(), inputs.real.fingerprint()
    parts = (VERSION, VIEWS_VERSION, PIXELS, inputs.size_px, *decisive, inputs.network.identity, *contents)
    key = hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]
    if (folder / key).is_dir():
        say("going on where an audit of the same pictures was interrupted")
    return Workspace(folder / key)
