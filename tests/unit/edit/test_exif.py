"""Odd EXIF is never a reason to refuse a picture: the result has what can be understood, and no thumbnail."""

import io

import numpy as np
import pytest
from PIL import Image
from support.exif import CAMERA, ODD, ORIENTATION, SHORT, block

from stages.common.images import read_rgb
from stages.edit.photo import load_photo, upright_rgb
from stages.edit.save import encode_photo

PIXELS = np.arange(40 * 64 * 3, dtype=np.uint8).reshape(40, 64, 3)


def write(path, exif):
    stream = io.BytesIO()
    Image.fromarray(PIXELS).save(stream, "JPEG", quality=95)
    jpeg = stream.getvalue()
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2) + exif + jpeg[2:])
    return path


@pytest.mark.parametrize("exif", ODD.values(), ids=ODD.keys())
def test_the_picture_is_read_and_saved_all_the_same(tmp_path, exif):
    path = write(tmp_path / "a.jpg", exif)
    photo = load_photo(path)
    assert photo.orientation == 1
    assert np.array_equal(upright_rgb(photo), read_rgb(path))
    for file_format in ("JPEG", "PNG"):
        with Image.open(io.BytesIO(encode_photo(photo, photo.stored_HWC, file_format))) as saved:
            assert saved.size == (64, 40)
            assert 0x0201 not in saved.getexif().get_ifd(1)


def test_what_cannot_be_understood_is_left_out_with_a_note(tmp_path):
    assert load_photo(write(tmp_path / "a.jpg", ODD["no TIFF"])).notes == ("its EXIF data is damaged and was left out",)
    photo = load_photo(write(tmp_path / "b.jpg", block([CAMERA, (ORIENTATION, SHORT, 1, b"\6\0")])))
    assert (photo.orientation, photo.notes) == (6, ())
    with Image.open(io.BytesIO(encode_photo(photo, photo.stored_HWC, "JPEG"))) as saved:
        assert saved.getexif()[0x010F] == "Cam"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_the_same_for_all_who_read(tmp_path, orientation):
    path = write(tmp_path / "a.jpg", block([(ORIENTATION, SHORT, 1, bytes([orientation, 0]))]))
    assert np.array_equal(upright_rgb(load_photo(path)), read_rgb(path))
