"""Face masks and blending, by numbers."""

import numpy as np
import pytest
from support.fake_editor import make_face, square_matrix

from stages.common.face.blend import FaceMask, blend_face, face_contour, make_face_mask, make_mouth_mask, warp_back
from stages.common.face.canonical import canonical_landmarks
from stages.common.face.similarity import estimate_similarity
from stages.common.face.warp import align_face


def test_contour_reaches_above_the_brows_and_below_the_chin():
    face = make_face(0, 0, 100)
    contour = face_contour(face.landmarks)
    brows_top = face.landmarks[17:27, 1].min()
    assert contour[:, 1].min() < brows_top - 8
    assert contour[:, 1].max() > face.landmarks[8, 1]
    assert contour[:, 1].max() < face.landmarks[8, 1] + 6


def test_mask_is_full_at_eyes_nose_and_mouth():
    face = make_face(10, 10, 100)
    matrix = estimate_similarity(face.landmarks, canonical_landmarks(128))
    mask = make_face_mask(face.landmarks, matrix, 128, (130, 130))
    for point in (30, 36, 45, 48, 54, 57):
        x, y = face.landmarks[point].round().astype(int)
        assert mask.weights_hw[y - mask.y0, x - mask.x0] > 0.9


def test_mask_is_not_faded_where_the_photo_ends():
    face = make_face(-50, 10, 100)
    matrix = estimate_similarity(face.landmarks, canonical_landmarks(128))
    mask = make_face_mask(face.landmarks, matrix, 128, (130, 130))
    assert mask.x0 == 0
    assert mask.weights_hw[60 - mask.y0, 0] == 1


def test_a_face_beyond_the_photo_has_an_empty_mask_and_changes_nothing():
    face = make_face(500, 500, 100)
    matrix = estimate_similarity(face.landmarks, canonical_landmarks(128))
    mask = make_face_mask(face.landmarks, matrix, 128, (130, 130))
    photo = np.full((130, 130, 3), 7, np.uint8)
    one = np.ones((128, 128, 3), np.float32)
    blend_face(photo, one, -one, matrix=matrix, mask=mask)
    assert (photo == 7).all()


@pytest.mark.parametrize("side_px", [32.0, 64.0, 160.0])
def test_warping_back_undoes_alignment(side_px):
    height = width = 200
    y, x = np.mgrid[:height, :width]
    photo = np.stack([60 + x * 0.5, 200 - y * 0.6, 90 + 30 * np.sin(x / 25)], axis=2).astype(np.uint8)
    matrix = square_matrix(20.0, 30.0, side_px, 64)
    crop = align_face(photo, matrix, 64).astype(np.float32)
    mask = FaceMask(20, 30, np.ones((int(side_px), int(side_px)), np.float32))
    inner = slice(4, -4)
    difference = warp_back(crop, matrix, mask)[inner, inner] - photo[mask.region][inner, inner]
    assert np.abs(difference).mean() < 1


def test_grey_photo_takes_the_luminance():
    photo = np.full((20, 20, 1), 100, np.uint8)
    mask = FaceMask(0, 0, np.ones((20, 20), np.float32))
    zero = np.zeros((20, 20, 3), np.float32)
    green = zero.copy()
    green[..., 1] = 0.08
    blend_face(photo, green, zero, matrix=square_matrix(0, 0, 20, 20), mask=mask)
    assert photo[10, 10, 0] == round(100 + 0.587 * 0.04 * 255)


@pytest.mark.parametrize(("change", "detail_px"), [(0.04, 40), (0.5, 0)])
def test_the_photos_detail_stays_only_where_the_edit_changes_little(change, detail_px):
    photo = np.full((20, 20, 3), 100, np.uint8)
    photo[:, 10] += 40
    mask = FaceMask(0, 0, np.ones((20, 20), np.float32))
    reconstruction = np.full((20, 20, 3), 100 / 127.5 - 1, np.float32)
    blend_face(photo, reconstruction + change, reconstruction, matrix=square_matrix(0, 0, 20, 20), mask=mask)
    assert int(photo[10, 10, 0]) - int(photo[10, 5, 0]) == detail_px
    assert photo[10, 5, 0] == pytest.approx(100 + change * 127.5, abs=1)


def test_values_stop_at_black_and_white():
    photo = np.full((20, 20, 3), 250, np.uint8)
    mask = FaceMask(0, 0, np.ones((20, 20), np.float32))
    one = np.ones((20, 20, 3), np.float32)
    blend_face(photo, one, -one, matrix=square_matrix(0, 0, 20, 20), mask=mask)
    assert photo[10, 10, 0] == 255


def test_paste_replaces_the_pixels():
    photo = np.full((20, 20, 3), 250, np.uint8)
    mask = FaceMask(0, 0, np.ones((20, 20), np.float32))
    zero = np.zeros((20, 20, 3), np.float32)
    blend_face(photo, zero, zero, matrix=square_matrix(0, 0, 20, 20), mask=mask, mode="paste")
    assert photo[10, 10, 0] in {127, 128}


def test_the_mouths_mask_holds_lips_and_chin_and_nothing_above():
    face = make_face(10, 10, 100)
    matrix = square_matrix(10, 10, 100, 128)
    top_px = (face.landmarks[51, 1] - 10) * 1.28 - 5
    mask = make_mouth_mask(face.landmarks, matrix, 128, top_px, (130, 130))
    assert mask.y0 >= 10 + top_px / 1.28 - 1
    for point in (8, 48, 54, 57, 62):
        x, y = face.landmarks[point].round().astype(int)
        assert mask.weights_hw[y - mask.y0, x - mask.x0] > 0.9
    x, y = face.landmarks[51].round().astype(int)
    assert mask.weights_hw[y - mask.y0, x - mask.x0] > 0.8
    assert mask.weights_hw[0].max() < 0.2
