"""Generated pictures on disk."""

import numpy as np
import torch
from PIL import Image

from stages.common.pictures import GAP_PX, lay_out, write_png
from stages.common.provenance import GENERATED, read_provenance
from stages.common.tensors import from_model_range, to_model_range

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 4, 3)).astype(np.uint8)


def test_a_png_says_what_made_it_and_that_it_is_generated(tmp_path):
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, PICTURE, {"stage": "synthesize"})
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert GENERATED.encode() in content
    assert read_provenance(tmp_path / "a.png") == {"stage": "synthesize"}
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), PICTURE)


def test_a_sheet_goes_row_by_row_on_white():
    sheet = lay_out([PICTURE, PICTURE // 2, PICTURE // 4], 2)
    assert sheet.shape == (2 * (6 + GAP_PX) + GAP_PX, 2 * (4 + GAP_PX) + GAP_PX, 3)
    assert np.array_equal(sheet[2:8, 8:12], PICTURE // 2)
    assert np.array_equal(sheet[10:16, 2:6], PICTURE // 4)
    assert (sheet[10:, 8:] == 255).all()
    assert lay_out([PICTURE], 8).shape == (6 + 2 * GAP_PX, 4 + 2 * GAP_PX, 3)


def test_pictures_survive_the_model_range():
    assert np.array_equal(from_model_range(to_model_range([PICTURE])), PICTURE[None])
    assert from_model_range(torch.tensor([-3.0, 0.0, 3.0]).view(1, 3, 1, 1)).ravel().tolist() == [0, 128, 255]
