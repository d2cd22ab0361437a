"""Encode an edited photo as it came, and decide where it goes before any long computation."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.common.errors import BadInputError, ConfigError
from stages.common.images import upright
from stages.common.manifest import write_atomically
from stages.common.png_chunks import icc_chunk, insert_chunks
from stages.common.provenance import embed_provenance
from stages.common.video_writer import WRITABLE_SUFFIXES, output_suffix
from stages.edit.exif import without_orientation, without_thumbnail
from stages.edit.inputs import Source
from stages.edit.photo import FileFormat, Photo, Pixels

JPEG_QUALITY = 95
_PNG_COMPRESSION = 4
_FORMATS: dict[str, FileFormat] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})
_EXIF_PREFIX = b"Exif\0\0"
ResultKind = Literal["picture", "crop", "sweep"]


def plan_outputs(
    sources: Sequence[Source], out: Path | None, label: str, *, kind: ResultKind = "picture", as_folder: bool = False
) -> list[Path]:
    """Where each result goes: ``<stem>-<label>.<suffix>`` in the current folder or below ``out``, or ``out`` itself.

    ``out`` is a folder when it exists as one, when ``as_folder``, or when there are several sources; names below the
    folder that was given are kept.
    Raises ``ConfigError`` when two results, or a result and an input, would share a path, and for parts of a video.
    """
    folder = (
        out is None or as_folder or out.is_dir() or len(sources) > 1 or str(sources[0].name) != sources[0].path.name
    )
    planned = []
    for source in sources:
        if source.is_video and kind != "picture":
            raise ConfigError(f"{source.path} is a video, of which there is no {kind}", "Give a photo")
        if out is not None and not folder:
            known = WRITABLE_SUFFIXES if source.is_video else tuple(_FORMATS)
            if out.suffix.lower() not in known:
                raise ConfigError(f"--out {out} must end in {', '.join(known)}", "Or give a folder: end it with /")
            planned.append(out)
            continue
        name = f"{source.path.stem}-{label}{'' if kind == 'picture' else '-' + kind}{_suffix(source, kind)}"
        planned.append((out or Path()) / source.name.with_name(name))
    taken = {source.path.absolute() for source in sources}
    for path in planned:
        if path.absolute() in taken:
            raise ConfigError(f"{path} would be written twice, or over its own source", "Choose another --out")
        taken.add(path.absolute())
    return planned


def _suffix(source: Source, kind: ResultKind) -> str:
    if source.is_video:
        return output_suffix(source.path)
    return ".jpg" if kind == "picture" and source.path.suffix.lower() in _JPEG_SUFFIXES else ".png"


def way_back_path(result: Path) -> Path:
    """Where the pictures of the way back go."""
    return result.with_name(f"{result.stem}-way-back.png")


def save_photo(path: Path, photo: Photo, stored_HWC: Pixels, record: Mapping[str, Any]) -> None:
    """Write an edit (pixels laid out like ``photo.stored_HWC``) atomically, in the format that ``path`` names."""
    file_format = _FORMATS[path.suffix.lower()]
    encoded = encode_photo(photo, stored_HWC, file_format)
    _write(path, embed_provenance(encoded, record, photo.xmp))


def save_crop(path: Path, crop_HWC: NDArray[np.uint8], *, grey: bool, record: Mapping[str, Any]) -> None:
    """Write an aligned crop (S, S, 3) atomically; a greyscale photo's crop is greyscale."""
    image = Image.fromarray(crop_HWC)
    stream = io.BytesIO()
    if grey:
        image = image.convert("L")
    image.save(stream, _FORMATS[path.suffix.lower()], quality=JPEG_QUALITY, subsampling=0)
    _write(path, embed_provenance(stream.getvalue(), record))


def encode_photo(photo: Photo, stored_HWC: Pixels, file_format: FileFormat) -> bytes:
    """File bytes with the photo's size, bit depth, alpha, orientation, profile and EXIF, as far as the format can."""
    exif = without_thumbnail(photo.exif)
    if file_format == "PNG" and photo.file_format != "PNG" and photo.orientation != 1:
        # Many programs ignore a PNG's EXIF, so what was not a PNG before is stored upright.
        stored_HWC = np.ascontiguousarray(upright(stored_HWC, photo.orientation))
        exif = without_orientation(exif)
    if file_format == "JPEG":
        return _encode_jpeg(photo, stored_HWC, exif)
    chunks = list(photo.png_chunks)
    if photo.file_format != "PNG":
        chunks += [icc_chunk(photo.icc)] if photo.icc else []
        chunks += [(b"eXIf", exif.removeprefix(_EXIF_PREFIX))] if exif else []
    return insert_chunks(_encode_png_pixels(stored_HWC), chunks)


def _encode_png_pixels(stored_HWC: Pixels) -> bytes:
    channels = stored_HWC.shape[2]
    if channels == 2:
        stream = io.BytesIO()
        Image.fromarray(stored_HWC).save(stream, "PNG", compress_level=_PNG_COMPRESSION)
        return stream.getvalue()
    if channels >= 3:
        stored_HWC = cv2.cvtColor(stored_HWC, cv2.COLOR_RGB2BGR if channels == 3 else cv2.COLOR_RGBA2BGRA)
    done, encoded = cv2.imencode(".png", stored_HWC, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])
    if not done:
        raise BadInputError("the picture cannot be encoded as PNG", reason="unwritable")
    return bytes(encoded.tobytes())


def _encode_jpeg(photo: Photo, stored_HWC: Pixels, exif: bytes) -> bytes:
    pixels = stored_HWC
    if pixels.dtype == np.uint16:
        pixels = cv2.convertScaleAbs(pixels, alpha=1 / 257).reshape(pixels.shape)
    if pixels.shape[2] in {2, 4}:
        # JPEG has no alpha: over white, as most viewers show it.
        alpha = pixels[..., -1:].astype(np.uint16)
        pixels = ((pixels[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    stream = io.BytesIO()
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.save(stream, "JPEG", quality=JPEG_QUALITY, subsampling=0, icc_profile=photo.icc or None, exif=exif or b"")
    return stream.getvalue()


def _write(path: Path, encoded: bytes) -> None:
    try:
        write_atomically(path, encoded)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}", reason="unwritable") from error
