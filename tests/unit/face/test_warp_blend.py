"""Moving a photo's own pixels, by numbers."""

import cv2
import numpy as np
import pytest
from support.mesh import EYES, MOUTH, make_mesh

from stages.common.face.expression import INNER_LIPS, OUTER_LIPS, POINT_COUNT, RIGHT_BROW
from stages.common.face.warp_blend import make_warp_mask, warp_face
from stages.common.face.warp_field import LEAST_AREA, area_change, face_field, opening_px

SCALE = 2.0
MATRIX = np.array([[1 / SCALE, 0.0, -10.0], [0.0, 1 / SCALE, -15.0]])
HW = (330, 320)


def in_photo(points):
    return (np.asarray(points) - MATRIX[:, 2]) * SCALE


def texture(channels=3, dtype=np.uint8):
    random = np.random.default_rng(0)
    noise = cv2.GaussianBlur(random.random((*HW, channels)), (0, 0), 2.0).reshape(*HW, channels)
    low, high = noise.min(), noise.max()
    return ((0.2 + 0.6 * (noise - low) / (high - low)) * np.iinfo(dtype).max).astype(dtype)


def crop_of(photo, value=None):
    """What a model would make of the photo's crop, in -1..1."""
    rgb = photo if photo.dtype == np.uint8 else (photo // 257).astype(np.uint8)
    rgb = np.repeat(rgb, 3, axis=2) if rgb.shape[2] == 1 else rgb
    crop = cv2.warpAffine(rgb, MATRIX, (128, 128), flags=cv2.INTER_AREA).astype(np.float32) / 127.5 - 1
    return crop if value is None else np.full_like(crop, value)


def warp(photo, source, target, edited=None, **more):
    """Without ``edited``, the edit is the crop itself, whose points are still the source's."""
    crop = crop_of(photo)
    if edited is None:
        edited, more = crop, {"edit_points": source, **more}
    warp_face(photo, edited, crop, matrix=MATRIX, source_points=source, target_points=target, **more)
    return photo


def moved_brow(mesh, up_px):
    target = mesh.copy()
    for center in EYES:
        near = np.hypot(*((mesh - (center[0], center[1] - 12)) / (14, 8)).T) < 1
        target[near, 1] -= up_px
    return target


def test_the_drawn_mesh_has_all_points():
    assert make_mesh().shape == (POINT_COUNT, 2)
    assert opening_px(make_mesh(8)) == pytest.approx(8, abs=0.5)


@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint8), (3, np.uint16), (1, np.uint16)])
def test_a_face_that_does_not_move_gives_the_photo_back(channels, dtype):
    photo = texture(channels, dtype)
    mesh = make_mesh(3)
    np.testing.assert_array_equal(warp(photo.copy(), mesh, mesh), photo)


def test_a_point_lands_on_its_target():
    mesh = make_mesh()
    target = moved_brow(mesh, 4)
    photo = np.full((*HW, 3), 200, np.uint8)
    place = in_photo(mesh[RIGHT_BROW[2]])
    cv2.circle(photo, tuple(int(v) for v in place.round()), 3, (40, 40, 40), -1)
    out = warp(photo.copy(), mesh, target)
    y, x = np.nonzero(out[..., 0] < 120)
    assert abs(x.mean() - in_photo(target[RIGHT_BROW[2]])[0]) < 1
    assert abs(y.mean() - in_photo(target[RIGHT_BROW[2]])[1]) < 1


def test_nothing_changes_where_the_mask_is_zero():
    photo = texture()
    mesh = make_mesh()
    target = moved_brow(mesh, 4)
    mask = make_warp_mask(mesh, target, MATRIX, 128, HW)
    out = warp(photo.copy(), mesh, target, edited=crop_of(photo) + 0.1)
    outside = np.ones(HW, bool)
    outside[mask.region] = mask.weights_hw == 0
    assert outside.sum() > 10_000
    np.testing.assert_array_equal(out[outside], photo[outside])
    assert (out != photo).any()


