"""Small faces beside large ones, faces that lie on their side, and what is said where nobody is found."""

import cv2
import numpy as np
import pytest
import skimage.data
from support.clips import CornerDetector
from support.fake_editor import FakeEditor

from stages.common.errors import BadInputError
from stages.common.face.detect import DlibDetector, Face
from stages.common.face.search import FrameSearch, find_faces, turn_back
from stages.edit.config import make_edit_config
from stages.edit.photo import Photo
from stages.edit.run import edit_photo


@pytest.fixture(scope="module")
def dlib_detector():
    return DlibDetector()


@pytest.fixture(scope="module")
def portrait():
    return np.ascontiguousarray(skimage.data.astronaut()[:256, 100:356])


@pytest.fixture(scope="module")
def group(portrait):
    """A photo of 4000x3000 with one face of 500 px and four of 180."""
    canvas = np.full((3000, 4000, 3), 110, np.uint8)
    for face_px, x, y in ((500, 100, 100), (180, 1700, 200), (180, 2600, 900), (180, 3300, 1800), (180, 1800, 2300)):
        head = cv2.resize(portrait, None, fx=face_px / 88, fy=face_px / 88, interpolation=cv2.INTER_CUBIC)
        canvas[y : y + len(head), x : x + head.shape[1]] = head
    return canvas


def photo_of(rgb):
    return Photo(None, "0", rgb.copy(), orientation=1, file_format="PNG")


def changed(before, after):
    ys, xs = np.nonzero((before != after).any(axis=2))
    return xs.min(), ys.min(), xs.max(), ys.max()


def test_small_faces_beside_a_large_one(dlib_detector, group):
    faces = find_faces(dlib_detector, group, "group.jpg")
    assert [round(face.side_px, -2) for face in faces] == [600, 200, 200, 200, 200]
    assert len(find_faces(dlib_detector, group, "group.jpg", every=False)) == 1
    for which, count in (("all", 5), ("largest", 1), ("3", 1)):
        result = edit_photo(photo_of(group), FakeEditor(), dlib_detector, make_edit_config(emotion="happy", face=which))
        assert len(result.faces) == count
    assert result.faces[0].box_xyxy[0] > 1700


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_turned_face_is_found_and_edited_as_it_lies(dlib_detector, turns):
    upright = np.ascontiguousarray(skimage.data.astronaut())
    rgb = np.ascontiguousarray(np.rot90(upright, -turns))
    (face,), (expected,) = find_faces(dlib_detector, rgb, "a.jpg"), find_faces(dlib_detector, upright, "a.jpg")
    assert face.box_xyxy == turn_back(expected, turns, rgb).box_xyxy
    assert np.array_equal(face.landmarks, turn_back(expected, turns, rgb).landmarks)
    config = make_edit_config(emotion="happy")
    edited = [edit_photo(photo_of(each), FakeEditor(), dlib_detector, config).stored_HWC for each in (rgb, upright)]
    assert changed(upright, edited[1]) == pytest.approx(changed(upright, np.rot90(edited[0], turns)), abs=2)
    outside = (edited[0] == rgb).all(axis=2).mean()
    assert outside > 0.9


def test_points_and_boxes_are_turned_back():
    rgb = np.zeros((40, 60, 3), np.uint8)
    rgb[10, 20] = 255
    for turns in range(4):
        y, x = np.argwhere(np.rot90(rgb, turns)[..., 0])[0]
        found = Face((x, y, x + 1, y + 1), 1.0, np.array([[x, y]], float))
        back = turn_back(found, turns, rgb)
        assert back.box_xyxy == (20, 10, 21, 11)
        assert back.landmarks.tolist() == [[20, 10]]


def test_what_was_tried_is_said(dlib_detector):
    with pytest.raises(BadInputError) as caught:
        find_faces(dlib_detector, np.full((1500, 3000, 3), 90, np.uint8), "a.jpg")
    assert str(caught.value) == (
        "no face found in a.jpg. Faces of 96 px and more were looked for, upright and turned by 90 and 180 degrees. "
        "Is it turned away, or covered?"
    )
    with pytest.raises(BadInputError, match="Faces were looked for, upright"):
        find_faces(CornerDetector(), np.zeros((60, 60, 3), np.uint8), "a.jpg", turned=False)


class UpsideDown:
    """Finds a face where the last row is white, as it is when a picture of a white first row is turned twice."""

    name = "upside down"

    def __init__(self):
        self.looks = 0

    def __call__(self, rgb):
        self.looks += 1
        return [Face((0, 0, 9, 9), 1.0, np.zeros((68, 2)))] if rgb[-1].min() == 255 else []


def test_a_film_is_held_in_one_way():
    detector, frame = UpsideDown(), np.zeros((20, 30, 3), np.uint8)
    frame[0] = 255
    search = FrameSearch(detector, "a.mp4")
    assert search(np.zeros_like(frame)) == []
    assert search(frame)[0].box_xyxy == (21, 11, 30, 20)
    before = detector.looks
    assert search(frame)
    assert search(np.zeros_like(frame)) == []
    assert detector.looks == before + 2
