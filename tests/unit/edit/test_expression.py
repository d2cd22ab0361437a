"""Edits by coefficients, with a model of known answers: photos, grids, videos, and what cannot be."""

import numpy as np
import pytest
from PIL import Image
from support.clips import NOBODY, ONE, CornerDetector, write_clip
from support.expression_editor import FakeExpressionEditor
from support.fake_editor import FakeDetector, FakeEditor

from stages.common.emotions import EMOTIONS, NULL_CLASS
from stages.common.errors import BadInputError, ConfigError
from stages.common.face.expression import COEFFICIENTS
from stages.common.progress import SilentProgress
from stages.common.video import VideoReader
from stages.edit.config import EditConfig, make_edit_config
from stages.edit.photo import load_photo
from stages.edit.run import EXPRESSION_GUIDANCE, edit_photo, measure_photo
from stages.edit.sweep import Sweep, sweep_photo
from stages.edit.video import edit_video

JAW = COEFFICIENTS.index("jawOpen")
MOUTH_YX = (98, 90)
"""The middle of the mouth of the face that the detector finds, in pixels of the photo."""


@pytest.fixture
def photo(tmp_path):
    y, x = np.mgrid[0:150, 0:220]
    stripes = 120 + 50 * np.sin(y / 3) + 20 * np.sin(x / 5)
    Image.fromarray(np.repeat(stripes[..., None], 3, axis=2).astype(np.uint8)).save(tmp_path / "in.png")
    return load_photo(tmp_path / "in.png")


def edited(photo, editor=None, **fields):
    config = make_edit_config(**{"steps": 4, **fields})
    return edit_photo(photo, editor or FakeExpressionEditor(), FakeDetector(), config)


def change_of(result, photo):
    return np.abs(result.stored_HWC.astype(int) - photo.stored_HWC).max(axis=2)


@pytest.mark.parametrize("blend", ["warp", "delta", "paste"])
def test_the_face_changes_and_the_rest_is_untouched(photo, blend):
    change = change_of(edited(photo, expression={"jawOpen": "0.9"}, blend=blend), photo)
    assert change[MOUTH_YX] > 0
    assert not change[:, 175:].any()
    assert not change[:12].any()


def test_warping_moves_the_chin_which_delta_does_not(photo):
    editor = FakeExpressionEditor(change=0)
    warped, added = (edited(photo, editor, au={"AU26": 1.0}, blend=blend) for blend in ("warp", "delta"))
    assert change_of(warped, photo)[100:125, 80:100].max() > 20
    assert change_of(added, photo).max() <= 2


def test_the_inside_of_a_mouth_is_enlarged(photo):
    editor = FakeExpressionEditor()
    edited(photo, editor, expression={"jawOpen": "1"})
    assert editor.enlarged


@pytest.mark.parametrize("blend", ["warp", "delta"])
def test_no_change_gives_the_photo_back(photo, blend):
    for asked in ({"expression": {"jawOpen": "+0"}}, {"emotion": "surprise", "amount": 0}):
        result = edited(photo, blend=blend, **asked)
        assert np.array_equal(result.stored_HWC, photo.stored_HWC)


@pytest.mark.parametrize("emotion", EMOTIONS)
def test_every_emotion_is_an_edit_by_coefficients(photo, emotion):
    editor = FakeExpressionEditor(sees="sad", own={"mouthSmileLeft": 0.5, "mouthSmileRight": 0.5})
    result = edited(photo, editor, emotion=emotion)
    (seen,) = editor.seen
    assert seen["source"].labels_B.tolist() == seen["target"].labels_B.tolist() == [NULL_CLASS]
    assert seen["guidance"] == [EXPRESSION_GUIDANCE]
    method = seen["method"]
    assert (method.guided, method.target_weights, method.negative_labels) == ("back", None, None)
    smile = seen["target"].coefficients_BK[0, COEFFICIENTS.index("mouthSmileLeft")]
    assert (smile > 0.3) == (emotion == "happy")
    assert change_of(result, photo).any()


def test_what_was_asked_for_is_recorded_and_gives_the_same_again(photo):
    asked = {"au": {"12": 0.5}, "expression": {"jawOpen": "+0.2"}, "valence": 0.3, "copied": {"browInnerUp": 0.7}}
    result = edited(photo, guidance=1.5, **asked)
    settings = result.provenance["settings"]
    assert settings["au"] == {"AU12": 0.5}
    assert settings["expression"] == {"jawOpen": "+0.2"}
    assert (settings["valence"], settings["copied"]) == (0.3, {"browInnerUp": 0.7})
    assert result.provenance["emotion"] is None
    assert result.faces[0].guidance == 1.5
    again = edited(photo, **{**settings, "emotion": None})
    assert np.array_equal(again.stored_HWC, result.stored_HWC)


def test_every_face_of_a_photo_has_its_own_plan(photo):
    editor = FakeExpressionEditor()
    detector = FakeDetector(((10.0, 30.0, 80.0), (120.0, 30.0, 80.0)))
    config = make_edit_config(au={"AU4": 1.0}, face="all", steps=4)
    result = edit_photo(photo, editor, detector, config)
    assert len(result.faces) == 2
    assert editor.seen[0]["target"].coefficients_BK.shape == (2, len(COEFFICIENTS))
    change = change_of(result, photo)
    assert change[:, :100].any()
    assert change[:, 120:].any()


def test_a_face_that_cannot_be_measured_is_one_clear_line(photo):
    with pytest.raises(BadInputError, match="cannot be measured"):
        edited(photo, FakeExpressionEditor(confidence=0.05), emotion="happy")


