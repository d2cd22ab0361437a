"""Whatever happens to a training face, what is known of it stays true."""

import numpy as np
import pytest
from support.expressions import face_points

from stages.common.face.expression import COEFFICIENTS, LEFT_IRIS, POINT_COUNT, RIGHT_IRIS, Expression
from stages.expression.augment import augment, change_look, cover, draw_similarity, mirror, move
from stages.expression.config import AugmentConfig
from stages.expression.spoil import spoil

SIZE_PX = 64
NOTHING = dict.fromkeys(("occlusion", "light", "blur", "noise", "jpeg", "spoiled"), 0.0)
STILL = AugmentConfig(max_rotation_deg=0, max_scale=1, max_shift=0, **NOTHING)


def face_with_dot(at_xy, point):
    """A grey face with a white dot where ``point`` is."""
    y, x = np.mgrid[0:SIZE_PX, 0:SIZE_PX]
    light = 155 * np.exp(-((x - at_xy[0]) ** 2 + (y - at_xy[1]) ** 2) / 8)
    points = np.full((POINT_COUNT, 3), 30, np.float32)
    points[point] = (*at_xy, 10)
    face = np.repeat((100 + light)[..., None], 3, axis=2).astype(np.uint8)
    return face, Expression(points, np.linspace(0, 1, len(COEFFICIENTS), dtype=np.float32))


def brightest(face):
    """Where the dot is, to a fraction of a pixel."""
    weight = np.clip(face[..., 0].astype(float) - 130, 0, None)
    y, x = np.mgrid[0 : face.shape[0], 0 : face.shape[1]]
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("size_px", [32, 64, 128])
def test_points_move_with_the_picture(seed, size_px):
    random = np.random.default_rng(seed)
    face, known = face_with_dot((24, 38), LEFT_IRIS[0])
    matrix = draw_similarity(SIZE_PX, size_px, AugmentConfig(), random)
    moved, expression = move(face, known, matrix, size_px)
    assert moved.shape == (size_px, size_px, 3)
    np.testing.assert_allclose(expression.points_P3[LEFT_IRIS[0], :2], brightest(moved), atol=0.35)
    scale = np.hypot(matrix[0, 0], matrix[1, 0])
    assert expression.points_P3[LEFT_IRIS[0], 2] == pytest.approx(10 * scale, rel=1e-4)


def test_a_mirrored_face_exchanges_the_sides_of_its_points():
    face, known = face_with_dot((20, 30), LEFT_IRIS[0])
    mirrored, expression = mirror(face, known)
    np.testing.assert_allclose(expression.points_P3[RIGHT_IRIS[0], :2], brightest(mirrored), atol=0.1)
    assert expression.named()["jawLeft"] == known.named()["jawRight"]
    assert expression.named()["jawOpen"] == known.named()["jawOpen"]


@pytest.mark.parametrize("seed", range(6))
def test_augmented_points_lie_where_the_dot_went(seed):
    config = AugmentConfig(**NOTHING)
    face, known = face_with_dot((36, 28), 4)
    changed, expression = augment(face, known, SIZE_PX, config, np.random.default_rng(seed))
    # The tip of the nose is its own mirror image.
    np.testing.assert_allclose(expression.points_P3[4, :2], brightest(changed), atol=0.35)


def test_without_any_change_a_face_stays_or_is_mirrored():
    face, known = face_with_dot((36, 28), 4)
    for seed in range(4):
        changed, expression = augment(face, known, SIZE_PX, STILL, np.random.default_rng(seed))
        is_mirrored = expression.points_P3[4, 0] != 36
        assert np.array_equal(changed, face[:, ::-1] if is_mirrored else face)


def test_looks_change_and_the_place_of_things_does_not():
    face, _ = face_with_dot((36, 28), 4)
    config = AugmentConfig(light=1, blur=1, noise=0, jpeg=1)
    for seed in range(6):
        changed = change_look(face, config, np.random.default_rng(seed))
        assert changed.dtype == np.uint8
        assert changed.shape == face.shape
        assert not np.array_equal(changed, face)


def test_a_cover_hides_a_part():
    face, _ = face_with_dot((36, 28), 4)
    hidden = [(cover(face, np.random.default_rng(seed)) != face).any(axis=2).mean() for seed in range(20)]
    assert 0 < max(hidden) < 0.4


def test_equal_randomness_gives_equal_faces():
    face, known = face_with_dot((36, 28), 4)
    one, other = (augment(face, known, SIZE_PX, AugmentConfig(), np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1].points_P3, other[1].points_P3)
    assert np.array_equal(
        spoil(face, SIZE_PX, np.random.default_rng(3)), spoil(face, SIZE_PX, np.random.default_rng(3))
    )


@pytest.mark.parametrize("seed", range(30))
def test_a_spoiled_crop_is_a_picture_of_the_wanted_size_and_no_longer_the_face(seed):
    random = np.random.default_rng(seed)
    face = random.integers(0, 256, (SIZE_PX, SIZE_PX, 3)).astype(np.uint8)
    spoiled = spoil(face, SIZE_PX, random)
    assert spoiled.shape == (SIZE_PX, SIZE_PX, 3)
    assert spoiled.dtype == np.uint8
    assert (spoiled != face).any(axis=2).mean() > 0.5


def test_faces_of_tests_have_eyes_apart():
    points = face_points(SIZE_PX)
    assert points[LEFT_IRIS[0], 0] - points[RIGHT_IRIS[0], 0] > 10
