"""Every photo that somebody will try: a result, or one line with the reason and the right exit code."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from support.edit_model import make_fake_model

from facediff_cli.main import main

pytestmark = pytest.mark.e2e


@pytest.fixture
def edit(tmp_path, monkeypatch, capsys):
    """Run ``facediff edit --emotion happy`` in ``tmp_path``; returns the exit code and what was said on stderr."""
    monkeypatch.chdir(tmp_path)
    model = make_fake_model(tmp_path / "tiny", monkeypatch)

    def run(*arguments, emotion="happy", model=model):
        code = main(["edit", "-e", emotion, "--model", str(model), "--device", "cpu", *map(str, arguments)])
        return code, [line for line in capsys.readouterr().err.splitlines() if line.startswith("facediff:")]

    return run


def _encode(pixels, file_format, mode=None, **options):
    stream = io.BytesIO()
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(stream, file_format, **options)
    return stream.getvalue()


def _refused(answer, code, *words):
    found_code, lines = answer
    assert found_code == code
    assert len(lines) == 1
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: _encode(data.coffee(), "PNG"), ["no face found"]),
        (lambda: _encode(data.chelsea(), "JPEG"), ["no face found"]),
        (lambda: _encode(data.astronaut()[:20, :20], "PNG"), ["20x20"]),
        (lambda: _encode(data.astronaut(), "JPEG")[:9000], ["damaged or cut short"]),
        (lambda: b"", ["is empty"]),
        (lambda: b"%PDF-1.7 not a picture", ["not a picture", "PNG, JPEG"]),
        (
            lambda: _encode(
                data.astronaut(), "GIF", save_all=True, append_images=[Image.fromarray(data.astronaut()[::-1])]
            ),
            ["2 frames"],
        ),
    ],
    ids=["no-face", "cat", "20x20", "truncated", "empty", "not-a-picture", "animated"],
)
def test_refused_with_one_line(edit, tmp_path, content, words):
    (tmp_path / "photo").write_bytes(content())
    _refused(edit("photo"), 3, *words)
    assert not list(tmp_path.glob("photo-*"))


def test_missing_and_folder(edit, tmp_path):
    _refused(edit("nothing.jpg"), 3, "nothing.jpg does not exist")
    (tmp_path / "folder").mkdir()
    _refused(edit("folder"), 2, "folder is a folder", "--out")
    _refused(edit("folder", "--out", "x/"), 3, "folder holds no photo and no video")
    _refused(edit("*.webp"), 3, "no photo or video matches")


def test_unwritable_output_is_found_before_the_photo_is_read(edit, tmp_path):
    (tmp_path / "file").write_text("x")
    _refused(edit("nothing.jpg", "--out", "file/x.png"), 3, "file/x.png cannot be written")


def test_unknown_and_unlearned_emotions(edit, tmp_path):
    (tmp_path / "photo.png").write_bytes(_encode(data.astronaut(), "PNG"))
    _refused(edit("photo.png", emotion="hapy"), 2, "unknown emotion 'hapy'", "Did you mean happy?")
    _refused(edit("photo.png", emotion="fear"), 2, "tiny has not learned fear", "neutral, happy, sad")


def test_an_altered_model_is_refused(edit, tmp_path):
    (tmp_path / "photo.png").write_bytes(_encode(data.astronaut(), "PNG"))
    weights = tmp_path / "tiny" / "unet" / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[100] ^= 1
    weights.write_bytes(content)
    _refused(edit("photo.png"), 6, "unet/weights.safetensors")
    weights.unlink()
    _refused(edit("photo.png"), 6, "missing")
    _refused(edit("photo.png", model="no-such-model"), 6, "no model 'no-such-model'")


def _changed(before, after):
    """Where the face is and where it is not: the first must differ, the second must be the same bits."""
    difference = (before.astype(int) != after).reshape(*before.shape[:2], -1).any(axis=2)
    assert difference[150, 225]
    difference[40:220, 150:290] = False
    assert not difference.any()


def test_16_bit_png(edit, tmp_path):
    rng = np.random.default_rng(0)
    pixels = data.astronaut()[..., ::-1].astype(np.uint16) * 257 ^ rng.integers(0, 64, (512, 512, 3)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "photo.png"), pixels)
    assert edit("photo.png") == (0, [])
    saved = cv2.imread(str(tmp_path / "photo-happy.png"), cv2.IMREAD_UNCHANGED)
    assert saved.dtype == np.uint16
    _changed(pixels, saved)


def test_greyscale_and_transparent_png(edit, tmp_path):
    grey = np.asarray(Image.fromarray(data.astronaut()).convert("L"))
    alpha = np.tile(np.arange(512, dtype=np.uint16) // 2, (512, 1)).astype(np.uint8)
    for name, pixels in (("grey", grey), ("alpha", np.dstack([data.astronaut(), alpha]))):
        (tmp_path / f"{name}.png").write_bytes(_encode(pixels, "PNG"))
        assert edit(f"{name}.png") == (0, [])
        saved = np.asarray(Image.open(tmp_path / f"{name}-happy.png"))
        assert saved.shape == pixels.shape
        _changed(pixels, saved)
    assert np.array_equal(saved[..., 3], alpha)


def test_cmyk_jpeg_becomes_rgb(edit, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(_encode(data.astronaut(), "JPEG", "CMYK", quality=95))
    assert edit("photo.jpg") == (0, [])
    with Image.open(tmp_path / "photo-happy.jpg") as saved:
        assert (saved.mode, saved.size) == ("RGB", (512, 512))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_exif_rotated_png_keeps_its_stored_pixels(edit, tmp_path, orientation):
    turns = {3: 2, 6: 1, 8: 3}[orientation]
    stored = np.ascontiguousarray(np.rot90(data.astronaut(), turns))
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "photo.png").write_bytes(_encode(stored, "PNG", exif=exif))
    assert edit("photo.png") == (0, [])
    with Image.open(tmp_path / "photo-happy.png") as saved:
        assert saved.getexif()[0x0112] == orientation
        _changed(data.astronaut(), np.rot90(np.asarray(saved), -turns))


def test_single_frame_gif_becomes_png(edit, tmp_path):
    (tmp_path / "photo.gif").write_bytes(_encode(data.astronaut(), "GIF"))
    assert edit("photo.gif") == (0, [])
    with Image.open(tmp_path / "photo.gif") as before, Image.open(tmp_path / "photo-happy.png") as after:
        _changed(np.asarray(before.convert("RGB")), np.asarray(after))


def test_50_megapixels(edit, tmp_path):
    canvas = np.full((6250, 8000, 3), 128, np.uint8)
    portrait = cv2.resize(data.astronaut(), (3000, 3000), interpolation=cv2.INTER_CUBIC)
    canvas[2000:5000, 3000:6000] = portrait
    assert cv2.imwrite(str(tmp_path / "photo.png"), canvas[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert edit("photo.png") == (0, [])
    saved = cv2.imread(str(tmp_path / "photo-happy.png"))[..., ::-1]
    assert saved.shape == canvas.shape
    differs = (saved != canvas).any(axis=2)
    assert differs[2000 + 879, 3000 + 1318]
    differs[2200:3350, 3800:4750] = False
    assert not differs.any()
