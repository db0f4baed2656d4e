"""Sources of pictures: a folder or zip in any known layout, which is recognised by its files.

Names, boxes and classes are known once a source is open; a picture's bytes are read when they are asked for,
in place, from any thread.
"""

import dataclasses
import hashlib
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from dogsgan.cores import usable_cores
from dogsgan.data.class_names import one_spelling
from dogsgan.data.cropset import CropSet
from dogsgan.data.layouts import LAYOUTS, LOOKED_FOR, detect_layout, layout_of_kind
from dogsgan.data.layouts.digits import parse_idx_name
from dogsgan.data.layouts.folders import PREPARED, contents_of
from dogsgan.data.layouts.layout import Contents, Layout, Skipped, SourceImage, SplitPath, parse_split
from dogsgan.data.pictures import (
    MAX_PICTURE_BYTES,
    OpenPicture,
    has_picture_suffix,
    open_picture,
    starts_like_picture,
)
from dogsgan.data.storage import Storage, open_storage
from dogsgan.errors import DogsganError, SourceChangedError
from dogsgan.progress import progress_bar

MAX_NAME_LENGTH = 512
_NAMES_SHOWN = 3
_IMAGES_PER_TASK = 64
_UNREADABLE = "unreadable"  # stands for the digest of such a picture


