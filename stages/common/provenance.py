"""How a picture says what made it: a JSON record in a PNG text chunk or in JPEG XMP, leaving all other metadata alone.

Both formats also carry IPTC's ``DigitalSourceType`` in XMP, which other programs read as "edited with generative AI".
"""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from stages.common.errors import BadInputError
from stages.common.films_in_photos import without_film
from stages.common.manifest import write_atomically
from stages.common.png_chunks import SIGNATURE, insert_chunks, iter_chunks, text_chunk, text_of

PNG_KEYWORD = "facediff"
PNG_XMP_KEYWORD = "XML:com.adobe.xmp"
_NAMESPACE = "urn:facediff:provenance:1"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""A photo of which a part was made by a model."""
GENERATED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""Made by a model altogether."""
_JPEG_XMP_HEADER = b"http://ns.adobe.com/xap/1.0/\0"
_MAX_SEGMENT_BYTES = 65533
_OWN_DESCRIPTION = re.compile(rf'<rdf:Description rdf:about="" xmlns:facediff="{_NAMESPACE}"[^>]*/>\s*')
_OTHER_SOURCE_TYPE = re.compile(
    r'\s[\w.-]+:DigitalSourceType="[^"]*"|<([\w.-]+:DigitalSourceType)\b[^>]*>[^<]*</\1>\s*', re.ASCII
)
_RECORD = re.compile(r'\sfacediff:provenance="([^"]*)"')


def describe_tool() -> dict[str, str]:
    """The two fields that open every record: ``tool`` and ``version``."""
    try:
        found = version("facediff")
    except PackageNotFoundError:
        found = "unknown"
    return {"tool": "facediff", "version": found}


def write_provenance(path: Path, record: Mapping[str, Any]) -> None:
    """Put ``record`` into the PNG or JPEG at ``path``, replacing an earlier one. ``BadInputError`` for others."""
    encoded = path.read_bytes()
    write_atomically(path, embed_provenance(_without_xmp_and_record(encoded), record, _read_xmp(encoded)))


def read_provenance(path: Path) -> dict[str, Any] | None:
    """The record in a PNG or JPEG, or None. Raises ``BadInputError`` if there is no readable picture at ``path``."""
    try:
        xmp = _read_xmp(path.read_bytes())
    except (OSError, UnidentifiedImageError) as error:
        raise BadInputError(f"{path} is not a readable picture", reason="unreadable") from error
    found = _RECORD.search(xmp.decode("utf-8", "replace"))
    if found is None:
        return None
    record = json.loads(html.unescape(found.group(1)))
    return record if isinstance(record, dict) else None


def embed_provenance(
    encoded: bytes, record: Mapping[str, Any], existing_xmp: bytes = b"", *, source_type: str = COMPOSITE
) -> bytes:
    """A PNG or JPEG without XMP, in memory, with ``record`` added and merged into the XMP packet that its source had.

    A source packet that leaves no room in JPEG's 64 KiB is replaced.
    """
    text = json.dumps(record, sort_keys=True, ensure_ascii=False)
    packet = _merge_xmp(existing_xmp.decode("utf-8", "replace"), text, source_type)
    if encoded.startswith(SIGNATURE):
        return insert_chunks(encoded, [text_chunk(PNG_XMP_KEYWORD, packet), text_chunk(PNG_KEYWORD, text)])
    if encoded.startswith(b"\xff\xd8"):
        content = _JPEG_XMP_HEADER + packet.encode()
        if len(content) > _MAX_SEGMENT_BYTES:
            content = _JPEG_XMP_HEADER + _merge_xmp("", text, source_type).encode()
        return _insert_segment(encoded, content)
    raise BadInputError("provenance can be written to PNG and JPEG only", reason="unsupported")


def _merge_xmp(packet: str, record_text: str, source_type: str) -> str:
    description = (
        f'<rdf:Description rdf:about="" xmlns:facediff="{_NAMESPACE}"'
        ' xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
        f' Iptc4xmpExt:DigitalSourceType="{source_type}" facediff:provenance="{html.escape(record_text)}"/>\n'
    )
    packet = without_film(_OTHER_SOURCE_TYPE.sub("", _OWN_DESCRIPTION.sub("", packet)))
    before, end, after = packet.rpartition("</rdf:RDF>")
    if end:
        return before + description + end + after
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        f'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\n{description}</rdf:RDF></x:xmpmeta>\n'
        '<?xpacket end="w"?>'
    )


def _read_xmp(encoded: bytes) -> bytes:
    if encoded.startswith(SIGNATURE):
        texts = (text_of(kind, content, PNG_XMP_KEYWORD) for kind, content in iter_chunks(encoded))
        return next((text.encode() for text in texts if text is not None), b"")
    with Image.open(io.BytesIO(encoded)) as image:
        xmp = image.info.get("xmp", b"")
    return xmp if isinstance(xmp, bytes) else str(xmp).encode()


def _without_xmp_and_record(encoded: bytes) -> bytes:
    if encoded.startswith(SIGNATURE):
        ours = [
            text_chunk(keyword, text)
            for kind, content in iter_chunks(encoded)
            for keyword in (PNG_KEYWORD, PNG_XMP_KEYWORD)
            if (text := text_of(kind, content, keyword)) is not None
        ]
        for chunk in ours:
            bare = insert_chunks(SIGNATURE + b"\0" * 25, [chunk])[len(SIGNATURE) + 25 :]
            encoded = encoded.replace(bare, b"", 1)
        return encoded
    for start, end in _segments(encoded):
        if encoded[start + 4 : end].startswith(_JPEG_XMP_HEADER):
            return encoded[:start] + encoded[end:]
    return encoded


def _segments(jpeg: bytes) -> list[tuple[int, int]]:
    """(start, end) of every segment before the scan, which is all that metadata can be in."""
    found = []
    position = 2
    while position + 4 <= len(jpeg) and jpeg[position] == 0xFF and jpeg[position + 1] not in {0xDA, 0xD9}:
        end = position + 2 + int.from_bytes(jpeg[position + 2 : position + 4])
        found.append((position, end))
        position = end
    return found


def _insert_segment(jpeg: bytes, content: bytes) -> bytes:
    position = 2
    for start, end in _segments(jpeg):
        # JFIF and Exif readers expect their own segments first.
        if jpeg[start + 1] == 0xE0 or jpeg[start + 4 : start + 8] == b"Exif":
            position = end
    segment = b"\xff\xe1" + (len(content) + 2).to_bytes(2) + content
    return jpeg[:position] + segment + jpeg[position:]
