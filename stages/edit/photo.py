"""A photo loaded so that it can be given back: pixels as stored, bit depth, alpha, orientation, profile, EXIF."""

from __future__ import annotations

import hashlib
import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, JpegImagePlugin, UnidentifiedImageError

from stages.common.errors import BadInputError
from stages.common.films_in_photos import has_film
from stages.common.images import open_picture, orientation_of, read_bytes, upright
from stages.common.png_chunks import iter_chunks
from stages.common.provenance import PNG_KEYWORD, PNG_XMP_KEYWORD
from stages.edit.exif import readable_exif

FileFormat = Literal["PNG", "JPEG"]
Pixels = NDArray[Any]
MIN_SIDE_PX = 32
_KEPT_CHUNKS = frozenset(
    {b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP", b"pHYs", b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
)
_READABLE = "PNG, JPEG, HEIC, AVIF, WebP, TIFF, JPEG 2000, BMP or GIF"
_COLLECTIONS = frozenset({"MPO", "HEIF"})
"""Formats that hold one main picture, and others such as a view for the other eye, which are no frames of a film."""


@dataclass(frozen=True, slots=True)
class JpegCoding:
    """How coarse a JPEG is: its quantisation tables in Pillow's order, and Pillow's number for its subsampling."""

    tables: tuple[tuple[int, ...], ...]
    subsampling: int


@dataclass(frozen=True, slots=True)
class Photo:
    """One picture file.

    ``stored_HWC`` holds its pixels in the file's own rotation, uint8 or uint16, with 1 (grey), 2 (grey, alpha), 3 (RGB)
    or 4 (RGB, alpha) channels; ``orientation`` is the EXIF tag (1..8) that turns them upright.
    """

    path: Path
    sha256: str
    stored_HWC: Pixels
    orientation: int
    file_format: str
    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    png_chunks: tuple[tuple[bytes, bytes], ...] = ()
    notes: tuple[str, ...] = ()
    jpeg: JpegCoding | None = None

    @property
    def output_format(self) -> FileFormat:
        return "JPEG" if self.file_format in {"JPEG", "MPO"} else "PNG"

    @property
    def color_channels(self) -> int:
        return 1 if self.stored_HWC.shape[2] < 3 else 3


def upright_rgb(photo: Photo, stored_HWC: Pixels | None = None) -> NDArray[np.uint8]:
    """Contiguous uint8 RGB (H, W, 3) as displayed, alpha ignored; of ``stored_HWC`` where given."""
    view = upright(photo.stored_HWC if stored_HWC is None else stored_HWC, photo.orientation)
    color = np.ascontiguousarray(view[..., : photo.color_channels])
    if color.dtype == np.uint16:
        height, width, channels = color.shape
        color = cv2.convertScaleAbs(color, alpha=1 / 257).reshape(height, width, channels)
    return np.repeat(color, 3, axis=2) if color.shape[2] == 1 else color


def load_photo(path: Path) -> Photo:
    """Read a picture file.

    Raises ``BadInputError`` with reason "missing", "not a file", "empty", "unreadable", "unsupported", "damaged",
    "animated", "too small" or "too large".
    """
    encoded = read_bytes(path)
    with warnings.catch_warnings():
        # Pillow warns of odd but readable metadata; what cannot be read raises.
        warnings.simplefilter("ignore")
        image = _open(encoded, path)
        try:
            return _build(image, encoded, path)
        finally:
            image.close()


def _open(encoded: bytes, path: Path) -> Image.Image:
    try:
        image = open_picture(encoded)
        frames = 1 if image.format in _COLLECTIONS else getattr(image, "n_frames", 1)
        if frames > 1:
            raise BadInputError(f"{path} has {frames} frames", "Save the one to edit as a PNG first", reason="animated")
        if min(image.size) < MIN_SIDE_PX:
            raise BadInputError(
                f"{path} is only {image.width}x{image.height} pixels", f"{MIN_SIDE_PX} is the least", reason="too small"
            )
        image.load()
    except UnidentifiedImageError as error:
        raise BadInputError(
            f"{path} is not a picture that facediff can read", f"Use {_READABLE}", reason="unsupported"
        ) from error
    except Image.DecompressionBombError as error:
        raise BadInputError(
            f"{path} has too many pixels", "Up to 178 megapixels are read", reason="too large"
        ) from error
    except BadInputError:
        raise
    except Exception as error:
        # Pillow's decoders let many kinds of error through for damaged files.
        raise BadInputError(f"{path} is damaged or cut short ({_one_line(error)})", reason="damaged") from error
    return image


def _build(image: Image.Image, encoded: bytes, path: Path) -> Photo:
    stored, notes = _decode(image, encoded, path)
    exif, exif_notes = readable_exif(image.info.get("exif") or b"")
    icc = b"" if image.mode == "CMYK" else image.info.get("icc_profile") or b""
    xmp = image.info.get("xmp") or b""
    return Photo(
        path=path,
        sha256=hashlib.sha256(encoded).hexdigest(),
        stored_HWC=stored,
        orientation=orientation_of(image),
        file_format=image.format or "",
        exif=exif,
        icc=icc,
        xmp=xmp if isinstance(xmp, bytes) else str(xmp).encode(),
        png_chunks=tuple(_kept_chunks(encoded)) if image.format == "PNG" else (),
        notes=notes + exif_notes + _describe_losses(image, encoded),
        jpeg=_jpeg_coding(image),
    )


def _jpeg_coding(image: Image.Image) -> JpegCoding | None:
    """None for other formats, for CMYK, and for subsampling that Pillow has no number for."""
    if not isinstance(image, JpegImagePlugin.JpegImageFile) or image.mode not in {"L", "RGB"}:
        return None
    subsampling = JpegImagePlugin.get_sampling(image)
    tables = tuple(tuple(table) for _, table in sorted(image.quantization.items()))
    if not tables or max(map(max, tables)) > 255 or (subsampling < 0 and image.mode == "RGB"):
        return None
    return JpegCoding(tables, max(subsampling, 0))


def _describe_losses(image: Image.Image, encoded: bytes) -> tuple[str, ...]:
    """What of the file neither the pixels nor the result have."""
    notes = []
    others = getattr(image, "n_frames", 1) - 1
    if others:
        notes.append(f"only its main picture is edited; {others} more in the file are left out")
    xmp = image.info.get("xmp") or b""
    if image.format in {"JPEG", "MPO"} and has_film(encoded, xmp.decode("utf-8", "replace")):
        notes.append("the film of this Motion Photo is left out")
    bits = image.info.get("bit_depth", 8)
    if image.format == "HEIF" and bits > 8:
        notes.append(f"{bits} bits a channel became 8")
    return tuple(notes)


def _decode(image: Image.Image, encoded: bytes, path: Path) -> tuple[Pixels, tuple[str, ...]]:
    if image.format == "PNG" and encoded[24] == 16:
        return _decode_16_bit_png(encoded, path), ()
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None], ()
    if image.mode == "CMYK":
        return np.array(_cmyk_to_rgb(image)), ("CMYK was converted to RGB",)
    target = _target_mode(image)
    if target is None:
        raise BadInputError(
            f"{path} has pixels of type {image.mode}, which cannot be edited", "Save it as RGB", reason="unsupported"
        )
    pixels = np.array(image if image.mode == target else image.convert(target))
    return (pixels[..., None] if pixels.ndim == 2 else pixels), ()


