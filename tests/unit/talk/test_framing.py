"""The crop of a talking face: as in training for a face that stands still, steady for one that moves."""

from __future__ import annotations

import numpy as np
import pytest
from support.fake_editor import make_face

from stages.common.face.track import square_box
from stages.talk.framing import MARGIN, frame_boxes


def test_a_still_face_has_the_box_of_clips():
    landmarks = make_face(30, 40, 100).landmarks
    (box,) = frame_boxes(landmarks[None], 25)
    extent = np.ptp(landmarks, axis=0).max()
    expected = square_box(landmarks, MARGIN * extent)
    np.testing.assert_allclose((box.left, box.top, box.side), (expected.left, expected.top, expected.side))


def test_a_mouth_that_opens_moves_nothing():
    landmarks = np.stack([make_face(30, 40, 100).landmarks] * 20)
    still = frame_boxes(landmarks, 25)[5]
    landmarks[5, 55:60, 1] += 12
    landmarks[5, 5:12, 1] += 12
    opened = frame_boxes(landmarks, 25)[5]
    np.testing.assert_allclose((opened.left, opened.top, opened.side), (still.left, still.top, still.side))


def test_it_follows_slow_motion_and_not_jitter():
    moving = np.stack([make_face(30 + k, 40, 100).landmarks for k in range(50)])
    boxes = frame_boxes(moving, 25)
    assert boxes[25].left - boxes[24].left == pytest.approx(1, abs=0.05)
    shaking = np.stack([make_face(30 + 2 * (k % 2), 40, 100).landmarks for k in range(50)])
    lefts = [box.left for box in frame_boxes(shaking, 25)]
    assert np.abs(np.diff(lefts)).max() < 0.05
