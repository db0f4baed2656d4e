"""A picture of a source, and what was left out of one: the values that every kind of source is made of."""

from dataclasses import dataclass

from dogsgan.crops import Box

UNREADABLE_ANNOTATION = "annotation cannot be read"


@dataclass(frozen=True)
class SourceImage:
    """A picture of a source. `name` is its path below the folder of pictures, the same in a zip."""

    name: str
    class_name: str | None  # the breed's or class's folder, or the digit; None where classes are not known
    boxes: tuple[Box, ...] = ()  # as annotated, in px of a picture of `annotated_size`
    annotated_size: tuple[int, int] | None = None  # width and height in px; None without annotation
    problem: str | None = None  # why an annotated source has no boxes for this picture
    member: str = ""  # where its bytes are in the source


@dataclass(frozen=True)
class Skipped:
    """Something that was left out: which file, why (one of a few reasons), and more detail where there is."""

    name: str
    reason: str
    detail: str = ""
