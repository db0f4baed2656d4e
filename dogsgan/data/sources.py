"""Where pictures come from: a folder or zip in any known layout, told apart without being told which.

The first value of the data room: names, boxes and breeds are known once a source is open; a picture's bytes
are read when they are asked for, in place, from any thread.
"""

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from dogsgan.data.celeba import celeba_images
from dogsgan.data.class_names import breed_name as breed_name
from dogsgan.data.cropset import CropSet, is_crop_set
from dogsgan.data.digits import (
    Digits,
    DigitStorage,
    choose_digit_files,
    is_digit_file,
    open_digit_file,
    read_digits,
)
from dogsgan.data.idx import parse_idx_name
from dogsgan.data.layouts import LOOKED_FOR, Layout, detect_layout
from dogsgan.data.listing import list_images
from dogsgan.data.pictures import MAX_PICTURE_BYTES, has_picture_suffix, starts_like_picture
from dogsgan.data.source_image import Skipped, SourceImage
from dogsgan.data.splits import SplitPath, parse_split
from dogsgan.data.storage import Storage, open_storage
from dogsgan.errors import DogsganError
from dogsgan.progress import progress_bar

MAX_NAME_LENGTH = 512
_NAMES_SHOWN = 3


@dataclass
class Source:
    """An opened source. `kind` is competition, stanford, celeba, mnist, classes, pictures or crop-set."""

    kind: str
    path: Path
    description: str  # one line for people: what was detected
    images: list[SourceImage] = field(repr=False)  # sorted by name
    skipped: list[Skipped] = field(repr=False)
    storage: Storage | None = field(default=None, repr=False)  # None for a prepared set
    crop_set: CropSet | None = field(default=None, repr=False)  # faster than `read` where it is there
    lost_boxes: str = ""  # why there are no boxes where some are meant, and what to do
    lost_labels: str = ""  # the same for classes
    _fingerprint: str | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def annotated(self) -> bool:
        """Whether the source's pictures come with boxes."""
        return self.kind in ("competition", "stanford")

    @property
    def bordered(self) -> bool:
        """Whether its pictures get a border rather than being enlarged a little; see `add_border`."""
        return self.kind == "mnist"

    def read(self, image: SourceImage) -> bytes:
        """Return a picture's encoded bytes; for a prepared set they are a PNG of the crop.

        Raises:
            DogsganError: the file cannot be read, or is larger than any genuine picture.
        """
        if self.crop_set is not None:
            buffer = io.BytesIO()
            Image.fromarray(self.crop_set.pictures[int(image.member)]).save(
                buffer, format="PNG", compress_level=1
            )
            return buffer.getvalue()
        assert self.storage is not None
        return self.storage.read(image.member, limit=MAX_PICTURE_BYTES)

    def fingerprint(self) -> str:
        """Return an id of the contents: kind, and each picture's name, class, boxes and bytes, in order.

        Names, sizes and times of change tell nothing: an archive or a container layer sets them alike. So
        every picture is read, once for an opened source (0.3 s per 100 MB where they are in memory).

        Raises:
            DogsganError: a prepared set changed since it was written.
        """
        if self._fingerprint is None:
            if self.crop_set is not None:
                self.crop_set.verify()
                self._fingerprint = self.crop_set.fingerprint
            else:
                self._fingerprint = self._hash_of_contents()
        return self._fingerprint

    def _hash_of_contents(self) -> str:
        digest = hashlib.sha256(self.kind.encode())
        for image in progress_bar(self.images, description="identify"):
            described = repr((image.name, image.class_name, image.boxes, image.annotated_size, image.problem))
            try:
                contents = hashlib.sha256(self.read(image)).hexdigest()
            except DogsganError:  # it gives no crop, whatever is wrong with it
                contents = "unreadable"
            digest.update(f"{described}\0{contents}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()


def open_source(path: Path) -> Source:
    """Detect what is at `path` and list its pictures.

    Of a data set with splits the training pictures are taken; `path` may end in `@test` (CelebA: `@valid` and
    `@all` too), or be the one idx file that holds a split of MNIST's. Other layouts have no splits.

    Raises:
        DogsganError: nothing there, not a zip, a broken set or file, no picture in any known layout, or no
        such split.
    """
    path = Path(path)
    at = parse_split(path)
    if is_crop_set(at.path):
        at.refuse_split("the prepared set")
        return crop_set_source(CropSet.open(at.path))
    if is_digit_file(at.path):
        at.refuse_split("the one idx file")
        return _digit_source(path, open_digit_file(at.path), skipped=[])
    return _listed_source(path, at)


def _listed_source(path: Path, at: SplitPath) -> Source:
    """Return the source of a folder or zip by the layout of its listing."""
    storage = open_storage(at.path)
    by_content = _pictures_by_content(storage)
    layout = detect_layout(storage.names, top=at.path.absolute().name, by_content=by_content)
    if layout is None:
        raise DogsganError(f"no pictures in {at.path}: {LOOKED_FOR}{_hint(storage, at.path)}")
    skipped = [Skipped(name, reason) for name, reason in storage.problems]
    reason = "not an idx file by its name" if layout.kind == "mnist" else "not a picture by its name"
    skipped += [Skipped(name, reason) for name in layout.strangers]
    if layout.kind == "mnist":
        files = choose_digit_files(storage.names, split=at.split, where=str(at.path))
        return _digit_source(path, read_digits(storage, files), skipped=skipped)
    description = None
    if layout.kind == "celeba":
        images, description = celeba_images(storage, layout, at, skipped)
    else:
        at.refuse_split("the data set")
        images = list_images(storage, layout, skipped)
    images = _with_usable_names(images, skipped)
    return Source(
        kind=layout.kind,
        path=path,
        description=(description or _describe(layout, images, path)) + _own_left_out(storage),
        images=sorted(images, key=lambda image: image.name),
        skipped=skipped,
        storage=storage,
        lost_boxes=layout.lost_boxes,
        lost_labels=layout.lost_labels,
    )


def _with_usable_names(images: list[SourceImage], skipped: list[Skipped]) -> list[SourceImage]:
    skipped += [Skipped(i.name[:60] + "…", "name too long") for i in images if len(i.name) > MAX_NAME_LENGTH]
    return [image for image in images if len(image.name) <= MAX_NAME_LENGTH]


def _digit_source(path: Path, digits: Digits, *, skipped: list[Skipped]) -> Source:
    storage = DigitStorage(digits)
    named = zip(storage.names, digits.class_names, strict=True)
    return Source(
        kind="mnist",
        path=path,
        description=f"idx files as MNIST's: {digits.describe()}",
        images=[SourceImage(name, class_name, member=name) for name, class_name in named],
        skipped=skipped,
        storage=storage,
    )


def crop_set_source(crop_set: CropSet) -> Source:
    """Return a prepared set as a source of its crops."""
    names = crop_set.class_names
    images = [
        SourceImage(
            name=f"crop-{index:06d}.png", class_name=names[label] if names else None, member=str(index)
        )
        for index, label in enumerate(crop_set.labels.tolist())
    ]
    size = crop_set.size_px
    return Source(
        kind="crop-set",
        path=crop_set.path,
        description=f"a prepared set of {len(crop_set):,} crops of {size}×{size} px",
        images=images,
        skipped=[],
        crop_set=crop_set,
    )


def _describe(layout: Layout, images: list[SourceImage], path: Path) -> str:
    container = "zip" if path.is_file() else "folder"
    classes = len({image.class_name for image in images if image.class_name})
    hint = layout.remark + (f"; no boxes, for {layout.lost_boxes}" if layout.lost_boxes else "")
    if layout.kind == "classes":
        return f"a {container} of {len(images):,} pictures without boxes in {classes} class folders{hint}"
    if layout.kind == "pictures":
        return f"a {container} of {len(images):,} pictures without boxes{hint}"
    title = {"competition": "the competition's data", "stanford": "Stanford Dogs"}[layout.kind]
    boxes = sum(len(image.boxes) for image in images)
    return f"{title} as a {container}: {len(images):,} pictures, {boxes:,} boxes, {classes} breeds"


def _pictures_by_content(storage: Storage) -> frozenset[str]:
    """Return the files of a flat listing that are pictures and not called so, as in a submission's zip."""
    if any("/" in name for name in storage.names):
        return frozenset()
    others = [name for name in storage.names if name and not has_picture_suffix(name)]
    return frozenset(name for name in others if starts_like_picture(storage.head(name)))


def _own_left_out(storage: Storage) -> str:
    if not storage.own:
        return ""
    more = ", …" if len(storage.own) > _NAMES_SHOWN else ""
    return f"; what dogsgan wrote there is left out: {', '.join(storage.own[:_NAMES_SHOWN])}{more}"


def _hint(storage: Storage, path: Path) -> str:
    archives = [name for name in storage.names if name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz"))]
    if storage.own and not archives:
        return _own_left_out(storage)
    labels = [name for name in storage.names if (said := parse_idx_name(name)) and said.content == "labels"]
    if labels and not archives:
        return f"; it holds {labels[0]} without the images: put their file beside"
    if not archives:
        return ""
    if len(archives) == 1 and archives[0].lower().endswith(".zip") and path.is_dir():
        return f"; it holds {archives[0]}: give that file itself"
    return f"; it holds {' and '.join(archives[:_NAMES_SHOWN])}: unpack into one folder and give that"
