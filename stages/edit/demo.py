"""The demonstration: one portrait that comes with scikit-image, edited into everything a model can do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from stages.common.face.detect import FaceDetector
from stages.common.face.warp import align_face
from stages.common.progress import Progress
from stages.edit.config import EditConfig
from stages.edit.photo import load_photo, upright_rgb
from stages.edit.run import EditResult, FaceEditor, edit_photo
from stages.edit.save import save_photo

TILE_PX = 256
_LABEL_PX = 34
_GAP_PX = 8
_COLUMNS = 5
SHEET_NAME = "sheet.png"
_STEM = "astronaut"

Tile = tuple[str, NDArray[np.uint8]]


def demo_outputs(out: Path, emotions: Sequence[str]) -> list[Path]:
    """The files that ``make_demo`` writes: the source, one for each emotion, and the contact sheet last."""
    return [out / f"{_STEM}.png", *(out / f"{_STEM}-{emotion}.png" for emotion in emotions), out / SHEET_NAME]


def make_demo(out: Path, editor: FaceEditor, detector: FaceDetector, progress: Progress) -> list[Path]:
    """Edit the portrait into every emotion that it can do below the folder ``out``; returns the paths written."""
    from skimage import data

    source_path, *edit_paths, sheet_path = demo_outputs(out, editor.editable)
    Image.fromarray(data.astronaut()).save(source_path)
    photo = load_photo(source_path)
    tiles: list[Tile] = []
    with progress.task("emotions", len(editor.editable)) as task:
        for emotion, path in zip(editor.editable, edit_paths, strict=True):
            result = edit_photo(photo, editor, detector, EditConfig(emotion=emotion))
            save_photo(path, photo, result.stored_HWC, result.provenance)
            if not tiles:
                tiles = _first_tiles(upright_rgb(photo), result)
            tiles.append((emotion, _face_tile(upright_rgb(photo, result.stored_HWC), result, editor.size_px)))
            task.advance()
    make_sheet(tiles).save(sheet_path)
    return [source_path, *edit_paths, sheet_path]


def make_sheet(tiles: Sequence[Tile]) -> Image.Image:
    """A contact sheet of labelled square pictures, row by row on white."""
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    step_x, step_y = TILE_PX + _GAP_PX, TILE_PX + _LABEL_PX + _GAP_PX
    sheet = Image.new("RGB", (columns * step_x + _GAP_PX, rows * step_y + _GAP_PX), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=22)
    for index, (label, pixels) in enumerate(tiles):
        x, y = _GAP_PX + index % columns * step_x, _GAP_PX + index // columns * step_y
        draw.text((x + TILE_PX / 2, y + _LABEL_PX / 2), label, fill="black", font=font, anchor="mm")
        sheet.paste(Image.fromarray(pixels).resize((TILE_PX, TILE_PX), Image.Resampling.BICUBIC), (x, y + _LABEL_PX))
    return sheet


def _first_tiles(rgb: NDArray[np.uint8], result: EditResult) -> list[Tile]:
    face = result.faces[0]
    return [
        (f"source: {face.source}", _face_tile(rgb, result, face.crop_SSC.shape[0])),
        ("reconstruction", face.reconstruction_SSC),
    ]


def _face_tile(rgb: NDArray[np.uint8], result: EditResult, size_px: int) -> NDArray[np.uint8]:
    """The same view as the model's crop, cut from the full-size photo at the tile's own resolution."""
    factor = TILE_PX / size_px
    matrix = factor * result.faces[0].transform
    # Pixel centres are integers, so the corner of the crop lies at -0.5 at any size.
    matrix[:, 2] += (factor - 1) / 2
    return align_face(rgb, matrix, TILE_PX)
