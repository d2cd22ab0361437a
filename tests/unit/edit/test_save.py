"""Where results go, decided and checked before any work."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from stages.common.errors import BadInputError, ConfigError
from stages.edit.photo import load_photo
from stages.edit.save import check_writable, encode_photo, plan_outputs

A, B = Path("photos/a.JPG"), Path("photos/b.png")


@pytest.mark.parametrize(
    ("photos", "out", "options", "expected"),
    [
        ([A], None, {}, ["a-happy.jpg"]),
        ([B], None, {}, ["b-happy.png"]),
        ([Path("c.webp")], None, {}, ["c-happy.png"]),
        ([A], None, {"crop_only": True}, ["a-happy-crop.png"]),
        ([A], Path("x.png"), {}, ["x.png"]),
        ([A], Path("folder"), {"as_folder": True}, ["folder/a-happy.jpg"]),
        ([A, B], Path("folder"), {}, ["folder/a-happy.jpg", "folder/b-happy.png"]),
    ],
)
def test_names(photos, out, options, expected):
    assert plan_outputs(photos, out, "happy", **options) == [Path(name) for name in expected]


def test_existing_folder_is_a_folder(tmp_path):
    assert plan_outputs([A], tmp_path, "happy") == [tmp_path / "a-happy.jpg"]


@pytest.mark.parametrize(
    ("photos", "out"),
    [([A], Path("x.gif")), ([A], Path("x")), ([B], B), ([A, Path("other/a.jpg")], None)],
)
def test_wrong_or_shared_paths_are_refused(photos, out):
    with pytest.raises(ConfigError):
        plan_outputs(photos, out, "happy")


@pytest.mark.parametrize("create", [True, False])
def test_unwritable_places(tmp_path, create):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "x.png", tmp_path):
        with pytest.raises(BadInputError) as caught:
            check_writable(path, create=create)
        assert caught.value.reason == "unwritable"


def test_a_dry_check_makes_no_folder(tmp_path):
    check_writable(tmp_path / "new" / "deep" / "x.png", create=False)
    assert not (tmp_path / "new").exists()
    check_writable(tmp_path / "new" / "deep" / "x.png", create=True)
    assert list((tmp_path / "new" / "deep").iterdir()) == []


def test_the_thumbnail_in_exif_goes_and_the_rest_stays(tmp_path):
    thumbnail = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(thumbnail, "JPEG")
    make = struct.pack("<HHI4s", 271, 2, 4, b"Cam\0")
    second = 8 + 2 + 12 + 4
    pointers = [struct.pack("<HHII", 513, 4, 1, second + 2 + 24 + 4)]
    pointers += [struct.pack("<HHII", 514, 4, 1, len(thumbnail.getvalue()))]
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 1) + make + struct.pack("<IH", second, 2)
    exif += b"".join(pointers) + struct.pack("<I", 0) + thumbnail.getvalue()
    Image.new("RGB", (40, 40)).save(tmp_path / "a.jpg", exif=exif)
    photo = load_photo(tmp_path / "a.jpg")
    assert thumbnail.getvalue() in photo.exif
    for file_format in ("JPEG", "PNG"):
        encoded = encode_photo(photo, photo.stored_HWC, file_format)
        assert thumbnail.getvalue() not in encoded
        assert Image.open(io.BytesIO(encoded)).getexif()[271] == "Cam"
