"""Versions in the keys of caches: other outputs need another version, or stale results would be reused.

Each version has its golden outputs here, of inputs that are the same everywhere. If one of these tests fails,
the code behind a cache changed: raise the version that the test names, and put the new outputs here.
"""

import base64
import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import torch
from copied import training_views
from PIL import Image
from test_decoding import SMALL
from test_layouts_idx import idx
from tiny import crop_set

from dogsgan import pictures
from dogsgan.audit import reading
from dogsgan.audit import views as forms
from dogsgan.audit.evidence import Originals, Pictures, Workspace, gather
from dogsgan.audit.views import TrainingViews
from dogsgan.crops import Box
from dogsgan.data.layouts import STANFORD
from dogsgan.data.sources import open_source
from dogsgan.features import networks
from dogsgan.pictures import PictureReader, decode, whole_at
from dogsgan.scoring import open_network
from dogsgan.studies import judge

CMYK = base64.b64decode(
    "/9j/7gAOQWRvYmUAZAAAAAAA/9sAQwAQCwwODAoQDg0OEhEQExgoGhgWFhgxIyUdKDozPTw5Mzg3QEhcTkBEV0U3OFBtUVdfYmdo"
    "Zz5NcXlwZHhcZWdj/8AAFAgAEAAQBEMRAE0RAFkRAEsRAP/EABkAAAIDAQAAAAAAAAAAAAAAAAAEAwUGB//EACAQAAICAgIDAQEA"
    "AAAAAAAAAAEDAAIEBREhEkFRBhP/2gAOBEMATQBZAEsAAD8AfzdEcRfgDyL9E/I43IpRVlLsL+Y46l9bdLyLVJIHE6BKlWtporli"
    "mhpv2QPUg0OGdYxjD35nmJ7zKXsK0AsOoSzv+qGcqyf5gGw4B+RLQYl1NAZc35+zNsRcVJFyOITN5Vm6VxY25aGnkA+ptBq62XUg"
    "+pJqcVmWbAsPUJ//2Q=="
)


def drawn(count: int, *, size: tuple[int, int] = (64, 64), seed: int = 0) -> np.ndarray:
    """Return pictures, N×H×W×3, from integers only: the same on every machine."""
    random = np.random.RandomState(seed)
    coarse = random.randint(0, 256, (count, size[0] // 4 + 1, size[1] // 4 + 1, 3)).astype(np.uint8)
    whole = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : size[0], : size[1]]
    return whole // 2 + random.randint(0, 128, whole.shape).astype(np.uint8)


def digest(*arrays: np.ndarray) -> str:
    parts = (f"{array.shape} {array.dtype.str}".encode() + array.tobytes() for array in arrays)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:16]


def check(version: int, outputs: object, golden: dict[int, object], *, alike: bool) -> None:
    assert version in golden, f"the version is new: put {{{version}: {outputs!r}}} here"
    assert alike, (
        f"other outputs than those of version {version}: raise it, so that what is cached is made anew, and "
        f"put its outputs here: {{{version + 1}: {outputs!r}}}"
    )


def check_digest(version: int, found: str, golden: dict[int, object]) -> None:
    check(version, found, golden, alike=golden.get(version) == found)


def check_numbers(version: int, found: np.ndarray, golden: dict[int, object], *, atol: float) -> None:
    """Compare numbers that come from sums, whose last digits differ from machine to machine."""
    expected = np.array(golden.get(version, np.nan))
    alike = expected.shape == found.shape and np.allclose(found, expected, rtol=0, atol=atol)
    check(version, np.round(found, 4).tolist(), golden, alike=alike)


def folder_of_pngs(folder: Path) -> Path:
    folder.mkdir()
    for index, size in enumerate(((64, 64), (90, 60), (31, 47))):
        Image.fromarray(drawn(1, size=size, seed=index)[0]).save(folder / f"{index}.png")
    return folder