@dataclass
class Source:
    """An opened source."""

    layout: Layout
    path: Path
    description: str  # one line for people: what was detected
    images: list[SourceImage] = field(repr=False)  # sorted by name
    skipped: list[Skipped] = field(repr=False)
    storage: Storage | None = field(default=None, repr=False)  # None for a prepared set
    crop_set: CropSet | None = field(default=None, repr=False)  # the arrays of a prepared set
    lost_boxes: str = ""  # why there are no boxes where some are meant, and what to do
    lost_labels: str = ""  # the same for classes
    _fingerprint: str | None = field(default=None, init=False, repr=False, compare=False)
    _digests: dict[str, str] = field(
        default_factory=dict, repr=False, compare=False
    )  # by member, of what was read

    @property
    def kind(self) -> str:
        """The layout's name: competition, stanford, celeba, mnist, classes, pictures or crop-set."""
        return self.layout.kind

    @property
    def annotated(self) -> bool:
        """Whether the source's pictures come with boxes."""
        return self.layout.annotated

    @property
    def bordered(self) -> bool:
        """Whether its pictures get a border rather than being enlarged a little; see `add_border`."""
        return self.layout.bordered

    @property
    def may_show_dogs(self) -> bool:
        """Whether a classifier of dogs should look: not at digits and faces, nor at crops of them."""
        cut_from = self.crop_set.provenance.get("kind") if self.crop_set is not None else None
        return (layout_of_kind(cut_from) or self.layout).may_show_dogs

    def open(self, image: SourceImage) -> OpenPicture:
        """Open a picture: read its header, or take the crop of a prepared set, which is decoded already.

        Raises:
            DogsganError: the file cannot be read, or is no picture.
        """
        if self.crop_set is not None:
            return OpenPicture.of(np.asarray(self.crop_set.pictures[int(image.member)]), image.name)
        return open_picture(self.read(image), image.name)

    def read(self, image: SourceImage) -> bytes:
        """Return a picture's encoded bytes; for a prepared set they are a PNG of the crop.

        Raises:
            DogsganError: the file cannot be read, or is larger than any genuine picture.
            SourceChangedError: it is another one than at an earlier reading.
        """
        if self.crop_set is not None:
            buffer = io.BytesIO()
            crop = Image.fromarray(self.crop_set.pictures[int(image.member)])
            crop.save(buffer, format="PNG", compress_level=1)
            return buffer.getvalue()
        assert self.storage is not None
        try:
            content = self.storage.read(image.member, limit=MAX_PICTURE_BYTES)
        except DogsganError:
            self._digests.setdefault(image.member, _UNREADABLE)
            raise
        digest = hashlib.sha256(content).hexdigest()
        if self._digests.setdefault(image.member, digest) != digest:
            raise SourceChangedError(
                f"picture {image.name} in {self.path} changed while it was read: run the command again when "
                "nothing writes there"
            )
        return content

    def decode(self, image: SourceImage) -> Image.Image:
        """Return a picture decoded to upright RGB, as `decode_picture` does; of a prepared set the crop.

        Raises:
            DogsganError: the file cannot be read, or is no picture.
        """
        return self.open(image).decode()[0]

    def digest(self, image: SourceImage) -> str:
        """Return the sha256 of a picture's bytes; they are read only if nobody has read them yet.

        For a prepared set it is that of the crop's pixels.

        Raises:
            DogsganError: the file cannot be read.
        """
        if self.crop_set is not None:
            return hashlib.sha256(self.crop_set.pictures[int(image.member)].tobytes()).hexdigest()
        if self._digests.get(image.member, _UNREADABLE) == _UNREADABLE:
            self.read(image)
        return self._digests[image.member]

    def fingerprint(self) -> str:
        """Return an id of the contents: kind, and each picture's name, class, boxes and bytes, in order.

        Names, sizes and times of change tell nothing: an archive or a container layer sets them alike. So
        every picture that was not read before is read (0.3 s per 100 MB where they are in memory).

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
        starts = range(0, len(self.images), _IMAGES_PER_TASK)
        batches = [self.images[start : start + _IMAGES_PER_TASK] for start in starts]
        with (
            ThreadPoolExecutor(usable_cores()) as pool,  # reading and hashing release the GIL
            progress_bar(description="identify", total=len(self.images)) as bar,
        ):
            for lines in pool.map(self._lines_of, batches):
                digest.update("".join(lines).encode(errors="surrogateescape"))
                bar.update(len(lines))
        return digest.hexdigest()

    def _lines_of(self, images: list[SourceImage]) -> list[str]:
        """Return a line for each picture, with the hash of its bytes."""
        lines = []
        for image in images:
            described = repr((image.name, image.class_name, image.boxes, image.annotated_size, image.problem))
            try:
                contents = self.digest(image)
            except SourceChangedError:  # it gave no crop, and would be counted as if it had
                raise
            except DogsganError:  # it gives no crop, whatever is wrong with it
                contents = _UNREADABLE
            lines.append(f"{described}\0{contents}\n")
        return lines


def open_source(path: Path | Source) -> Source:
    """Detect what is at `path` and list its pictures; a source that is open already is returned as it is.

    Of a data set with splits the training pictures are taken; `path` may end in `@test` (CelebA: `@valid` and
    `@all` too), or be the one idx file that holds a split of MNIST's. Other layouts have no splits.

    Raises:
        DogsganError: nothing there, not a zip, a broken set or file, no picture in any known layout, or no
        such split.
    """
    if isinstance(path, Source):
        return path
    path = Path(path)
    at = parse_split(path)
    for layout in LAYOUTS:
        if layout.is_at(at.path):
            return _source(layout, path, layout.open(at))
    return _listed_source(path, at)


def crop_set_source(crop_set: CropSet) -> Source:
    """Return a prepared set as a source of its crops."""
    return _source(PREPARED, crop_set.path, contents_of(crop_set))


def _listed_source(path: Path, at: SplitPath) -> Source:
    """Return the source of a folder or zip by the layout of its listing."""
    storage = open_storage(at.path)
    by_content = _pictures_by_content(storage)
    match = detect_layout(storage.names, top=at.path.absolute().name, by_content=by_content)
    if match is None:
        raise DogsganError(f"no pictures in {at.path}: {LOOKED_FOR}{_hint(storage, at.path)}")
    layout = match.layout
    if not layout.has_splits:
        at.refuse_split("the data set")
    contents = layout.read(match, storage, at)
    left_out = [Skipped(name, reason) for name, reason in storage.problems]
    left_out += [Skipped(name, layout.stranger) for name in match.strangers]
    contents.images.sort(key=lambda image: image.name)
    _join_spellings(contents)
    contents.skipped = left_out + contents.skipped
    contents.description += _own_left_out(storage)
    source = _source(layout, path, contents)
    source.lost_boxes, source.lost_labels = match.lost_boxes, match.lost_labels
    return source


def _join_spellings(contents: Contents) -> None:
    """Make one class of those whose names look the same, and say so."""
    spelling = one_spelling({image.class_name for image in contents.images if image.class_name})
    if spelling:
        contents.images = [
            dataclasses.replace(image, class_name=spelling.get(image.class_name or "", image.class_name))
            for image in contents.images
        ]
        joined = ", ".join(sorted({*spelling.values()}))
        contents.description += f"; folders whose names look the same are one class: {joined}"


def _source(layout: Layout, path: Path, contents: Contents) -> Source:
    usable = [image for image in contents.images if len(image.name) <= MAX_NAME_LENGTH]
    long = [image.name for image in contents.images if len(image.name) > MAX_NAME_LENGTH]
    return Source(
        layout=layout,
        path=path,
        description=contents.description,
        images=usable,
        skipped=contents.skipped + [Skipped(name[:60] + "…", "name too long") for name in long],
        storage=contents.storage,
        crop_set=contents.crop_set,
    )


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
