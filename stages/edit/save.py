"""Encode an edited photo as it came, and decide where it goes before any long computation."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.common.errors import BadInputError, ConfigError
from stages.common.images import upright
from stages.common.manifest import write_atomically
from stages.common.outputs import free_names, require_free
from stages.common.png_chunks import icc_chunk, insert_chunks
from stages.common.provenance import embed_provenance
from stages.common.video_writer import WRITABLE_SUFFIXES, output_suffix
from stages.common.writable import same_file
from stages.edit.exif import without_orientation, without_thumbnail
from stages.edit.inputs import Source
from stages.edit.like import sidecar_path
from stages.edit.photo import FileFormat, Photo, Pixels

JPEG_QUALITY = 95
_PNG_COMPRESSION = 4
_MOST_CROPS = 100
_FORMATS: dict[str, FileFormat] = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_JPEG_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"})
_EXIF_PREFIX = b"Exif\0\0"
ResultKind = Literal["picture", "crop", "sweep"]


def plan_outputs(
    sources: Sequence[Source],
    out: Path | None,
    label: str,
    *,
    kind: ResultKind = "picture",
    as_folder: bool = False,
    beside: Callable[[Path], Sequence[Path]] = lambda _path: (),
    note: Callable[[str], None] = lambda _line: None,
) -> list[Path]:
    """Where each result goes: ``<stem>-<label>.<suffix>`` in the current folder or below ``out``, or ``out`` itself.

    ``out`` is a folder when it exists as one, when ``as_folder``, or when there are several sources; names below the
    folder that was given are kept. A name that is taken, by another result, a source or a file that facediff did not
    write, gets a number, which is noted; ``beside`` gives what is written beside a result.
    Raises ``ConfigError`` and ``ResumeConflictError`` where ``out`` itself is taken, and for parts of a video.
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
            require_free(out, [source.path], beside(out))
            return [out]
        name = f"{source.path.stem}-{label}{'' if kind == 'picture' else '-' + kind}{_suffix(source, kind)}"
        planned.append((out or Path()) / source.name.with_name(name))
    chosen = free_names(planned, [source.path for source in sources], beside)
    for source, wanted, path in zip(sources, planned, chosen, strict=True):
        if path != wanted:
            note(f"{source.path}: its result is {path.name}, since {wanted.name} is taken or too long")
    return chosen


def written_beside(result: Path, *, way_back: bool, sidecar: bool, crops: bool) -> list[Path]:
    """What an edit may write besides ``result``: pictures of the way back, crops of several faces, and sidecars."""
    paths = [way_back_path(result)] if way_back else []
    paths += [crop_path(result, number) for number in range(1, _MOST_CROPS)] if crops else []
    return paths + ([sidecar_path(path) for path in (result, *paths)] if sidecar else [])


def _suffix(source: Source, kind: ResultKind) -> str:
    if source.is_video:
        return output_suffix(source.path)
    return ".jpg" if kind == "picture" and source.path.suffix.lower() in _JPEG_SUFFIXES else ".png"


def crop_path(result: Path, number: int) -> Path:
    """Where the crop of one of several faces goes, counted from 1."""
    return result.with_stem(f"{result.stem}-{number}")


def way_back_path(result: Path) -> Path:
    """Where the pictures of the way back go."""
    return result.with_name(f"{result.stem}-way-back.png")


def save_photo(path: Path, photo: Photo, stored_HWC: Pixels, record: Mapping[str, Any]) -> None:
    """Write an edit (pixels laid out like ``photo.stored_HWC``) atomically, in the format that ``path`` names."""
    if same_file(path, photo.path):
        raise BadInputError(f"{path} would be written over its own source", reason="unwritable")
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
    image.save(stream, "JPEG", icc_profile=photo.icc or None, exif=exif or b"", **_coding(photo, image))
    return stream.getvalue()


def _coding(photo: Photo, image: Image.Image) -> dict[str, Any]:
    """As the photo was coded where it was a JPEG, so that what is not edited comes back but for rounding."""
    if photo.jpeg is None or len(photo.jpeg.tables) > (1 if image.mode == "L" else 4):
        return {"quality": JPEG_QUALITY, "subsampling": 0}
    return {"qtables": [list(table) for table in photo.jpeg.tables], "subsampling": photo.jpeg.subsampling}


def _write(path: Path, encoded: bytes) -> None:
    try:
        write_atomically(path, encoded)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror}", reason="unwritable") from error
