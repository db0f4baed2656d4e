"""PNG without what its pixels do not need: text, colour profiles and animation, which a decoder may refuse.

Pillow unpacks text and profiles while it reads the header, and gives up the whole picture where one is larger
than its limit or malformed. Nothing here uses them.
"""

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_NEEDED = frozenset((b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND"))


def without_extras(content: bytes) -> bytes:
    """Return a PNG with only the chunks that decide its pixels and orientation, each as it stands.

    Anything that is no PNG, or has no other chunks, is returned as it is. From where a PNG is damaged on, the
    rest is kept: the decoder has to judge it.
    """
    if not content.startswith(SIGNATURE):
        return content
    kept = [SIGNATURE]
    left_out = False
    position = len(SIGNATURE)
    while position + 12 <= len(content):
        kind = content[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(content[position : position + 4])
        if end > len(content) or not kind.isalpha():
            break
        if kind in _NEEDED:
            kept.append(content[position:end])
        else:
            left_out = True
        position = end
        if kind == b"IEND":
            break
    return b"".join(kept) + content[position:] if left_out else content
