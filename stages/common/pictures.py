"""Writing pictures that a model made, and laying several out on one sheet."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stages.common.manifest import write_atomically
from stages.common.provenance import GENERATED, embed_provenance

GAP_PX = 2


def write_png(
    path: Path, picture_HWC: NDArray[np.uint8], record: Mapping[str, Any], source_type: str = GENERATED
) -> None:
    """Write a picture atomically, with a record of what made it. Equal pictures and records give equal bytes."""
    stream = io.BytesIO()
    Image.fromarray(picture_HWC).save(stream, "PNG")
    write_atomically(path, embed_provenance(stream.getvalue(), record, source_type=source_type))


def lay_out(pictures: Sequence[NDArray[np.uint8]], columns: int) -> NDArray[np.uint8]:
    """Pictures of one size (H, W, 3) row by row on white, ``GAP_PX`` apart and from the border."""
    height, width, _ = pictures[0].shape
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + GAP_PX) + GAP_PX, columns * (width + GAP_PX) + GAP_PX, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        top, left = GAP_PX + row * (height + GAP_PX), GAP_PX + column * (width + GAP_PX)
        sheet[top : top + height, left : left + width] = picture
    return sheet