def test_decoding() -> None:
    found = digest(decode(SMALL, "small.jpg").pixels, decode(CMYK, "cmyk.jpg").pixels)
    check_digest(pictures.DECODING_VERSION, found, {1: "b48dc5b113f527f4"})


def test_pixels(tmp_path: Path) -> None:
    sources = open_source(folder_of_pngs(tmp_path / "pngs")), open_source(_digits(tmp_path))
    streams = [PictureReader(source, False).stream(whole_at(source, 48)) for source in sources]
    found = digest(*(np.stack([seen for _, seen in stream]) for stream in streams))
    check_digest(pictures.PIXELS_VERSION, found, {2: "b0e654ffc32b0add"})


def _digits(folder: Path) -> Path:
    path = folder / "train-images-idx3-ubyte"
    path.write_bytes(idx(drawn(2, size=(28, 28))[..., 0]))
    return path


def test_views(tmp_path: Path) -> None:
    source = open_source(folder_of_pngs(tmp_path / "pngs"))
    boxed = [dataclasses.replace(image, boxes=(Box(5, 9, 25, 30),)) for image in source.images]
    annotated = dataclasses.replace(source, layout=STANFORD, images=boxed)
    views = training_views(annotated, size_px=32, folder=tmp_path / "cache")
    digits = training_views(open_source(_digits(tmp_path)), size_px=32, folder=tmp_path / "cache")
    found = digest(np.asarray(views.pictures), views.form, np.asarray(digits.pictures))
    check_digest(forms.VERSION, found, {3: "56385e6d437bfae5"})


def test_features_of_the_stand_in() -> None:
    features = open_network("stand-in", device="cpu").features(drawn(2)).numpy()
    check_numbers(
        networks.STAND_IN_VERSION,
        features.reshape(8, -1).mean(axis=1),
        {1: [2.6112, 2.3148, 2.3433, 2.4689, 2.5862, 2.2926, 2.306, 2.4409]},
        atol=0.002,
    )


def test_evidence(tmp_path: Path) -> None:
    """What an interrupted audit goes on with: similarities and the views that they are to."""
    training = drawn(12, seed=5)
    copies = np.stack([np.roll(training[3], 5, axis=1), training[4][:, ::-1], drawn(1, seed=6)[0]])
    views = TrainingViews(
        pictures=training,
        picture_index=np.arange(12, dtype=np.int32),
        form=np.zeros(12, dtype=np.int8),
        forms=("whole",),
        names=tuple(f"{i}" for i in range(12)),
        class_names=(None,) * 12,
        unreadable=(),
    )
    features = training.reshape(12, -1)[:, ::64].astype(np.float32)
    own = copies.reshape(3, -1)[:, ::64].astype(np.float32)
    evidence = gather(
        Pictures(copies, own, own[:, ::-1].copy()),
        views,
        Originals(features, np.arange(12)),
        group_of_picture=np.arange(12),
        neighbours=2,
        workspace=Workspace(tmp_path),
        name="generated",
        device=torch.device("cpu"),
    )
    found = np.concatenate(
        [evidence.verified.similarity[:2], evidence.verified.view[:2], evidence.neighbours.distance.ravel()]
    )
    golden = [0.9915, 1.0, 3.0, 4.0, 0.1305, 0.1315, 0.1305, 0.1327, 0.1182, 0.1385]
    check_numbers(reading.VERSION, found, {5: golden}, atol=0.01)


def test_crops_that_a_study_judges_by(tmp_path: Path) -> None:
    crops = crop_set(tmp_path / "set", count=9)
    network = open_network("stand-in", device="cpu")
    options = {"count": 6, "real_count": 8, "cache_dir": tmp_path}
    batches = [
        np.stack([picture for _, picture in judged._real_pictures()])
        for judged in (judge.Judge(crops, network, channels=channels, **options) for channels in (1, 3))  # type: ignore[arg-type]
    ]
    check_digest(judge.VERSION, digest(*batches), {1: "2b7b0beb62d84293"})
