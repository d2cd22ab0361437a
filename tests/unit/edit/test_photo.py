"""Photos of every kind survive loading and saving."""

import io
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from stages.common.errors import BadInputError
from stages.common.images import upright
from stages.common.png_chunks import insert_chunks
from stages.common.provenance import read_provenance
from stages.edit.photo import load_photo, upright_rgb
from stages.edit.save import save_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
RECORD = {"tool": "facediff", "emotion": "happy"}


def _picture(mode="RGB", size=(60, 44)):
    rng = np.random.default_rng(3)
    channels = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "CMYK": 4}[mode]
    pixels = rng.integers(0, 256, (size[1], size[0], channels)).astype(np.uint8)
    return (
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)
        if mode == "CMYK"
        else Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
    )


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_png_keeps_mode_and_every_bit(tmp_path, mode):
    image = _picture(mode)
    image.save(tmp_path / "in.png", icc_profile=SRGB, dpi=(300, 300))
    photo = load_photo(tmp_path / "in.png")
    save_photo(tmp_path / "out.png", photo, photo.stored_HWC, RECORD)
    with Image.open(tmp_path / "out.png") as saved:
        assert saved.mode == mode
        assert saved.info["icc_profile"] == SRGB
        assert round(saved.info["dpi"][0]) == 300
        assert np.array_equal(np.asarray(saved), np.asarray(image))
    assert read_provenance(tmp_path / "out.png") == RECORD


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_png_keeps_every_bit(tmp_path, channels):
    rng = np.random.default_rng(4)
    pixels = rng.integers(0, 65536, (40, 50, channels)).astype(np.uint16)
    assert cv2.imwrite(str(tmp_path / "in.png"), pixels)
    photo = load_photo(tmp_path / "in.png")
    assert photo.stored_HWC.dtype == np.uint16
    assert photo.stored_HWC.shape == (40, 50, channels)
    expected = (pixels[..., :3][..., ::-1] / 257).round()
    assert np.abs(upright_rgb(photo) - expected).max() <= 0.5
    save_photo(tmp_path / "out.png", photo, photo.stored_HWC, RECORD)
    saved = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(saved.reshape(pixels.shape), pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_orientation_is_kept_and_the_view_is_upright(tmp_path, orientation, suffix):
    image = _picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "maker"
    path = tmp_path / f"in.{suffix}"
    image.save(path, exif=exif, quality=100, subsampling=0)
    photo = load_photo(path)
    with Image.open(path) as opened:
        assert np.array_equal(upright_rgb(photo), np.asarray(ImageOps.exif_transpose(opened)))
    upright(photo.stored_HWC, orientation)[0, 0] = (1, 2, 3)
    assert (upright(photo.stored_HWC, orientation)[0, 0] == (1, 2, 3)).all()
    out = tmp_path / f"out.{suffix}"
    save_photo(out, photo, photo.stored_HWC, RECORD)
    with Image.open(out) as saved:
        assert saved.size == image.size
        assert saved.getexif()[0x0112] == orientation
        assert saved.getexif()[0x010F] == "maker"
    assert read_provenance(out) == RECORD


def test_rotated_jpeg_becomes_an_upright_png(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    _picture(size=(60, 44)).save(tmp_path / "in.jpg", exif=exif)
    photo = load_photo(tmp_path / "in.jpg")
    save_photo(tmp_path / "out.png", photo, photo.stored_HWC, RECORD)
    with Image.open(tmp_path / "out.png") as saved:
        assert saved.size == (44, 60)
        assert saved.getexif().get(0x0112, 1) == 1
        assert np.array_equal(np.asarray(saved), upright_rgb(photo))


def test_jpeg_keeps_profile_exif_and_foreign_xmp(tmp_path):
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" dc:title="lake"/>'
        b"</rdf:RDF></x:xmpmeta>"
    )
    exif = Image.Exif()
    exif[0x9286] = b"ASCII\0\0\0hello"
    _picture().save(tmp_path / "in.jpg", icc_profile=SRGB, exif=exif, xmp=xmp)
    photo = load_photo(tmp_path / "in.jpg")
    save_photo(tmp_path / "out.jpg", photo, photo.stored_HWC, RECORD)
    with Image.open(tmp_path / "out.jpg") as saved:
        assert saved.info["icc_profile"] == SRGB
        assert saved.info["exif"] == photo.exif
        assert b'dc:title="lake"' in saved.info["xmp"]
    assert read_provenance(tmp_path / "out.jpg") == RECORD


def test_grey_jpeg_stays_grey(tmp_path):
    _picture("L").save(tmp_path / "in.jpg")
    photo = load_photo(tmp_path / "in.jpg")
    assert photo.color_channels == 1
    save_photo(tmp_path / "out.jpg", photo, photo.stored_HWC, RECORD)
    with Image.open(tmp_path / "out.jpg") as saved:
        assert saved.mode == "L"


def test_cmyk_becomes_rgb_and_says_so(tmp_path):
    _picture("CMYK").save(tmp_path / "in.jpg", quality=100)
    photo = load_photo(tmp_path / "in.jpg")
    assert photo.stored_HWC.shape == (44, 60, 3)
    assert photo.notes == ("CMYK was converted to RGB",)
    with Image.open(tmp_path / "in.jpg") as opened:
        assert np.array_equal(photo.stored_HWC, np.asarray(opened.convert("RGB")))


def test_palette_with_transparency_and_gif_become_png(tmp_path):
    palette = _picture().quantize(16)
    palette.save(tmp_path / "in.png", transparency=0)
    assert load_photo(tmp_path / "in.png").stored_HWC.shape[2] == 4
    palette.save(tmp_path / "in.gif")
    photo = load_photo(tmp_path / "in.gif")
    assert photo.output_format == "PNG"
    assert np.array_equal(upright_rgb(photo), np.asarray(palette.convert("RGB")))


def test_alpha_and_depth_are_reduced_only_for_jpeg(tmp_path):
    pixels = np.full((40, 40, 4), 0, np.uint16)
    assert cv2.imwrite(str(tmp_path / "in.png"), pixels)
    photo = load_photo(tmp_path / "in.png")
    save_photo(tmp_path / "out.jpg", photo, photo.stored_HWC, RECORD)
    with Image.open(tmp_path / "out.jpg") as saved:
        assert saved.mode == "RGB"
        assert saved.getpixel((20, 20)) == (255, 255, 255)


def _write(path, content):
    path.write_bytes(content)
    return path


def _encode(image, file_format, **options):
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("reason", "content"),
    [
        ("empty", b""),
        ("unsupported", b"hello, I am a text file"),
        ("damaged", _encode(_picture(size=(200, 200)), "JPEG")[:2000]),
        ("damaged", _encode(_picture(size=(200, 200)), "PNG")[:2000]),
        ("too small", _encode(_picture(size=(20, 20)), "PNG")),
        ("animated", _encode(_picture().quantize(8), "GIF", save_all=True, append_images=[_picture("L").quantize(8)])),
        ("unsupported", _encode(Image.fromarray(np.zeros((40, 40), np.float32)), "TIFF")),
    ],
)
def test_bad_files_have_a_reason(tmp_path, reason, content):
    with pytest.raises(BadInputError) as caught:
        load_photo(_write(tmp_path / "bad", content))
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


def test_truncated_16_bit_png_is_damaged(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 65536, (90, 90, 3)).astype(np.uint16)
    content = cv2.imencode(".png", pixels)[1].tobytes()
    with pytest.raises(BadInputError) as caught:
        load_photo(_write(tmp_path / "bad.png", content[: len(content) // 2]))
    assert caught.value.reason == "damaged"


def test_a_picture_that_claims_a_billion_pixels_is_too_large(tmp_path):
    header = (40000).to_bytes(4) * 2 + b"\x08\x02\0\0\0"
    png = b"\x89PNG\r\n\x1a\n" + (13).to_bytes(4) + b"IHDR" + header + zlib.crc32(b"IHDR" + header).to_bytes(4)
    with pytest.raises(BadInputError) as caught:
        load_photo(_write(tmp_path / "bomb.png", insert_chunks(png, [(b"IDAT", zlib.compress(b"\0"))])))
    assert caught.value.reason == "too large"


def test_missing_and_folder(tmp_path):
    for path in (tmp_path / "none.png", tmp_path):
        with pytest.raises(BadInputError):
            load_photo(path)