def test_the_largest_face_is_measured(photo):
    found = measure_photo(photo, FakeExpressionEditor(own={"mouthPucker": 0.3}), FakeDetector())
    assert list(found) == list(COEFFICIENTS)
    assert found["mouthPucker"] == pytest.approx(0.3)
    assert sum(found.values()) == pytest.approx(0.3)
    with pytest.raises(BadInputError):
        measure_photo(photo, FakeExpressionEditor(), FakeDetector(()))


@pytest.mark.parametrize(
    "asked", [{"au": {"AU12": 1.0}}, {"expression": {"jawOpen": "1"}}, {"valence": 1.0}, {"copied": {"jawOpen": 1.0}}]
)
def test_a_model_of_labels_takes_emotions_alone(photo, asked):
    with pytest.raises(ConfigError, match="knows emotions by their labels alone"):
        edited(photo, FakeEditor(), **asked)


def test_a_model_of_labels_still_warps_nothing(photo):
    warp, delta = (edited(photo, FakeEditor(), emotion="happy", blend=blend) for blend in ("warp", "delta"))
    assert np.array_equal(warp.stored_HWC, delta.stored_HWC)


@pytest.mark.parametrize("guided", ["auto", "both"])
def test_a_sweep_shares_one_plan(photo, guided):
    editor = FakeExpressionEditor()
    config = make_edit_config((f"guided={guided}",), expression={"jawOpen": "0.8"}, steps=4)
    grid, record = sweep_photo(photo, editor, FakeDetector(), config, Sweep((300, 500), (1.0, 2.0, 3.0)))
    assert grid.shape == (24 + 2 * 132, 72 + 4 * 132, 3)
    invert, resample = editor.seen[:2]
    assert len(invert["source"].labels_B) == (1 if guided == "auto" else 3)
    assert len(resample["target"].labels_B) == 3
    assert resample["target"].coefficients_BK[2, JAW] == pytest.approx(0.8)
    assert resample["guidance_scale"].tolist() == [1, 2, 3]
    assert record["settings"]["expression"] == {"jawOpen": "0.8"}


def _pictures(path):
    with VideoReader(path) as reader:
        return [frame.stored_HWC.astype(int) for frame in reader.frames()]


def test_a_video_is_edited_frame_by_frame(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 4 + [NOBODY] * 12)
    config = make_edit_config(expression={"jawOpen": "0.9"}, steps=2)
    editor = FakeExpressionEditor()
    result = edit_video(clip, tmp_path / "b.mp4", editor, CornerDetector(), config, progress=SilentProgress())
    assert result.counts.as_json() == {"frames": 16, "edited": 4, "passed_through": {"no face": 12}}
    assert result.provenance["faces"][0]["guidance"] == EXPRESSION_GUIDANCE
    before, after = (_pictures(path) for path in (clip, tmp_path / "b.mp4"))
    changed = [bool(np.abs(a - b)[40:100, 20:75].max() > 8) for a, b in zip(before, after, strict=True)]
    assert changed == [True] * 4 + [False] * 12


def test_a_video_needs_a_model_that_hears_what_is_asked(tmp_path):
    clip = write_clip(tmp_path / "a.mp4", [ONE] * 2)
    with pytest.raises(ConfigError, match="labels alone"):
        edit_video(
            clip,
            tmp_path / "b.mp4",
            FakeEditor(),
            CornerDetector(),
            make_edit_config(au={"AU12": 1.0}),
            progress=SilentProgress(),
        )


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "no expression is asked for"),
        ({"valence": 0.0}, "no expression is asked for"),
        ({"au": {"AU99": 1.0}}, "unknown action unit"),
        ({"au": {"AU12": "much"}}, "--au"),
        ({"au": {"AU12": float("nan")}}, "AU12=nan is not a number"),
        ({"expression": {"jawOpn": "1"}}, "Did you mean jawOpen"),
        ({"expression": {"jawOpen": "wide"}}, "jawOpen=wide is not a number"),
        ({"expression": {"jawOpen": "inf"}}, "jawOpen=inf is not a number"),
        ({"valence": 1.5}, "--valence"),
        ({"arousal": float("nan")}, "--arousal"),
        ({"emotion": "happy", "copied": {"jawOpen": 0.1}}, "Leave out --emotion or --copy-from"),
    ],
)
def test_wrong_directions_are_named(fields, problem):
    with pytest.raises(ConfigError, match=problem):
        make_edit_config(**fields)


def test_files_are_named_after_what_was_asked_for():
    assert EditConfig(emotion="happy", au={"au4l": 1.0}).target_name == "happy-au4l"
    assert EditConfig(expression={"jawOpen": "1"}, arousal=0.5).target_name == "jawOpen-arousal"
    assert EditConfig(copied={"jawOpen": 0.1}).target_name == "copy"
    assert len(EditConfig(expression=dict.fromkeys(COEFFICIENTS, "1")).target_name) == 60


def test_the_models_settings_are_taken_unless_others_are_given(photo):
    editor = FakeExpressionEditor(recommended_settings={"steps": 6, "guidance": 2.0, "strength": 300})
    config = make_edit_config(expression={"jawOpen": "0.5"}, guidance=1.25)
    settings = edit_photo(photo, editor, FakeDetector(), config).provenance["settings"]
    assert (settings["steps"], settings["strength"], settings["guidance"]) == (6, 300, 1.25)
    with pytest.raises(ConfigError, match="400 steps need a strength of 400"):
        edit_photo(photo, editor, FakeDetector(), make_edit_config(emotion="happy", steps=400))


def test_a_face_that_rests_stays_as_it_is_when_it_is_to_rest(photo):
    rests, smiles = (FakeExpressionEditor(sees=sees) for sees in ("neutral", "happy"))
    assert not change_of(edited(photo, rests, emotion="neutral"), photo).any()
    assert change_of(edited(photo, smiles, emotion="neutral"), photo).any()
