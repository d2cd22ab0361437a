"""Detectors: dlib on real pictures, and FAN's weights without a network."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from numpy.typing import NDArray

from stages.common import torch_hub
from stages.common.errors import MissingModelError
from stages.common.face import detect, fan
from stages.common.face.detect import DlibDetector, FanDetector, load_detector, package_weights, resolve_detector

EYES = slice(36, 48)


@pytest.fixture(scope="module")
def dlib_detector() -> DlibDetector:
    return DlibDetector()


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    return np.asarray(skimage.data.astronaut()[:256, 60:380])


@pytest.fixture
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of weights, and no server."""

    def refuse(*_arguments: object, **_options: object) -> None:
        raise urllib.error.URLError("offline")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    return tmp_path / "hub" / "checkpoints"


def test_dlib_finds_the_astronaut(dlib_detector: DlibDetector, astronaut: NDArray[np.uint8]) -> None:
    (face,) = dlib_detector(astronaut)
    left, top, right, bottom = face.box_xyxy
    assert face.landmarks.shape == (68, 2)
    assert left < face.landmarks[30, 0] < right
    assert top < face.landmarks[30, 1] < bottom
    assert face.landmarks[EYES, 1].mean() < face.landmarks[30, 1] < face.landmarks[8, 1]
    assert face.side_px == min(right - left, bottom - top)


def test_a_large_photo_gives_the_same_face_in_its_own_pixels(
    dlib_detector: DlibDetector, astronaut: NDArray[np.uint8]
) -> None:
    (small,) = dlib_detector(astronaut)
    (large,) = dlib_detector(cv2.resize(astronaut, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC))
    interocular_px = np.linalg.norm(small.landmarks[36] - small.landmarks[45])
    assert np.abs(large.landmarks / 5 - small.landmarks).max() < 0.15 * interocular_px
    assert np.abs(np.array(large.box_xyxy) / 5 - small.box_xyxy).max() < 0.25 * small.side_px


def test_a_face_too_small_for_the_first_pass_is_found(
    dlib_detector: DlibDetector, astronaut: NDArray[np.uint8]
) -> None:
    (face,) = dlib_detector(cv2.resize(astronaut, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA))
    assert 40 < face.side_px < 75


def test_the_largest_face_comes_first(dlib_detector: DlibDetector, astronaut: NDArray[np.uint8]) -> None:
    twice = cv2.resize(astronaut, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    canvas = np.zeros((512, 960, 3), np.uint8)
    canvas[:256, :320] = astronaut
    canvas[:, 320:] = twice
    faces = dlib_detector(canvas)
    assert len(faces) == 2
    assert faces[0].area_px > 2 * faces[1].area_px
    assert faces[0].box_xyxy[0] > 320 > faces[1].box_xyxy[2]


def test_nothing_is_found_where_nobody_is(dlib_detector: DlibDetector) -> None:
    assert dlib_detector(np.asarray(skimage.data.cat())) == []
    for shape in ((20, 20, 3), (1, 1, 3), (1, 300, 3), (300, 2, 3)):
        assert dlib_detector(np.full(shape, 120, np.uint8)) == []


def test_auto_is_dlib_without_weights_and_fan_with_them(no_weights: Path) -> None:
    assert resolve_detector("auto")[0] == "dlib"
    no_weights.mkdir(parents=True)
    for url in fan.WEIGHT_URLS:
        (no_weights / Path(url).name).touch()
    assert resolve_detector("auto")[0] == "fan"
    assert resolve_detector("dlib")[0] == "dlib"


@pytest.mark.usefixtures("no_weights")
def test_fan_without_weights_is_a_missing_model() -> None:
    assert isinstance(load_detector("auto"), DlibDetector)
    with pytest.raises(MissingModelError, match="--detector dlib"):
        load_detector("fan")


def test_weights_are_fetched_if_the_server_answers(no_weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_weights.mkdir(parents=True)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_a, **_k: contextlib.nullcontext())
    monkeypatch.setattr(torch_hub, "_download", lambda _url, path: path.touch())
    assert resolve_detector("auto", fetch=False)[0] == "dlib"
    assert resolve_detector("auto")[0] == "fan"
    assert fan.missing_weights() == []


@pytest.mark.usefixtures("no_weights")
def test_a_broken_download_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(*_arguments: object, **_options: object) -> None:
        raise RuntimeError("invalid hash value")

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_a, **_k: contextlib.nullcontext())
    monkeypatch.setattr(torch_hub, "_download", break_off)
    assert resolve_detector("auto")[0] == "dlib"
    assert len(fan.missing_weights()) == 2


