"""Reading photos of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stages.common.errors import BadInputError
from stages.common.images import read_rgb


@pytest.fixture
def gradient() -> NDArray[np.uint8]:
    """Red grows to the right and green downwards, so that any turn shows."""
    rows, columns = np.mgrid[0:24, 0:40]
    return np.stack([columns * 6, rows * 10, np.full_like(rows, 40)], axis=2).astype(np.uint8)


def test_png_is_read_as_it_is(tmp_path: Path, gradient: NDArray[np.uint8]) -> None:
    Image.fromarray(gradient).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), gradient)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, gradient: NDArray[np.uint8], orientation: int) -> None:
    stored = {
        1: gradient,
        2: gradient[:, ::-1],
        3: gradient[::-1, ::-1],
        4: gradient[::-1],
        5: gradient.transpose(1, 0, 2),
        6: np.rot90(gradient),
        7: np.rot90(gradient, 2).transpose(1, 0, 2),
        8: np.rot90(gradient, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), gradient)


def test_transparent_pixels_become_white(tmp_path: Path, gradient: NDArray[np.uint8]) -> None:
    alpha = np.full((24, 40, 1), 255, np.uint8)
    alpha[:, :20] = 0
    Image.fromarray(np.concatenate([gradient, alpha], axis=2)).save(tmp_path / "a.png")
    rgb = read_rgb(tmp_path / "a.png")
    assert (rgb[:, :20] == 255).all()
    np.testing.assert_array_equal(rgb[:, 20:], gradient[:, 20:])


def test_a_transparent_palette_colour_becomes_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([200, 0, 0, 0, 200, 0])
    image.paste(1, (4, 0, 8, 8))
    image.save(tmp_path / "a.gif", transparency=0)
    rgb = read_rgb(tmp_path / "a.gif")
    assert tuple(rgb[0, 0]) == (255, 255, 255)
    assert tuple(rgb[0, 7]) == (0, 200, 0)


def test_16_bit_grey_is_scaled_not_cut(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    Image.fromarray(values).save(tmp_path / "a.png")
    rgb = read_rgb(tmp_path / "a.png")
    assert rgb.shape == (16, 16, 3)
    np.testing.assert_array_equal(rgb[..., 0].ravel(), np.arange(256))
    assert (rgb == rgb[..., :1]).all()


@pytest.mark.parametrize(("top", "expected"), [(1.0, 255), (200.0, 200)])
def test_float_images_are_taken_as_unit_or_byte_range(tmp_path: Path, top: float, expected: int) -> None:
    Image.fromarray(np.linspace(0, top, 64, dtype=np.float32).reshape(8, 8)).save(tmp_path / "a.tif")
    assert read_rgb(tmp_path / "a.tif").max() == expected


@pytest.mark.parametrize(
    ("mode", "name"), [("L", "a.png"), ("LA", "a.png"), ("1", "a.png"), ("CMYK", "a.jpg"), ("YCbCr", "a.jpg")]
)
def test_other_modes_keep_their_grey(tmp_path: Path, mode: str, name: str) -> None:
    Image.new("L", (16, 16), 255).convert(mode).save(tmp_path / name)
    rgb = read_rgb(tmp_path / name)
    assert rgb.shape == (16, 16, 3)
    assert rgb.dtype == np.uint8
    assert rgb.min() >= 254


def test_the_first_picture_of_an_animation_is_taken(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert tuple(read_rgb(tmp_path / "a.gif")[0, 0]) == (255, 0, 0)


def test_what_cannot_be_read_has_a_reason(tmp_path: Path, gradient: NDArray[np.uint8]) -> None:
    Image.fromarray(np.tile(gradient, (20, 20, 1))).save(tmp_path / "whole.jpg")
    (tmp_path / "truncated.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:3000])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("not a picture")
    (tmp_path / "folder.jpg").mkdir()
    expected = {
        "truncated.jpg": "unreadable",
        "empty.jpg": "empty",
        "text.jpg": "unreadable",
        "folder.jpg": "not a file",
        "absent.jpg": "missing",
    }
    for name, reason in expected.items():
        with pytest.raises(BadInputError, match=name) as caught:
            read_rgb(tmp_path / name)
        assert caught.value.reason == reason


def test_an_absurd_size_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (200, 200)).save(tmp_path / "a.png")
    for most in (30_000, 10_000):  # Pillow warns above its limit, and refuses above twice that.
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", most)
        with pytest.raises(BadInputError) as caught:
            read_rgb(tmp_path / "a.png")
        assert caught.value.reason == "too large"
