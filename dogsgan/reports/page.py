"""`run.html`: a run as one self-contained page: recipe, losses, grids over time, score, breeds, audit."""

import io
import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np
from jinja2 import UndefinedError
from PIL import Image

from dogsgan import __version__, web_page
from dogsgan.data.sources import open_source
from dogsgan.errors import DogsganError, printable
from dogsgan.files import refuse_other_content, write_text
from dogsgan.number_text import percent
from dogsgan.progress import optional
from dogsgan.submission.labels import read_labels
from dogsgan.training.record import REPORT_FILE, RunRecord, duration

PAGE_FILE = "run.html"
PICTURES_A_BREED = 8
_QUALITY = 88  # of JPEG: a grid as PNG takes six times as much


def write_page(record: RunRecord, path: Path | None = None) -> Path:
    """Write the page of a run, by default to `run.html` beside its report, and return its path.

    Raises:
        DogsganError: it cannot be written, or another file than a page stands there.
    """
    if path is not None:
        refuse_other_content(Path(path), b"<!doctype html>", "page")
    path = record.out / PAGE_FILE if path is None else Path(path)
    write_text(path, render(record))
    return path


def render(record: RunRecord) -> str:
    """Return the page's HTML. A picture that cannot be read is left out.

    Raises:
        DogsganError: the run's report is damaged.
    """
    values = {
        "record": record,
        "version": __version__,
        "settings": _settings(record),
        "curves": [(name, _embedded(record.run / name)) for name in ("losses.png", "evaluation.png")],
        "grids": [(caption, _embedded(path)) for caption, path in record.grids()],
        "best_and_worst": [
            (caption, _embedded(record.out / name))
            for caption, name in (("best recognised", "best.png"), ("worst recognised", "worst.png"))
        ],
        "samples": _embedded(record.out / "samples.png"),
        "flagged": _embedded(record.out / "audit" / "flagged.png"),
        "breeds": _breeds(record),
    }
    filters = {"percent": percent, "duration": duration}
    try:
        return web_page.render_page("dogsgan.reports", "run", values, filters=filters)
    except (UndefinedError, TypeError, ValueError) as error:
        path = record.out / REPORT_FILE
        raise DogsganError(f"{path} is not as `dogsgan run` writes it ({error}): remove it") from error


def _settings(record: RunRecord) -> list[tuple[str, str]]:
    """Return every value of the recipe by its name for `--set`."""
    parts = record.recipe.to_json()
    return [
        (f"{part}.{name}", str(value))
        for part, values in parts.items()
        if isinstance(values, dict)
        for name, value in values.items()
    ]


def _embedded(path: Path) -> str | None:
    """Return a picture as a data URL, as JPEG; None where there is none to read."""
    if not path.is_file():
        return None
    with optional(f"{path.name} on the page"), Image.open(path) as picture:
        return _url(picture.convert("RGB"))
    return None


def _url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=_QUALITY, subsampling=0)
    return web_page.data_url(buffer.getvalue(), "jpeg")


def _breeds(record: RunRecord) -> list[tuple[str, str]]:
    """Return each class of the submission with its first pictures side by side."""
    zip_path, labels_path = record.out / "images.zip", record.out / "labels.csv"
    strips: list[tuple[str, str]] = []
    if not (zip_path.is_file() and labels_path.is_file()):
        return strips
    with optional("the breeds on the page"):
        names: dict[str, list[str]] = defaultdict(list)
        for name, class_name in read_labels(labels_path).items():
            names[class_name].append(name)
        source = open_source(zip_path)
        images = {image.name: image for image in source.images}
        for class_name, of_class in sorted(names.items()):
            chosen = [images[name] for name in itertools.islice(of_class, PICTURES_A_BREED) if name in images]
            pictures = [source.decode(image) for image in chosen]
            if pictures:
                strip = np.concatenate([np.asarray(picture) for picture in pictures], axis=1)
                strips.append((printable(class_name), _url(Image.fromarray(strip))))
    return strips