def _target_mode(image: Image.Image) -> str | None:
    transparent = "transparency" in image.info
    if image.mode in {"1", "L"}:
        return "LA" if transparent and image.mode == "L" else "L"
    if image.mode in {"RGB", "P"}:
        return "RGBA" if transparent else "RGB"
    return {
        "LA": "LA",
        "La": "LA",
        "RGBA": "RGBA",
        "RGBa": "RGBA",
        "PA": "RGBA",
        "RGBX": "RGB",
        "YCbCr": "RGB",
        "HSV": "RGB",
    }.get(image.mode)


def _decode_16_bit_png(encoded: bytes, path: Path) -> Pixels:
    # Pillow would round 16-bit colour to 8.
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise BadInputError(f"{path} is damaged or cut short", reason="damaged")
    if pixels.ndim == 2:
        return np.asarray(pixels[..., None])
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGRA2RGBA if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB))


def _cmyk_to_rgb(image: Image.Image) -> Image.Image:
    profile = image.info.get("icc_profile")
    if profile:
        try:
            converted = ImageCms.profileToProfile(
                image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), outputMode="RGB"
            )
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _kept_chunks(encoded: bytes) -> list[tuple[bytes, bytes]]:
    ours = (PNG_KEYWORD.encode() + b"\0", PNG_XMP_KEYWORD.encode() + b"\0")
    return [
        (kind, content)
        for kind, content in iter_chunks(encoded)
        if kind in _KEPT_CHUNKS and not content.startswith(ours)
    ]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
