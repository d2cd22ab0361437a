"""Every kind of picture that phones and cameras write is read, the same by all who read, and edited as it is shown."""

import io

import numpy as np
import pillow_heif
import pytest
from PIL import Image
from skimage import data

from stages.common.images import open_picture, read_rgb
from stages.edit.inputs import Source
from stages.edit.photo import load_photo, upright_rgb
from stages.edit.save import encode_photo, plan_outputs

PIXELS = data.astronaut()[:160, :256]


def write(path, file_format, turned=False, **options):
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    if turned:
        exif[0x0112] = 6
        options["exif"] = exif
    Image.fromarray(np.ascontiguousarray(np.rot90(PIXELS)) if turned else PIXELS).save(path, file_format, **options)
    return path


@pytest.mark.parametrize(
    ("name", "file_format", "result"),
    [
        ("a.avif", "AVIF", "PNG"),
        ("a.heic", "HEIF", "PNG"),
        ("a.HIF", "HEIF", "PNG"),
        ("a.jfif", "JPEG", "JPEG"),
        ("a.jpe", "JPEG", "JPEG"),
        ("a.mpo", "MPO", "JPEG"),
        ("a.jp2", "JPEG2000", "PNG"),
    ],
)
def test_formats(tmp_path, name, file_format, result):
    path = write(tmp_path / name, file_format)
    photo = load_photo(path)
    assert photo.output_format == result
    assert photo.notes == ()
    assert np.abs(upright_rgb(photo).astype(int) - PIXELS).mean() < 4
    assert np.array_equal(upright_rgb(photo), read_rgb(path))
    (target,) = plan_outputs([Source(path, path.relative_to(tmp_path))], tmp_path / "out", "happy", as_folder=True)
    assert target.suffix == (".jpg" if result == "JPEG" else ".png")
    with Image.open(io.BytesIO(encode_photo(photo, photo.stored_HWC, result))) as saved:
        assert saved.size == (256, 160)


@pytest.mark.parametrize(("name", "file_format"), [("a.avif", "AVIF"), ("a.jfif", "JPEG"), ("a.webp", "WEBP")])
def test_turned_pictures_are_seen_upright(tmp_path, name, file_format):
    path = write(tmp_path / name, file_format, turned=True)
    assert np.abs(read_rgb(path).astype(int) - PIXELS).mean() < 4
    assert np.array_equal(upright_rgb(load_photo(path)), read_rgb(path))


def test_what_is_lost_is_said(tmp_path):
    second = Image.fromarray(PIXELS[::-1].copy())
    path = write(tmp_path / "a.mpo", "MPO", save_all=True, append_images=[second])
    assert load_photo(path).notes == ("only its main picture is edited; 1 more in the file are left out",)
    deep = pillow_heif.from_bytes("RGB;16", (256, 160), (PIXELS.astype(np.uint16) * 257).tobytes())
    deep.save(tmp_path / "b.heic", bit_depth=10)
    assert load_photo(tmp_path / "b.heic").notes == ("10 bits a channel became 8",)


def test_avif_is_left_to_pillow(tmp_path):
    assert open_picture(write(tmp_path / "a.avif", "AVIF").read_bytes()).format == "AVIF"
