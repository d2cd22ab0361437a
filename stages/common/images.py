"""Reading photos of any kind into upright 8-bit RGB."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import pillow_heif
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from stages.common.errors import BadInputError

ORIENTATION_TAG = 0x0112
_AVIF_BRANDS = frozenset({b"avif", b"avis"})
"""Of files that Pillow reads by itself."""
PixelT = TypeVar("PixelT", bound=np.generic)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Decode a photo to (H, W, 3) RGB, turned upright by its EXIF orientation.

    Raises ``BadInputError`` with reason "missing", "not a file", "empty", "too large" or "unreadable".
    """
    return decode_rgb(read_bytes(path), path)


def read_bytes(path: Path) -> bytes:
    """The content of a photo. Raises ``BadInputError`` with reason "missing", "not a file", "empty" or "unreadable"."""
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInputError(f"{path} does not exist", reason="missing") from error
    except IsADirectoryError as error:
        raise BadInputError(f"{path} is a folder", "Give a photo", reason="not a file") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}", reason="unreadable") from error
    if not content:
        raise BadInputError(f"{path} is empty", reason="empty")
    return content


def decode_rgb(content: bytes, name: Path | str) -> NDArray[np.uint8]:
    """Decode the bytes of a photo as ``read_rgb`` does; ``name`` is only for messages."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with open_picture(content) as image:
                image.load()
                return np.ascontiguousarray(upright(_to_rgb(image), orientation_of(image)))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        most = (Image.MAX_IMAGE_PIXELS or 0) // 1_000_000
        raise BadInputError(f"{name} has over {most} megapixels", "Shrink it first", reason="too large") from error
    except UnidentifiedImageError as error:
        raise BadInputError(f"{name} is not a picture in a known format", reason="unreadable") from error
    except Exception as error:
        # Pillow's decoders and its EXIF parser let many kinds of error through for damaged files.
        raise BadInputError(f"{name} is damaged: {_one_line(error)}", reason="unreadable") from error


def open_picture(content: bytes) -> Image.Image:
    """Pillow's view of the bytes of a photo, HEIF among them; raises what Pillow raises."""
    if content[4:8] == b"ftyp" and content[8:12] not in _AVIF_BRANDS:
        pillow_heif.register_heif_opener()
    return Image.open(io.BytesIO(content))


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 where the file says nothing, or nothing that can be understood."""
    try:
        said = image.getexif().get(ORIENTATION_TAG, 1)
        return next((number for number in range(1, 9) if number == said), 1)
    except Exception:
        # Damaged metadata raises errors of many kinds, and is no reason to refuse pixels that are well.
        return 1


def upright(stored_HWC: NDArray[PixelT], orientation: int) -> NDArray[PixelT]:
    """A view of the same memory as it is displayed; writing to it writes the stored pixels."""
    if orientation in {2, 3, 7}:
        stored_HWC = stored_HWC[:, ::-1]
    if orientation in {3, 4, 7}:
        stored_HWC = stored_HWC[::-1]
    if orientation in {5, 7}:
        return stored_HWC.swapaxes(0, 1)
    if orientation in {6, 8}:
        return np.rot90(stored_HWC, -1 if orientation == 6 else 1)
    return stored_HWC


def encode_jpeg(rgb: NDArray[np.uint8], quality: int) -> bytes:
    """JPEG without chroma subsampling, which would cost a small face its colour detail."""
    full_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    _, content = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality, *full_chroma])
    return bytes(content)


def _to_rgb(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode == "RGB" and "transparency" not in image.info:
        return np.asarray(image)
    if image.mode.startswith(("I", "F")):
        grey = _to_8_bit(np.asarray(image))
        return np.repeat(grey[..., None], 3, axis=2)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return np.asarray(Image.alpha_composite(white, rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _to_8_bit(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Integers are taken as 16-bit unless all fit in 8 bits, floats as 0..1 unless some exceed it."""
    scaled = np.asarray(values, dtype=np.float64)
    if values.dtype.kind == "f":
        scaled = scaled * 255 if scaled.max() <= 1 else scaled
    elif values.dtype.itemsize == 2 or scaled.max() > 255:
        scaled = scaled / 257
    return np.clip(np.rint(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
