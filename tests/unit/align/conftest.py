"""Photos of one face, rendered from the portrait that scikit-image ships."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageFilter

SavePhoto = Callable[..., Path]


@pytest.fixture
def save_photo(tmp_path: Path) -> SavePhoto:
    """Write the astronaut, cut at ``left, top`` and blurred by ``blur_px``, as a photo in ``tmp_path/photos``."""

    def save(
        name: str, left: int = 120, top: int = 30, blur_px: float = 0, side: int = 200, grey: bool = False
    ) -> Path:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.asarray(skimage.data.astronaut())).crop((left, top, left + side, top + side))
        image = image.filter(ImageFilter.GaussianBlur(blur_px)) if blur_px else image
        (image.convert("L") if grey else image).save(path, quality=92)
        return path

    return save
