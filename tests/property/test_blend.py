"""What holds of every face mask and blend."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.fake_editor import make_face

from stages.common.face.blend import blend_face, face_contour, make_face_mask
from stages.common.face.canonical import canonical_landmarks
from stages.common.face.similarity import estimate_similarity, transform_points

SIZE_PX = 64
faces = st.builds(
    make_face,
    st.floats(-40, 90),
    st.floats(-40, 90),
    st.floats(12, 200),
    st.floats(-1.2, 1.2),
)


def _mask(face, photo_hw):
    matrix = estimate_similarity(face.landmarks, canonical_landmarks(SIZE_PX))
    return matrix, make_face_mask(face.landmarks, matrix, SIZE_PX, photo_hw)


@given(face=faces, height=st.integers(33, 120), width=st.integers(33, 120))
@settings(max_examples=60, deadline=None)
def test_mask_is_zero_outside_the_contour_and_the_crop(face, height, width):
    matrix, mask = _mask(face, (height, width))
    weights = np.zeros((height, width), np.float32)
    if mask.weights_hw.size:
        assert mask.x0 >= 0
        assert mask.y0 >= 0
        weights[mask.region] = mask.weights_hw
    assert weights.min() >= 0
    assert weights.max() <= 1
    contour = face_contour(face.landmarks).astype(np.float32)
    for y, x in np.argwhere(weights > 0)[::7]:
        assert cv2.pointPolygonTest(contour, (float(x), float(y)), measureDist=True) > -1e-3
        in_crop = transform_points(matrix, [[x, y]])[0]
        assert in_crop.min() >= -1e-6
        assert in_crop.max() <= SIZE_PX - 1 + 1e-6


@given(face=faces, seed=st.integers(0, 999), mode=st.sampled_from(["delta", "paste"]), deep=st.booleans())
@settings(max_examples=40, deadline=None)
def test_pixels_with_mask_zero_keep_their_bits(face, seed, mode, deep):
    rng = np.random.default_rng(seed)
    top, dtype = (65535, np.uint16) if deep else (255, np.uint8)
    photo = rng.integers(0, top + 1, (90, 110, 3)).astype(dtype)
    before = photo.copy()
    matrix, mask = _mask(face, photo.shape[:2])
    edited, reconstruction = rng.uniform(-1.5, 1.5, (2, SIZE_PX, SIZE_PX, 3)).astype(np.float32)
    blend_face(photo, edited, reconstruction, matrix=matrix, mask=mask, mode=mode)
    outside = np.ones(photo.shape[:2], bool)
    if mask.weights_hw.size:
        outside[mask.region] = mask.weights_hw == 0
    assert np.array_equal(photo[outside], before[outside])


@given(
    face=faces, seed=st.integers(0, 999), dtype=st.sampled_from([np.uint8, np.uint16]), channels=st.sampled_from([1, 3])
)
@settings(max_examples=30, deadline=None)
def test_no_difference_gives_the_photo_back(face, seed, dtype, channels):
    rng = np.random.default_rng(seed)
    photo = rng.integers(0, np.iinfo(dtype).max + 1, (80, 80, channels)).astype(dtype)
    before = photo.copy()
    matrix, mask = _mask(face, photo.shape[:2])
    same = rng.uniform(-1, 1, (SIZE_PX, SIZE_PX, 3)).astype(np.float32)
    blend_face(photo, same, same.copy(), matrix=matrix, mask=mask)
    assert np.array_equal(photo, before)


@pytest.mark.parametrize("angle", [0.0, 0.5])
def test_the_middle_of_the_face_takes_the_whole_change(angle):
    face = make_face(20, 20, 80, angle)
    photo = np.full((120, 120, 3), 100, np.uint8)
    matrix, mask = _mask(face, photo.shape[:2])
    zero = np.zeros((SIZE_PX, SIZE_PX, 3), np.float32)
    blend_face(photo, zero + 0.08, zero, matrix=matrix, mask=mask)
    x, y = face.landmarks[30].round().astype(int)
    assert (photo[y, x] == 110).all()