def test_fan_sorts_its_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    class Boxes:
        found: list[list[float]]

        def detect_from_image(self, _rgb: object) -> list[list[float]]:
            return self.found

    class Network:
        face_detector = Boxes()

        def get_landmarks_from_image(
            self, _rgb: object, detected_faces: list[list[float]]
        ) -> list[NDArray[np.float32]]:
            return [np.full((68, 2), box[0], np.float32) for box in detected_faces]

    monkeypatch.setattr(fan, "load_network", lambda _device: Network())
    detector = FanDetector()
    Network.face_detector.found = []
    assert detector(np.zeros((8, 8, 3), np.uint8)) == []
    Network.face_detector.found = [[1, 1, 5, 5, 0.9], [2, 2, 20, 20, 0.8]]
    faces = detector(np.zeros((8, 8, 3), np.uint8))
    assert [face.landmarks[0, 0] for face in faces] == [2, 1]
    assert faces[0].score == 0.8


def test_weights_that_are_not_installed_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingModelError, match=r"no\.dat"):
        package_weights("no.dat")
    monkeypatch.setattr(detect.importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingModelError, match="face_recognition_models"):
        detect.landmark_weights()


@pytest.fixture(scope="module")
def random_fan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A torch hub folder with random weights of the real networks, whose box detector sees a few large faces."""
    from face_alignment.detection.sfd.net_s3fd import s3fd
    from face_alignment.models import FAN

    home = tmp_path_factory.mktemp("fan")
    checkpoints = home / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        landmarks, boxes = FAN(4), s3fd()
    with torch.no_grad():
        for name, weight in boxes.named_parameters():
            if name.endswith("_mbox_conf.weight"):
                weight.zero_()
            elif name.endswith("_mbox_conf.bias"):
                weight.copy_(torch.linspace(9, -9, len(weight)))  # nothing anywhere ...
        boxes.conv7_2_mbox_conf.bias.copy_(torch.tensor([-9.0, 9.0]))  # ... but on the coarsest grid
    for url, network in zip(fan.WEIGHT_URLS, (landmarks, boxes), strict=True):
        torch.save(network.state_dict(), checkpoints / Path(url).name)
    return home


def test_fan_with_random_weights_gives_what_its_package_gives(
    random_fan: Path, astronaut: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    import face_alignment

    monkeypatch.setenv("TORCH_HOME", str(random_fan))
    faces = load_detector("fan")(astronaut)
    reference = face_alignment.FaceAlignment(
        face_alignment.LandmarksType.TWO_D, device="cpu", flip_input=False, compile=False
    )
    boxes = reference.face_detector.detect_from_image(astronaut)
    assert len(faces) == len(boxes) > 0
    assert [face.area_px for face in faces] == sorted((face.area_px for face in faces), reverse=True)
    for face in faces:
        (box,) = [box for box in boxes if np.allclose(box[:4], face.box_xyxy, atol=1e-3)]
        (points,) = reference.get_landmarks_from_image(astronaut, detected_faces=[box])
        assert face.score == pytest.approx(float(box[4]))
        np.testing.assert_allclose(face.landmarks, points, atol=1e-3)
        assert face.landmarks.shape == (68, 2)
