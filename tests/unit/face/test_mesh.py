"""The tables of the mesh agree with one another."""

import numpy as np

from stages.common.face.expression import (
    COEFFICIENTS,
    INNER_LIPS,
    LEFT_BROW,
    LEFT_EYE,
    LEFT_IRIS,
    OUTER_LIPS,
    OVAL,
    POINT_COUNT,
    RIGHT_BROW,
    RIGHT_EYE,
    RIGHT_IRIS,
    mirrored_names,
)
from stages.common.face.mesh import MIRRORED_POINTS, eye_distance_px, mirror_coefficients, mirror_points
from stages.models.telling_points import TELLING_POINTS

NOSE_RIDGE = (8, 168, 6, 197, 195, 5, 4, 1)


def mirrored(points):
    return [MIRRORED_POINTS[point] for point in points]


def test_a_mirror_of_a_mirror_is_the_original():
    assert sorted(MIRRORED_POINTS) == list(range(POINT_COUNT))
    assert mirrored(MIRRORED_POINTS) == list(range(POINT_COUNT))
    points = np.random.default_rng(0).normal(size=(POINT_COUNT, 3)).astype(np.float32)
    np.testing.assert_allclose(mirror_points(mirror_points(points, 128), 128), points, atol=1e-5)
    names = mirrored_names()
    assert [names[k] for k in names] == list(range(len(COEFFICIENTS)))


def test_left_and_right_contours_swap_places_in_order():
    assert mirrored(LEFT_EYE) == list(RIGHT_EYE)
    assert mirrored(LEFT_BROW) == list(RIGHT_BROW)
    assert mirrored(LEFT_IRIS)[0] == RIGHT_IRIS[0]
    assert set(mirrored(LEFT_IRIS)) == set(RIGHT_IRIS)
    assert mirrored(OVAL) == [OVAL[0], *OVAL[:0:-1]]
    assert set(mirrored(OUTER_LIPS)) == set(OUTER_LIPS)
    assert set(mirrored(INNER_LIPS)) == set(INNER_LIPS)
    assert mirrored(NOSE_RIDGE) == list(NOSE_RIDGE)


def test_a_mirror_exchanges_sides():
    points = np.zeros((2, POINT_COUNT, 3), np.float32)
    points[:, LEFT_EYE[0]] = (100, 40, 3)
    swapped = mirror_points(points, 128)
    np.testing.assert_allclose(swapped[1, RIGHT_EYE[0]], (27, 40, 3))
    coefficients = np.arange(len(COEFFICIENTS), dtype=np.float32)
    swapped = mirror_coefficients(coefficients)
    left, right = COEFFICIENTS.index("mouthSmileLeft"), COEFFICIENTS.index("mouthSmileRight")
    assert (swapped[left], swapped[right]) == (right, left)
    assert swapped[COEFFICIENTS.index("jawOpen")] == COEFFICIENTS.index("jawOpen")


def test_the_telling_points_are_contours_irises_and_the_ridge_of_the_nose():
    contours = (OVAL, OUTER_LIPS, INNER_LIPS, RIGHT_EYE, LEFT_EYE, RIGHT_IRIS, LEFT_IRIS, RIGHT_BROW, LEFT_BROW)
    assert list(TELLING_POINTS) == sorted({point for contour in (*contours, NOSE_RIDGE) for point in contour})
    assert len(TELLING_POINTS) == 146


def test_the_distance_of_the_eyes_is_that_of_the_pupils_in_the_plane():
    points = np.zeros((1, POINT_COUNT, 3), np.float32)
    points[0, LEFT_IRIS[0]] = (33, 4, 9)
    points[0, RIGHT_IRIS[0]] = (30, 0, 0)
    np.testing.assert_allclose(eye_distance_px(points), [5])
