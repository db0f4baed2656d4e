"""Stanford Dogs' XML annotations, parsed to boxes. The content is untrusted."""

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from xml.parsers import expat

from dogsgan.crops import Box
from dogsgan.errors import DogsganError

try:
    from defusedxml.ElementTree import fromstring as _defused_fromstring
except ImportError:  # Kaggle's image may lack it
    _defused_fromstring = None  # type: ignore[assignment]

MAX_ANNOTATION_BYTES = 256 * 1024  # the longest genuine one holds 3 kB
MAX_OBJECTS = 1_000
MAX_COORDINATE = 1_000_000


@dataclass(frozen=True)
class Annotation:
    """What one annotation says: the size in px of the picture that was annotated, and every dog's box."""

    width: int
    height: int
    boxes: tuple[Box, ...]


def parse_annotation(content: bytes, name: str) -> Annotation:
    """Read one annotation. `name` is only used to name the file in messages.

    The boxes are returned as written: they may be empty or leave the picture. `<folder>` and `<filename>`
    are not read, because 624 of the genuine files say `%s` there.

    Raises:
        DogsganError: not XML, a document type or entities inside, no size, no dog, or numbers that make no
        sense.
    """
    if len(content) > MAX_ANNOTATION_BYTES:
        raise DogsganError(
            f"annotation {name} is larger than {MAX_ANNOTATION_BYTES // 1024} kB: it cannot be genuine"
        )
    root = _parse_xml(content, name)
    size = root.find("size")
    if size is None:
        raise DogsganError(f"annotation {name} has no <size>: restore it from the data set's archive")
    width, height = (_number(size, tag, name) for tag in ("width", "height"))
    if width < 1 or height < 1:
        raise DogsganError(f"annotation {name} gives the picture a size of {width}×{height} px: restore it")
    objects = root.findall("object")
    if len(objects) > MAX_OBJECTS:
        raise DogsganError(
            f"annotation {name} lists {len(objects)} objects, more than {MAX_OBJECTS}: restore it"
        )
    return Annotation(width, height, tuple(_box(item, name) for item in objects))


def _box(item: ElementTree.Element, name: str) -> Box:
    corners = item.find("bndbox")
    if corners is None:
        raise DogsganError(f"annotation {name} has an <object> without <bndbox>: restore it")
    return Box(*(_number(corners, tag, name) for tag in ("xmin", "ymin", "xmax", "ymax")))


def _number(parent: ElementTree.Element, tag: str, name: str) -> int:
    text = (parent.findtext(tag) or "").strip()
    try:
        value = float(text[:40])
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_COORDINATE:
        raise DogsganError(f"annotation {name} has no usable number in <{tag}> ({text[:40]!r}): restore it")
    return round(value)


def _parse_xml(content: bytes, name: str) -> ElementTree.Element:
    try:
        if _defused_fromstring is not None:
            return _defused_fromstring(content, forbid_dtd=True)
        _refuse_document_type(content)
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, expat.ExpatError) as error:
        raise DogsganError(f"annotation {name} is not well-formed XML ({error}): restore it") from error
    except (ValueError, LookupError) as error:  # forbidden constructs, encodings that do not exist
        reason = type(error).__name__
        raise DogsganError(
            f"annotation {name} is refused as XML ({reason}): it must be plain, without DTD"
        ) from error


def _refuse_document_type(content: bytes) -> None:
    """Refuse what declares entities: without a document type there are none but XML's own five."""

    def refuse(*_: object) -> None:
        raise ValueError("document type declaration")

    parser = expat.ParserCreate()
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.Parse(content, True)
