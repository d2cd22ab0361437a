"""PNG chunks as they lie in the file: what image libraries drop or rewrite, kept byte for byte."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_IHDR_END = len(SIGNATURE) + 4 + 4 + 13 + 4


def iter_chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, content) of every chunk but the pixel data; stops quietly where a damaged file ends."""
    position = len(SIGNATURE)
    while position + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, position)
        kind = png[position + 4 : position + 8]
        if kind != b"IDAT":
            yield kind, png[position + 8 : position + 8 + length]
        position += 12 + length


def insert_chunks(png: bytes, chunks: Iterable[tuple[bytes, bytes]]) -> bytes:
    """``png`` with ``chunks`` placed directly after its header, where colour and text chunks are both allowed."""
    encoded = b"".join(
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    )
    return png[:_IHDR_END] + encoded + png[_IHDR_END:]


def text_chunk(keyword: str, text: str) -> tuple[bytes, bytes]:
    """An uncompressed UTF-8 ``iTXt`` chunk."""
    return b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode()


def text_of(kind: bytes, content: bytes, keyword: str) -> str | None:
    """The text of an uncompressed ``iTXt`` chunk with this keyword, else None."""
    prefix = keyword.encode("latin-1") + b"\0\0\0"
    if kind != b"iTXt" or not content.startswith(prefix):
        return None
    _language, _translated, text = content[len(prefix) :].split(b"\0", 2)
    return text.decode("utf-8", "replace")


def icc_chunk(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile)
