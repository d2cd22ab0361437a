"""Motion Photos: the films that phones append to a JPEG, which no result has, and the XMP fields that promise them."""

from __future__ import annotations

import re

_SAYS_FILM = re.compile(r'[\w.-]+:(?:MotionPhoto|MicroVideo)\s*(?:=\s*"1"|>\s*1\s*<)', re.ASCII)
_SAMSUNG = b"MotionPhoto_Data"
_ATTRIBUTES = re.compile(r'\s[\w.-]+:(?:MotionPhoto|MicroVideo)\w*\s*=\s*"[^"]*"', re.ASCII)
_ELEMENTS = re.compile(r"<([\w.-]+:(?:MotionPhoto|MicroVideo)\w*)\b[^>]*>[^<]*</\1>\s*", re.ASCII)
_CONTAINER = re.compile(r'xmlns:([\w.-]+)="http://ns\.google\.com/photos/1\.0/container/"')
_GAIN_MAP = re.compile(r'\s(?:hdrgm|HDRGainMap):\w+\s*=\s*"[^"]*"', re.ASCII)


def has_film(encoded: bytes, xmp: str) -> bool:
    """Whether the bytes of a photo hold a film besides, by what it says of itself."""
    return bool(_SAYS_FILM.search(xmp)) or _SAMSUNG in encoded


def without_film(xmp: str) -> str:
    """An XMP packet that promises neither a film nor a gain map behind the picture."""
    xmp = _GAIN_MAP.sub("", _ELEMENTS.sub("", _ATTRIBUTES.sub("", xmp)))
    for prefix in set(_CONTAINER.findall(xmp)):
        name = re.escape(prefix)
        xmp = re.sub(rf"<{name}:Directory\b.*?</{name}:Directory>\s*", "", xmp, flags=re.DOTALL)
    return xmp
