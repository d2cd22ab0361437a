"""The fixed box and the landmarks of one face through a clip."""

from __future__ import annotations

import numpy as np
import pytest

from stages.common.face.detect import Face
from stages.common.face.similarity import transform_points
from stages.common.face.track import SquareBox, fill_gaps, follow_face, smooth_landmarks, square_box

POINTS = np.array([[10.0, 40.0], [50.0, 30.0], [30.0, 90.0]])


def test_the_box_is_square_about_the_landmarks_with_a_margin() -> None:
    box = square_box(POINTS, margin_px=10)
    assert box == SquareBox(left=-10, top=20, side=80)


def test_the_box_fills_its_crop_edge_to_edge() -> None:
    matrix = SquareBox(left=9.5, top=19.5, side=64).matrix(128)
    assert transform_points(matrix, [(9.5, 19.5), (73.5, 83.5)]).tolist() == [[-0.5, -0.5], [127.5, 127.5]]
    assert SquareBox(9.5, 19.5, 64).enlarged(1.5) == SquareBox(-6.5, 3.5, 96)
    assert SquareBox(-0.5, -0.5, 8).matrix(8).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_the_face_nearest_to_the_last_is_followed_within_reach() -> None:
    faces = [Face((0, 0, 1, 1), 1.0, POINTS + shift) for shift in (100, 5)]
    assert follow_face(faces, POINTS.mean(axis=0), reach_px=20) is faces[1]
    assert follow_face(faces, POINTS.mean(axis=0), reach_px=2) is None
    assert follow_face([], POINTS.mean(axis=0), reach_px=20) is None


def test_gaps_are_filled_linearly_and_ends_repeated() -> None:
    found = [None, POINTS, None, None, POINTS + 3, None]
    filled = fill_gaps(found)
    assert filled.shape == (6, 3, 2)
    assert np.allclose(filled - POINTS, np.array([0, 0, 1, 2, 3, 3])[:, None, None])
    with pytest.raises(ValueError, match="no frame"):
        fill_gaps([None, None])


def test_nothing_changes_where_nothing_is_missing() -> None:
    found = [POINTS, POINTS * 2, POINTS - 4]
    assert np.array_equal(fill_gaps(found), np.stack(found))


def test_smoothing_takes_jitter_and_keeps_what_stays_or_moves_evenly() -> None:
    time = np.arange(40.0)[:, None, None]
    even = POINTS + 2 * time
    jitter = np.random.default_rng(0).normal(size=(40, 3, 2))
    smooth = smooth_landmarks(even + jitter, 1.5)
    assert np.abs(smooth_landmarks(even, 1.5)[8:-8] - even[8:-8]).max() < 1e-6
    assert (smooth - even)[8:-8].std() < 0.6 * jitter.std()
    assert np.allclose(smooth_landmarks(np.repeat(POINTS[None], 5, axis=0), 2), POINTS)
    assert smooth_landmarks(even, 0) is even
