"""Who is who from frame to frame, and positions that are smooth without lagging."""

import numpy as np
import pytest
from support.fake_editor import make_face

from stages.common.face.tracking import CutFinder, Tracks, follow, overlap, reach_of


def grey(level):
    return np.full((36, 48, 3), level, np.uint8)


def followed(faces_of_frames, smoothing, pictures=None):
    faces = iter(faces_of_frames)
    pictures = pictures or [grey(90)] * len(faces_of_frames)
    return list(follow(pictures, lambda picture: picture, lambda _rgb: next(faces), smoothing))


def test_overlap():
    assert overlap(make_face(0, 0, 10), make_face(0, 0, 10)) == 1
    assert overlap(make_face(0, 0, 10), make_face(5, 0, 10)) == pytest.approx(1 / 3)
    assert overlap(make_face(0, 0, 10), make_face(10, 0, 10)) == 0


def test_people_who_pass_keep_their_numbers():
    tracks = Tracks(patience=2)
    for i in range(5):
        left, right = make_face(4 * i, 0, 40), make_face(200 - 4 * i, 0, 40)
        found = tracks.update([right, left] if i % 2 else [left, right], cut=False)
        assert found[0] is left
        assert found[1] is right


def test_a_track_outlives_a_short_absence_alone_and_no_cut():
    tracks = Tracks(patience=2)
    face = make_face(0, 0, 40)
    assert list(tracks.update([face], cut=False)) == [0]
    for absent, track in ((2, 0), (3, 1)):
        for _ in range(absent):
            assert tracks.update([], cut=False) == {}
        assert list(tracks.update([face], cut=False)) == [track]
    assert list(tracks.update([face], cut=True)) == [2]


def test_cuts_are_jumps_and_not_the_usual_motion():
    is_cut = CutFinder()
    assert [is_cut(grey(level)) for level in (50, 55, 50, 150, 152, 60)] == [False, False, False, True, False, True]


@pytest.mark.parametrize("smoothing", [0.0, 2.0])
def test_steady_motion_is_kept_and_no_frame_is_lost(smoothing):
    faces = [[make_face(3.0 * i, 7, 50)] for i in range(20)]
    found = followed(faces, smoothing)
    assert len(found) == 20
    for item, (face,) in zip(found, faces, strict=True):
        np.testing.assert_allclose(item.faces[0].landmarks, face.landmarks, atol=1e-9)


def test_jitter_is_smoothed():
    random = np.random.default_rng(0)
    faces = [[make_face(float(x), 7, 50)] for x in random.normal(20, 1, 60)]
    left = np.array([item.faces[0].box_xyxy[0] for item in followed(faces, 2.0)])
    assert np.abs(np.diff(left)).mean() < 0.3 * np.abs(np.diff([f[0].box_xyxy[0] for f in faces])).mean()


def test_a_gap_is_filled_on_the_way_between_and_no_longer_one():
    reach = reach_of(2.0)
    faces = [[make_face(2.0 * i, 0, 60)] for i in range(30)]
    for i in range(10, 10 + reach):
        faces[i] = []
    found = followed(faces, 2.0)
    np.testing.assert_allclose(found[12].faces[0].box_xyxy, (24, 0, 84, 60), atol=1e-6)
    faces[10 + reach] = []
    assert followed(faces, 2.0)[12].faces == {}


def test_nothing_is_smoothed_over_a_cut():
    pictures = [grey(40)] * 6 + [grey(160)] * 6
    faces = [[make_face(10, 0, 60)]] * 6 + [[make_face(20, 0, 60)]] * 6
    lefts = [next(iter(item.faces.values())).box_xyxy[0] for item in followed(faces, 2.0, pictures)]
    np.testing.assert_allclose(lefts, [10] * 6 + [20] * 6)
