"""Where results go, decided and checked before any work."""

import io
import struct
from pathlib import Path

import pytest
from PIL import Image

from stages.common.errors import BadInputError, ConfigError
from stages.common.writable import check_writable
from stages.edit.inputs import Source
from stages.edit.photo import load_photo
from stages.edit.save import encode_photo, plan_outputs

A, B = Path("photos/a.JPG"), Path("photos/b.png")
NESTED = Source(Path("folder/deep/a.jpg"), Path("deep/a.jpg"))


def planned(photos, out, label="happy", **options):
    sources = [photo if isinstance(photo, Source) else Source(photo, Path(photo.name)) for photo in photos]
    return plan_outputs(sources, out, label, **options)


@pytest.mark.parametrize(
    ("photos", "out", "options", "expected"),
    [
        ([A], None, {}, ["a-happy.jpg"]),
        ([B], None, {}, ["b-happy.png"]),
        ([Path("c.webp")], None, {}, ["c-happy.png"]),
        ([A], None, {"kind": "crop"}, ["a-happy-crop.png"]),
        ([A], None, {"kind": "sweep"}, ["a-happy-sweep.png"]),
        ([NESTED], Path("x"), {}, ["x/deep/a-happy.jpg"]),
        ([Path("c.MOV")], None, {}, ["c-happy.mov"]),
        ([Path("c.mpg"), Path("d.avi")], None, {}, ["c-happy.mp4", "d-happy.mkv"]),
        ([Path("c.mpg")], Path("x.webm"), {}, ["x.webm"]),
        ([A], Path("x.png"), {}, ["x.png"]),
        ([A], Path("folder"), {"as_folder": True}, ["folder/a-happy.jpg"]),
        ([A, B], Path("folder"), {}, ["folder/a-happy.jpg", "folder/b-happy.png"]),
    ],
)
def test_names(photos, out, options, expected):
    assert planned(photos, out, **options) == [Path(name) for name in expected]


def test_existing_folder_is_a_folder(tmp_path):
    assert planned([A], tmp_path) == [tmp_path / "a-happy.jpg"]


@pytest.mark.parametrize(
    ("photos", "out"),
    [([A], Path("x.gif")), ([A], Path("x")), ([B], B), ([Path("c.mp4")], A)],
)
def test_wrong_or_shared_paths_are_refused(photos, out):
    with pytest.raises(ConfigError):
        planned(photos, out)


def test_names_that_would_meet_get_numbers():
    said = []
    sources = [A, Path("other/a.jpg"), Path("a.jpeg"), Path("a-happy-2.png")]
    assert planned(sources, None, note=said.append) == [
        Path(name) for name in ("a-happy.jpg", "a-happy-2.jpg", "a-happy-3.jpg", "a-happy-2-happy.png")
    ]
    assert said[0] == "other/a.jpg: its result is a-happy-2.jpg, since a-happy.jpg is taken or too long"
    assert len(said) == 2


@pytest.mark.parametrize("kind", ["crop", "sweep"])
def test_a_video_has_no_crop_and_no_sweep(kind):
    with pytest.raises(ConfigError, match=rf"c\.mp4 is a video, of which there is no {kind}"):
        planned([Path("c.mp4")], None, kind=kind)


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
