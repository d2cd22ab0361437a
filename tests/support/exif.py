"""EXIF blocks byte by byte, also ones that no library would write."""

from __future__ import annotations

import struct

ORIENTATION, MAKE, RESOLUTION = 0x0112, 0x010F, 0x011A
ASCII, SHORT, RATIONAL, SIGNED_RATIONAL, DOUBLE = 2, 3, 5, 10, 12


def block(
    fields: list[tuple[int, int, int, bytes]], thumbnail: list[tuple[int, int, int, bytes]] | None = None
) -> bytes:
    """Fields (tag, type, count, value) of the picture, and of its thumbnail."""
    first = _directory(fields, 8, bool(thumbnail))
    second = _directory(thumbnail, 8 + len(first), False) if thumbnail else b""
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + second


def _directory(fields: list[tuple[int, int, int, bytes]], start: int, followed: bool) -> bytes:
    after = start + 2 + 12 * len(fields) + 4
    entries, long = b"", b""
    for tag, kind, count, value in fields:
        short = len(value) <= 4
        place = value.ljust(4, b"\0") if short else struct.pack("<I", after + len(long))
        entries += struct.pack("<HHI", tag, kind, count) + place
        long += b"" if short else value
    following = after + len(long) if followed else 0
    return struct.pack("<H", len(fields)) + entries + struct.pack("<I", following) + long


CAMERA = (MAKE, ASCII, 4, b"Cam\0")
ODD: dict[str, bytes] = {
    "rational -1/0 in the thumbnail": block([CAMERA], [(RESOLUTION, SIGNED_RATIONAL, 1, struct.pack("<ii", -1, 0))]),
    "rational -1/0": block([CAMERA, (RESOLUTION, SIGNED_RATIONAL, 1, struct.pack("<ii", -1, 0))]),
    "unsigned -1/0": block([CAMERA, (RESOLUTION, RATIONAL, 1, struct.pack("<iI", -1, 0))]),
    "rational -1/0 beside a thumbnail": block(
        [CAMERA, (RESOLUTION, SIGNED_RATIONAL, 1, struct.pack("<ii", -1, 0))], [(MAKE, ASCII, 4, b"Cam\0")]
    ),
    "orientation as text": block([CAMERA, (ORIENTATION, ASCII, 4, b"top\0")]),
    "orientation as NaN": block([CAMERA, (ORIENTATION, DOUBLE, 1, struct.pack("<d", float("nan")))]),
    "orientation as 0/0": block([CAMERA, (ORIENTATION, RATIONAL, 1, struct.pack("<II", 0, 0))]),
    "an undefined type": block([CAMERA, (ORIENTATION, 99, 1, b"\6")]),
    "a truncated header": b"Exif\0\0II*",
    "a truncated directory": b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12",
    "no TIFF": b"Exif\0\0" + b"\xff" * 40,
}
"""By what is wrong with them; none says how the picture is to be turned."""
