"""Cutting out aligned faces: where pixels land, what happens at the edges, and what shrinking does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.common.face.canonical import canonical_landmarks
from stages.common.face.similarity import estimate_similarity
from stages.common.face.warp import align_face

IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def shrink_matrix(factor: float, first_xy: float = 0.0) -> NDArray[np.float64]:
    """Crop pixel 0 covers photo pixels ``first_xy`` to ``first_xy + factor``."""
    offset = -(first_xy + (factor - 1) / 2) / factor
    return np.array([[1 / factor, 0.0, offset], [0.0, 1 / factor, offset]])


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (96, 80, 3), dtype=np.uint8)


def test_the_identity_copies_pixels(noise: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(align_face(noise, IDENTITY, 64), noise[:64, :64])


def test_a_shift_by_whole_pixels_copies_pixels(noise: NDArray[np.uint8]) -> None:
    matrix = np.array([[1.0, 0.0, -7.0], [0.0, 1.0, -11.0]])
    np.testing.assert_array_equal(align_face(noise, matrix, 32), noise[11:43, 7:39])


def test_a_quarter_turn_turns_pixels(noise: NDArray[np.uint8]) -> None:
    matrix = np.array([[0.0, -1.0, 31.0], [1.0, 0.0, 0.0]])
    turned = align_face(noise, matrix, 32)
    np.testing.assert_array_equal(turned, np.rot90(noise[:32, :32], -1))


@pytest.mark.parametrize("pad", [5, 200])
def test_outside_the_photo_it_is_mirrored_without_end(noise: NDArray[np.uint8], pad: int) -> None:
    matrix = np.array([[1.0, 0.0, pad], [0.0, 1.0, pad]])
    expected = np.pad(noise, ((pad, pad + 200), (pad, pad + 200), (0, 0)), mode="reflect")
    np.testing.assert_array_equal(align_face(noise, matrix, 256), expected[:256, :256])


def test_photos_one_pixel_wide_or_high_are_no_problem() -> None:
    for shape in ((1, 1, 3), (1, 9, 3), (9, 1, 3)):
        crop = align_face(np.full(shape, 77, np.uint8), IDENTITY, 16)
        assert (crop == 77).all()


@pytest.mark.parametrize("factor", [1.0, 1.6, 2, 3, 4.4, 8])
def test_shrinking_keeps_what_the_crop_can_show(factor: float) -> None:
    """A wave of 12 crop pixels comes through at nine tenths of its height or more, and in its place."""
    columns = np.arange(round(40 * factor))
    wave = 127 + 100 * np.sin(2 * np.pi * columns / (12 * factor))
    photo = np.repeat(np.tile(np.rint(wave).astype(np.uint8), (len(columns), 1))[..., None], 3, axis=2)
    seen_at = (np.arange(40) * factor) + (factor - 1) / 2
    expected = 127 + 100 * np.sin(2 * np.pi * seen_at / (12 * factor))
    crop = align_face(photo, shrink_matrix(factor), 40)
    np.testing.assert_allclose(crop[4:-4, 4:-4, 0] - np.zeros((32, 1)), np.tile(expected[4:-4], (32, 1)), atol=10)


@pytest.mark.parametrize("factor", [1.4, 1.9, 2.5, 5.7, 11.3])
def test_shrinking_does_not_alias(factor: float) -> None:
    rows, columns = np.mgrid[0:600, 0:600]
    board = np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)
    crop = align_face(board, shrink_matrix(factor, 20), 40).astype(float)
    assert crop.mean() == pytest.approx(127.5, abs=2)
    assert crop.std() < 32


@pytest.mark.parametrize("factor", [0.4, 1.0, 1.7, 3.0, 4.6])
def test_the_place_of_things_does_not_depend_on_the_scale(factor: float) -> None:
    rows, columns = np.mgrid[0:400, 0:400]
    centre_x, centre_y, size_px = 210.0, 180.0, 96
    blob = np.exp(-((columns - centre_x) ** 2 + (rows - centre_y) ** 2) / (2 * (6 * factor) ** 2))
    photo = np.repeat((blob * 255).astype(np.uint8)[..., None], 3, axis=2)
    matrix = np.array([[1 / factor, 0, 40 - centre_x / factor], [0, 1 / factor, 50 - centre_y / factor]])
    weights = align_face(photo, matrix, size_px)[..., 0].astype(float)
    ys, xs = np.mgrid[0:size_px, 0:size_px]
    assert (weights * xs).sum() / weights.sum() == pytest.approx(40, abs=0.1)
    assert (weights * ys).sum() / weights.sum() == pytest.approx(50, abs=0.1)


def test_canonical_landmarks_are_symmetric_and_frame_the_face() -> None:
    points = canonical_landmarks(128)
    assert points.shape == (68, 2)
    jaw, brows = points[:17], points[17:27]
    np.testing.assert_allclose(jaw[:, 0] + jaw[::-1, 0], 127, atol=0.03)
    np.testing.assert_allclose(jaw[:, 1], jaw[::-1, 1], atol=0.03)
    assert np.ptp(jaw[:, 0]) == pytest.approx(0.68 * 128, abs=0.1)
    assert points[8, 1] == pytest.approx(0.91 * 128 - 0.5, abs=0.01)
    assert brows[:, 1].min() > 0.2 * 128
    assert points.min() > 0
    assert points.max() < 127


def test_crops_of_two_sizes_show_the_same_part() -> None:
    matrix = estimate_similarity(canonical_landmarks(64), canonical_landmarks(256))
    np.testing.assert_allclose(matrix, shrink_matrix(0.25), atol=1e-9)