@pytest.mark.parametrize("way", [(-5, 0), (5, 0), (0, 9), (0, -6)])
def test_the_field_never_folds(way):
    mesh = make_mesh()
    target = moved_brow(mesh, way[0])
    target[list(OUTER_LIPS)] += (0, way[1])
    field = face_field(mesh, target, 128)
    for layer in (field.upper_GG2, field.lower_GG2):
        assert area_change(layer, field.grid.step_px).min() >= 0.8 * LEAST_AREA


def test_hair_line_and_temples_stay():
    mesh = make_mesh()
    target = mesh + np.array([0.0, 3.0])
    field = face_field(mesh, target, 128)
    np.testing.assert_array_equal(field.target_P2[[10, 127, 356]], mesh[[10, 127, 356]])


def test_lips_that_meet_hide_the_teeth():
    wide, shut = make_mesh(9), make_mesh(0)
    photo = np.full((*HW, 3), (150, 110, 100), np.uint8)
    rim = in_photo(wide[list(INNER_LIPS)]).round().astype(np.int32)
    cv2.fillPoly(photo, [rim], (250, 250, 250))
    out = warp(photo.copy(), wide, shut)
    assert (photo[..., 2] > 200).sum() > 300
    assert (out[..., 2] > 200).sum() == 0


def test_a_mouth_that_opens_shows_the_edit_within_and_the_photo_without():
    shut, wide = make_mesh(0), make_mesh(9)
    photo = np.full((*HW, 3), 150, np.uint8)
    edited = crop_of(photo)
    cv2.fillPoly(edited, [wide[list(INNER_LIPS)].round().astype(np.int32)], (-0.9, -0.9, -0.9))
    enlarged = []

    def upscale(patch):
        enlarged.append(patch.shape)
        return cv2.resize(patch, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR)

    out = warp(photo.copy(), shut, wide, edited=edited, upscale=upscale)
    x, y = in_photo(MOUTH).round().astype(int)
    assert out[y, x].max() < 60
    assert abs(out[y - 40, x].astype(int) - 150).max() < 12
    assert enlarged[0][0] < 60
    assert enlarged[0][1] < 80


def test_the_iris_stays_when_the_lids_close_over_it():
    mesh, narrow = make_mesh(lid_px=3.5), make_mesh(lid_px=2.0)
    photo = texture()
    out = warp(photo.copy(), mesh, narrow)
    x, y = in_photo(EYES[0]).round().astype(int)
    middle = slice(y - 1, y + 2), slice(x - 4, x + 5)
    assert np.abs(out[middle].astype(int) - photo[middle]).max() <= 2


def test_light_follows_the_edit_and_stays_within_limits():
    mesh = make_mesh()
    photo = np.full((*HW, 3), 120, np.uint8)
    bright = warp(photo.copy(), mesh, mesh, edited=np.ones((128, 128, 3), np.float32))
    x, y = in_photo((63.5, 66)).round().astype(int)
    assert 125 < bright[y, x, 0] < 190
    assert int(np.ptp(bright[y, x].astype(int))) < 10


def test_what_the_reconstruction_does_not_show_keeps_its_place():
    mesh = make_mesh()
    target = moved_brow(mesh, 4)
    photo = texture()
    absent = np.where(crop_of(photo) > 0, -1, 1).astype(np.float32)
    before = photo.copy()
    warp_face(photo, absent, absent, matrix=MATRIX, source_points=mesh, target_points=target)
    x, y = in_photo(mesh[RIGHT_BROW[2]]).round().astype(int)
    part = slice(y - 5, y + 6), slice(x - 5, x + 6)
    assert np.abs(photo[part].astype(int) - before[part]).mean() < 4


@pytest.mark.parametrize("shift_px", [-170, 150, 900])
def test_a_face_partly_or_wholly_beyond_the_photo_is_no_error(shift_px):
    photo = texture()
    matrix = MATRIX - np.array([[0, 0, shift_px / SCALE], [0, 0, 0]])
    crop = crop_of(photo)
    mesh = make_mesh(0)
    warp_face(photo, crop, crop, matrix=matrix, source_points=mesh, target_points=make_mesh(8))


def test_points_may_have_depth():
    mesh = make_mesh()
    deep = np.concatenate([mesh, np.ones((POINT_COUNT, 1))], axis=1)
    photo = texture()
    np.testing.assert_array_equal(warp(photo.copy(), deep, deep), photo)
