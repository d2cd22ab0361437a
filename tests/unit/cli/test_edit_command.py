"""``facediff edit`` by coefficients: how options are read, and what reaches the model."""

import json

import numpy as np
import pytest
from PIL import Image
from support.edit_model import make_fake_model
from support.expression_editor import FakeExpressionEditor
from support.fake_editor import FakeDetector, FakeEditor

from facediff_cli.commands.edit import _parse_pairs
from facediff_cli.main import main
from stages.common.errors import ConfigError
from stages.common.face.expression import COEFFICIENTS
from stages.common.manifest import load_artifact
from stages.common.provenance import read_provenance


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (None, {}),
        ("", {}),
        ("AU12=0.8", {"AU12": "0.8"}),
        (" AU12 = 0.8 , AU4L=-0.3,", {"AU12": "0.8", "AU4L": "-0.3"}),
        ("jawOpen=+0.2,browInnerUp=0", {"jawOpen": "+0.2", "browInnerUp": "0"}),
    ],
)
def test_pairs_are_read(text, pairs):
    assert _parse_pairs("--au", text) == pairs


@pytest.mark.parametrize("text", ["AU12", "=0.5", "AU12=", "AU12=1,AU4"])
def test_what_is_no_pair_is_named(text):
    with pytest.raises(ConfigError, match=r"--au: .* is not NAME=VALUE"):
        _parse_pairs("--au", text)


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """The command with a model that hears expressions, on a photo in the current folder."""
    monkeypatch.chdir(tmp_path)
    editor = FakeExpressionEditor(own={"mouthSmileLeft": 0.4, "jawOpen": 0.1})
    model = make_fake_model(tmp_path / "model", monkeypatch, editor)
    editor.artifact_id = load_artifact(model).manifest.artifact_id
    monkeypatch.setattr("stages.common.face.detect.load_detector", lambda _name, _device: FakeDetector(name="dlib"))
    for seed, name in enumerate(("photo.png", "other.png")):
        pixels = np.random.default_rng(seed).integers(40, 200, (150, 220, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(name)
    return lambda *arguments: main(["edit", "--model", str(model), "--device", "cpu", "--steps", "4", *arguments])


def settings(path):
    record = read_provenance(path)
    return {"emotion": record["emotion"], **record["settings"]}


def test_action_units_and_coefficients_reach_the_record(edit, tmp_path):
    assert edit("--au", "au12=0.8,4L=0.3", "--expression", "jawOpen=+0.2", "--arousal", "0.4", "photo.png") == 0
    found = settings(tmp_path / "photo-au12-au4l-jawOpen-arousal.png")
    assert found["au"] == {"AU12": 0.8, "AU4L": 0.3}
    assert found["expression"] == {"jawOpen": "+0.2"}
    assert (found["emotion"], found["arousal"], found["valence"], found["blend"]) == (None, 0.4, None, "warp")


def test_another_photos_expression_is_measured_and_recorded(edit, tmp_path):
    assert edit("--copy-from", "other.png", "--amount", "0.5", "photo.png") == 0
    copied = settings(tmp_path / "photo-copy.png")["copied"]
    assert sorted(copied) == sorted(COEFFICIENTS)
    assert copied["mouthSmileLeft"] == pytest.approx(0.4)


def test_like_takes_directions_along_and_options_are_stronger(edit, tmp_path):
    assert edit("--au", "AU12=0.8", "--valence", "0.2", "-o", "a.png", "photo.png") == 0
    assert edit("--like", "a.png", "-o", "b.png", "other.png") == 0
    assert settings(tmp_path / "b.png") == settings(tmp_path / "a.png")
    assert edit("--like", "a.png", "--au", "AU4=0.5", "--copy-from", "other.png", "-o", "c.png", "photo.png") == 0
    found = settings(tmp_path / "c.png")
    assert (found["au"], found["valence"]) == ({"AU4": 0.5}, 0.2)
    assert found["copied"]["jawOpen"] == pytest.approx(0.1)


def test_a_dry_run_says_what_is_asked_for(edit, capsys):
    assert edit("--au", "AU12=0.8", "--dry-run", "--json", "photo.png") == 0
    assert "AU12" in json.dumps(json.loads(capsys.readouterr().out))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "no expression is asked for"),
        (("--au", "AU12"), "is not NAME=VALUE"),
        (("--au", "AU3=1"), "unknown action unit"),
        (("--au", "AU12=1;AU4=1"), "--au"),
        (("--expression", "jawOpn=1"), "Did you mean jawOpen"),
        (("--valence", "2"), "--valence"),
        (("--emotion", "happy", "--copy-from", "other.png"), "Leave out --emotion"),
    ],
)
def test_what_cannot_be_is_a_usage_error(edit, capsys, arguments, problem):
    assert edit(*arguments, "photo.png") == 2
    assert problem in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("name", ["nothing.png", "empty.png"])
def test_a_photo_to_copy_from_that_is_none_is_bad_input(edit, tmp_path, name):
    (tmp_path / "empty.png").touch()
    assert edit("--copy-from", name, "photo.png") == 3


def test_a_model_of_labels_is_a_usage_error(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    model = make_fake_model(tmp_path / "labels", monkeypatch, FakeEditor())
    monkeypatch.setattr("stages.common.face.detect.load_detector", lambda _name, _device: FakeDetector(name="dlib"))
    Image.fromarray(np.full((150, 220, 3), 90, np.uint8)).save("photo.png")
    assert main(["edit", "--model", str(model), "--device", "cpu", "--au", "AU12=1", "photo.png"]) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "labels knows emotions by their labels alone" in error
    assert "Use --emotion" in error
