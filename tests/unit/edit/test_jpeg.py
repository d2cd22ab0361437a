"""JPEG in, JPEG out: coded as it was, so that what is not edited comes back but for rounding."""

import io

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin
from skimage import data

from stages.edit.photo import load_photo
from stages.edit.save import encode_photo


@pytest.mark.parametrize(("quality", "subsampling"), [(95, 0), (85, 2), (60, 1)])
def test_tables_and_subsampling_are_kept(tmp_path, quality, subsampling):
    Image.fromarray(data.astronaut()).save(tmp_path / "a.jpg", quality=quality, subsampling=subsampling)
    photo = load_photo(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as before:
        encoded = io.BytesIO(encode_photo(photo, photo.stored_HWC, "JPEG"))
        with Image.open(encoded) as after:
            assert after.quantization == before.quantization
            assert JpegImagePlugin.get_sampling(after) == subsampling
            change = np.abs(np.asarray(after).astype(int) - np.asarray(before))
    as_before = io.BytesIO()
    Image.fromarray(photo.stored_HWC).save(as_before, "JPEG", quality=95, subsampling=0)
    assert change.mean() < 0.35
    if quality < 95:
        with Image.open(as_before) as again:
            assert change.mean() < np.abs(np.asarray(again).astype(int) - photo.stored_HWC).mean()


def test_grey_and_cmyk_and_other_formats(tmp_path):
    Image.fromarray(data.camera()).save(tmp_path / "grey.jpg", quality=70)
    Image.fromarray(data.astronaut()).convert("CMYK").save(tmp_path / "cmyk.jpg")
    Image.fromarray(data.astronaut()).save(tmp_path / "a.png")
    for name, size in (("grey.jpg", 1), ("cmyk.jpg", 2), ("a.png", 2)):
        photo = load_photo(tmp_path / name)
        assert (photo.jpeg is None) == (name != "grey.jpg")
        with Image.open(io.BytesIO(encode_photo(photo, photo.stored_HWC, "JPEG"))) as saved:
            assert len(saved.quantization) == size
