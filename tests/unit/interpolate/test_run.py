"""Faces between two photos, with real networks of no skill and a detector of known answers."""

import cv2
import numpy as np
import pytest
from PIL import Image
from support.fake_editor import FakeDetector
from support.tiny_model import train_tiny_model

from stages.common.config import make_config
from stages.common.engine import execute
from stages.common.errors import BadInputError, ConfigError
from stages.common.model_input import as_model_input
from stages.interpolate.config import InterpolateConfig
from stages.interpolate.run import INTERPOLATE, read_pair


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return train_tiny_model(tmp_path_factory.getbasetemp() / "tiny-model")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.setattr("stages.interpolate.run.load_detector", lambda _name, _device: FakeDetector())
    for name, seed in (("a.png", 0), ("b.png", 1)):
        coarse = np.random.default_rng(seed).integers(0, 255, (6, 8, 3)).astype(np.uint8)
        Image.fromarray(coarse).resize((200, 150), Image.Resampling.BICUBIC).save(tmp_path / name)
    return tmp_path / "a.png", tmp_path / "b.png"


def run(model, photos, out, **fields):
    config = InterpolateConfig(**{"positions": 4, "steps": 3, **fields})
    return execute(INTERPOLATE, config, {"photos": read_pair(*photos), **as_model_input(model)}, out)


def tiles(artifact, eta):
    strip = np.asarray(Image.open(artifact.path(f"eta-{eta}.png")))
    assert strip.shape[0] == 36
    return [strip[2:34, left : left + 32].astype(int) for left in range(2, strip.shape[1] - 2, 34)]


def frames_of(path):
    video, shapes = cv2.VideoCapture(str(path)), []
    while True:
        there, frame = video.read()
        if not there:
            video.release()
            return shapes
        shapes.append(frame.shape)


def test_a_strip_and_two_videos_for_each_eta(model, photos, tmp_path):
    made = run(model, photos, tmp_path / "out")
    for eta in (0, 1):
        assert len(tiles(made, eta)) == 6
        assert frames_of(made.path(f"eta-{eta}.mp4")) == [(32, 32, 3)] * 4
        with Image.open(made.path(f"eta-{eta}.gif")) as gif:
            assert (gif.n_frames, gif.info["duration"], gif.info["loop"]) == (4, 200, 0)
    assert made.manifest.counts.total == 8
    assert {output.path for output in made.manifest.outputs} == {
        f"eta-{eta}.{suffix}" for eta in (0, 1) for suffix in ("png", "gif", "mp4")
    }


def test_the_same_settings_give_the_same_bytes(model, photos, tmp_path):
    first, second = (run(model, photos, tmp_path / name, etas=(1.0,)) for name in ("one", "two"))
    assert first.manifest.artifact_id == second.manifest.artifact_id


def test_ends_are_the_ends_reconstructions(model, photos, tmp_path):
    """Exact inversion under one label: the first face comes from A alone, the last from B alone."""
    way = {"etas": (0.0,), "sampler": "exact", "emotion": "happy"}
    there = tiles(run(model, photos, tmp_path / "there", **way), 0)
    back = tiles(run(model, photos[::-1], tmp_path / "back", **way), 0)
    for a, b in zip(there, reversed(back), strict=True):
        assert np.abs(a - b).mean() < 1
    assert np.abs(there[1] - there[-2]).mean() > 5


def test_one_photo_twice_gives_one_face(model, photos, tmp_path):
    faces = tiles(run(model, (photos[0], photos[0]), tmp_path / "out", etas=(0.0,)), 0)[1:-1]
    assert all(np.abs(face - faces[0]).mean() < 1 for face in faces)


def test_no_face_and_no_photo(model, photos, tmp_path, monkeypatch):
    monkeypatch.setattr("stages.interpolate.run.load_detector", lambda _name, _device: FakeDetector(()))
    with pytest.raises(BadInputError, match=r"no face found in .*a\.png"):
        run(model, photos, tmp_path / "out")
    with pytest.raises(BadInputError, match="does not exist"):
        read_pair(photos[0], tmp_path / "none.png")


def test_the_source_is_the_photos_content_and_order(photos, tmp_path):
    copies = (tmp_path / "x.png", tmp_path / "y.png")
    for photo, copy in zip(photos, copies, strict=True):
        copy.write_bytes(photo.read_bytes())
    ids = [read_pair(*pair).manifest.artifact_id for pair in (photos, copies, photos[::-1])]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"positions": 1}, "positions"),
        ({"steps": 20, "strength": 10}, "20 steps"),
        ({"etas": [0, 2]}, "etas"),
        ({"etas": [1, 1]}, "etas"),
        ({"emotion": "hapy"}, "Did you mean happy"),
    ],
)
def test_wrong_settings_are_named(fields, word):
    with pytest.raises(ConfigError, match=word):
        make_config(InterpolateConfig, fields)
