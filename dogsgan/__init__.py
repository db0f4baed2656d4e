"""dogsgan: from a generative-image competition's files to a scored, audited `images.zip`.

Data passes through its packages in this order: data, models, training, submission; then pictures, features,
metrics, score, audit. `tests/test_imports.py` holds the order of imports. The functions here are the shortest
way in from Python (`docs/python.md`); they import what they need when they are called.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np

    from dogsgan.audit import Audit
    from dogsgan.models.sampling import Sampler
    from dogsgan.score import Score

__version__ = "0.1.0"

AnyPath: TypeAlias = str | os.PathLike[str]


def load(run: AnyPath, *, device: str = "auto", truncation: float = 1.0) -> "Sampler":
    """Open the averaged generator of a run folder, or a generator file, for sampling.

    `load("out/run").sample(16, breed="Chihuahua", seed=1)` is a uint8 array of 16×H×W×C. The first call
    collects the generator's batch-norm statistics, which takes seconds, and keeps them beside the file.

    Raises:
        DogsganError: there is no generator, the file is damaged, or `truncation` cannot be used.
    """
    from dogsgan.models.sampling import Sampler

    return Sampler.open(Path(run), device=device, truncation=truncation, keep_statistics=True)


def score_pictures(generated: "np.ndarray | AnyPath", real: AnyPath, **options: Any) -> "Score":
    """Score pictures, N×H×W×3 or N×H×W×1 uint8, or a zip or folder of them, against real ones.

    Args:
        options: those of `dogsgan.score.score`.

    Raises:
        DogsganError: as `dogsgan.score.score`; or an array of another type or shape.
    """
    from dogsgan.score import score

    with _as_path(generated) as path:
        return score(path, Path(real), **options)


def audit_pictures(generated: "np.ndarray | AnyPath", real: AnyPath, **options: Any) -> "Audit":
    """Search pictures, N×H×W×3 or N×H×W×1 uint8, or a zip or folder of them, for copies of real ones.

    Args:
        options: those of `dogsgan.audit.audit`.

    Raises:
        DogsganError: as `dogsgan.audit.audit`; or an array of another type or shape.
    """
    from dogsgan.audit import audit

    with _as_path(generated) as path:
        return audit(path, Path(real), **options)


@contextlib.contextmanager
def _as_path(generated: "np.ndarray | AnyPath") -> Iterator[Path]:
    """Yield the path that was given, or that of a zip which holds the pictures while it is used."""
    if isinstance(generated, (str, os.PathLike)):
        yield Path(generated)
        return
    from dogsgan.submission import write_submission

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.zip"
        write_submission([generated], path, count=len(generated))
        yield path
