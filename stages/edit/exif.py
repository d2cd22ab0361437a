"""EXIF as a result may carry it: all that was in the source but the thumbnail, or nothing where it is damaged."""

from __future__ import annotations

import warnings

from PIL import ExifTags, Image

from stages.common.images import ORIENTATION_TAG


def readable_exif(exif: bytes) -> tuple[bytes, tuple[str, ...]]:
    """``exif`` if it is sound, what can be understood of it if it is not, and nothing, with a note, if that is nothing.

    What cannot be parsed may hide a thumbnail, which would go on showing the face as it was.
    """
    try:
        without_orientation(without_thumbnail(exif))
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            fields = Image.Exif()
            fields.load(exif)
        return (fields.tobytes() if heard else exif), ()
    except Exception:
        # Pillow's parser and writer raise errors of many kinds for damaged fields.
        return b"", ("its EXIF data is damaged and was left out",)


def without_thumbnail(exif: bytes) -> bytes:
    """The same fields but those of the thumbnail."""
    fields = _parsed(exif)
    if not fields.get_ifd(ExifTags.IFD.IFD1):
        return exif
    # Writes the fields of the picture, of the camera and of the place, and not those of the thumbnail.
    return _parsed(exif).tobytes()


def without_orientation(exif: bytes) -> bytes:
    """The same fields, where the picture is stored as it is displayed."""
    fields = _parsed(exif)
    fields[ORIENTATION_TAG] = 1
    return fields.tobytes()


def _parsed(exif: bytes) -> Image.Exif:
    fields = Image.Exif()
    with warnings.catch_warnings():
        # Pillow warns of fields that it leaves out.
        warnings.simplefilter("ignore")
        fields.load(exif)
    return fields
