"""``facediff expression`` from the command line to table, JSON and picture."""

import numpy as np
import pytest
import torch
from PIL import Image
from support.edit_model import seal_model
from support.expressions import face_points

from stages.common.checkpoint import save_expression_network
from stages.common.errors import MissingModelError
from stages.common.face.canonical import canonical_landmarks
from stages.common.face.detect import Face
from stages.common.face.expression import COEFFICIENTS
from stages.common.manifest import ArtifactKind
from stages.models.expression_network import ExpressionNetwork, ExpressionNetworkConfig

SIDE_PX = 100


def find_faces(rgb):
    """A face in each square of a picture as high as one; none in a picture that is dark."""
    squares = rgb.shape[1] // SIDE_PX if rgb.mean() > 50 else 0
    return [
        Face((left, 0.0, left + SIDE_PX, SIDE_PX), 1.0, canonical_landmarks(SIDE_PX) + np.array([left, 0]))
        for left in range(0, squares * SIDE_PX, SIDE_PX)
    ]


@pytest.fixture
def model(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.common.face.detect.load_detector", lambda _name, _device: find_faces)
    torch.manual_seed(0)
    network = ExpressionNetwork(ExpressionNetworkConfig(size_px=32, channels=(4, 4, 8), features=16, hidden=(16, 8)))
    points = torch.from_numpy(np.stack([face_points(32, seed) for seed in range(20)]))
    network.fit(points, torch.rand(20, 51))
    (tmp_path / "model").mkdir()
    save_expression_network(network, tmp_path / "model")
    seal_model(tmp_path / "model", ArtifactKind.EXPRESSION_NETWORK, "expression")
    return tmp_path / "model"


@pytest.fixture
def photo(tmp_path):
    def write(name="photo.png", faces=1, light=120):
        picture = np.random.default_rng(0).integers(light // 2, light + 1, (SIDE_PX, SIDE_PX * faces, 3))
        Image.fromarray(picture.astype(np.uint8)).save(tmp_path / name)
        return tmp_path / name

    return write


def test_the_strongest_coefficients_come_first(facediff, model, photo):
    result = facediff("expression", photo(), "--model", model, "--device", "cpu")
    assert result.exit_code == 0
    title, *lines = result.stdout.splitlines()
    assert "photo.png  confidence 0." in title
    names, values = [line.split()[0] for line in lines], [float(line.split()[1]) for line in lines]
    assert set(names) <= set(COEFFICIENTS)
    assert values == sorted(values, reverse=True)
    assert min(values) >= 0.05


def test_all_coefficients_are_listed_if_wanted(facediff, model, photo):
    lines = facediff("expression", photo(), "--all", "--model", model).stdout.splitlines()
    assert len(lines) == 1 + len(COEFFICIENTS)


def test_several_faces_are_measured_from_left_to_right_in_pixels_of_the_photo(facediff, model, photo):
    payload = facediff("expression", photo(faces=3), "--json", "--model", model).payload
    assert payload["measured_by"] == "model model"
    faces = payload["photos"][0]["faces"]
    assert [face["box_xyxy"][0] for face in faces] == [0, 100, 200]
    for left, face in zip((0, 100, 200), faces, strict=True):
        assert set(face["coefficients"]) == set(COEFFICIENTS)
        x, y, _ = np.array(face["points"]).mean(axis=0)
        assert left + 30 < x < left + 70
        assert 30 < y < 70
    assert "face 2 of 3 from the left" in facediff("expression", photo(faces=3), "--model", model).stdout


def test_pictures_are_drawn_and_none_is_overwritten(facediff, model, photo, tmp_path):
    (tmp_path / "other").mkdir()
    photos = [photo("a.png", faces=2), photo("other/a.png")]
    assert facediff("expression", *photos, "--draw", tmp_path / "drawn", "--model", model).exit_code == 0
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"a-expression.png", "a-expression-2.png"}
    picture = np.asarray(Image.open(tmp_path / "drawn" / "a-expression.png"))
    # The photo, enlarged, and a panel for each of its faces.
    assert picture.shape == (560, 2 * 560 + 2 * 300, 3)


def test_no_face_is_one_line_and_bad_input(facediff, model, photo):
    result = facediff("expression", photo(light=10), "--model", model)
    assert (result.exit_code, result.stdout) == (3, "")
    assert len(result.stderr.splitlines()) == 1
    assert "no face found in" in result.stderr


def test_one_photo_without_a_face_does_not_stop_the_others(facediff, model, photo):
    result = facediff("expression", photo("dark.png", light=10), photo(), "--json", "--model", model)
    assert result.exit_code == 3
    assert [entry["path"] for entry in result.payload["photos"]] == [str(photo())]
    assert "dark.png" in result.payload["failed"][0]["path"]
    assert "no face found in" in result.stderr


def test_a_model_without_an_expression_network_is_said(facediff, photo, tmp_path):
    (tmp_path / "bare").mkdir()
    seal_model(tmp_path / "bare", ArtifactKind.MODEL, "bundle")
    result = facediff("expression", photo(), "--model", tmp_path / "bare")
    assert result.exit_code == 6
    assert "has no expression network" in result.stderr


def test_a_missing_teacher_is_said(facediff, photo, model, monkeypatch):
    def absent(_self):
        raise MissingModelError("MediaPipe is not installed")

    monkeypatch.setattr("stages.common.face.landmarker.FaceLandmarker.__init__", absent)
    result = facediff("expression", photo(), "--teacher", "mediapipe")
    assert result.exit_code == 6
    assert "MediaPipe is not installed" in result.stderr


def test_a_face_that_the_teacher_does_not_recognise_is_said(facediff, photo, model, monkeypatch):
    class Blind:
        def __call__(self, rgb, matrix, size_px):
            return None

    monkeypatch.setattr("stages.common.face.landmarker.FaceLandmarker", Blind)
    assert "not recognised" in facediff("expression", photo(), "--teacher", "mediapipe").stdout
    found = facediff("expression", photo(), "--teacher", "mediapipe", "--json").payload
    assert found["photos"][0]["faces"][0]["points"] is None
